/**
 * Path → image in memory: what it is stored in, its documents verified, its layers streamed and put on top of each other. Nothing is
 * written to disk, nothing of the image is run, no network is used. Whatever does not fit ends the reading: there is no partial result.
 */
import type { Checked } from "../problems.ts";
import { type Fit, fitBase, type GivenBase } from "./base.ts";
import { Budget } from "./budget.ts";
import { historyOfLayers } from "./formats/config.ts";
import { type Compression, decompress, sniffCompression } from "./formats/decompress.ts";
import { formatDigest, verified } from "./formats/digest.ts";
import type { ImageKind, ImageSource, LayerSource } from "./formats/source.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { type ImageName, withSource } from "./open-image.ts";
import type { Gap } from "./packages/package.ts";
import { atAsync, malformed, Refusal } from "./refusal.ts";
import { TarReader } from "./tar/reader.ts";
import { type Anomaly, applyLayer, emptyTree, type ImageTree } from "./tree/apply.ts";
import { capabilityReader } from "./tree/file-capabilities.ts";
import { gather, type LayerEntry } from "./tree/layer.ts";
import { readRootDirectory } from "./tree/root-directory.ts";

export interface ImageRequest extends ImageName {
  readonly limits?: Partial<Limits>;
  /** The image that it was built on: what of it is that image's is told apart. */
  readonly base?: GivenBase | null;
  /** Paths without a leading "/" whose bytes are kept as well. */
  readonly keep?: ReadonlySet<string>;
  /** Called while layers are read: bytes unpacked so far. */
  readonly progress?: (unpacked: number) => void;
}

export interface LayerFacts {
  /** Of the stored bytes, when the format promises one. */
  readonly digest: string | null;
  readonly diffId: string | null;
  readonly compression: Compression;
  /** Stored bytes. */
  readonly size: number;
  /** Unpacked bytes, as a tar file. */
  readonly unpacked: number;
  readonly entries: number;
  /** The line of the history that made it. */
  readonly createdBy: string | null;
}

export interface Image extends ImageTree {
  readonly path: string;
  readonly kind: ImageKind;
  /** Null for a root directory. */
  readonly source: ImageSource | null;
  readonly layers: readonly LayerFacts[];
  /** Null when no base was given. */
  readonly base: FittedBase | null;
  /** What of it could not be read here, and can be elsewhere. */
  readonly gaps: readonly Gap[];
}

/** A base that was given, beside the image. */
export interface FittedBase extends Fit {
  readonly given: GivenBase;
  /** The base alone, from the layers that both have; null when it does not fit. */
  readonly image: Image | null;
}

/** Reads all of it. Problems are of the kinds `image-*`; never throws for what the image is. */
export async function readImage(request: ImageRequest): Promise<Checked<Image>> {
  const budget = new Budget({ ...DEFAULT_LIMITS, ...request.limits }, request.keep);
  try {
    return { ok: true, value: await read(request, budget) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, problems: [error.problem(request.path)] };
  }
}

async function read(request: ImageRequest, budget: Budget): Promise<Image> {
  const { path } = request;
  return await withSource(request, budget, (source) =>
    source === null ? readDirectory(request, budget) : readLayers(path, source, request, budget),
  );
}

interface LayerRead {
  readonly entries: readonly LayerEntry[];
  readonly facts: LayerFacts;
  readonly hasTrailingData: boolean;
}

/** One layer after the other: what is kept within the limits, and which layer is named when one is reached, must not depend on time. */
async function readLayers(
  path: string,
  source: ImageSource,
  request: ImageRequest,
  budget: Budget,
): Promise<Image> {
  const image = emptyTree();
  const facts: LayerFacts[] = [];
  const given = request.base ?? null;
  const fit = given === null ? null : fitBase(given, source.config?.diffIds ?? []);
  // The base's tree grows from the same entries: what is compared with it later cannot be another image.
  const below = emptyTree();
  const history = source.config === null ? [] : historyOfLayers(source.config);
  const bare = source.kind === "rootfs-archive";
  for (const [index, stored] of source.layers.entries()) {
    const inLayer = async <T>(work: () => T | Promise<T>): Promise<T> =>
      bare ? await work() : await atAsync(`layer ${index + 1}`, async () => await work());
    const createdBy = history[index]?.createdBy ?? null;
    const layer = await inLayer(() => readLayer(stored, createdBy, budget, request));
    for (const one of fit?.fits === true && index < fit.shared ? [image, below] : [image]) {
      await inLayer(() => applyLayer(one, index, layer.entries, !bare));
      if (layer.hasTrailingData) one.anomalies.push(trailing(index));
    }
    facts.push(layer.facts);
  }
  // What a `docker save` that failed leaves behind passes every rule about what must not be there.
  if (bare && facts.every(({ entries }) => entries === 0))
    throw malformed("the file is empty", "look whether the command that writes it failed");
  const base = given === null || fit === null ? null : { given, ...fit, image: null };
  const whole: Image = { ...image, path, kind: source.kind, source, layers: facts, base, gaps: [] };
  if (base === null || !base.fits) return whole;
  const { path: at, source: documents } = base.given;
  const layers = facts.slice(0, base.shared);
  const alone = { ...below, path: at, kind: documents.kind, source: documents, layers, base: null, gaps: [] };
  return { ...whole, base: { ...base, image: alone } };
}

const trailing = (layer: number): Anomaly => ({ layer, path: "", what: "data-after-end" });

async function readLayer(
  layer: LayerSource,
  createdBy: string | null,
  budget: Budget,
  request: ImageRequest,
): Promise<LayerRead> {
  const { handler, entries } = gather(budget);
  const reader = new TarReader(handler, budget);
  const stored =
    layer.digest === null
      ? layer.stored()
      : verified(layer.stored(), layer.digest, layer.size, "the stored layer");
  let compression: Compression | null = null;
  let unpacked = 0;
  const noted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of stored) {
      compression ??= sniffCompression(chunk);
      yield chunk;
    }
  };
  const plain = decompress(noted(), budget);
  const checked = layer.diffId === null ? plain : verified(plain, layer.diffId, null, "the unpacked layer");
  try {
    for await (const chunk of checked) {
      unpacked += chunk.length;
      reader.push(chunk);
      request.progress?.(budget.unpacked);
    }
  } catch (error) {
    await blameDamage(layer, error);
    throw error;
  }
  reader.end();
  return {
    entries,
    hasTrailingData: reader.hasTrailingData,
    facts: {
      digest: layer.digest === null ? null : formatDigest(layer.digest),
      diffId: layer.diffId === null ? null : formatDigest(layer.diffId),
      compression: compression ?? "none",
      size: layer.size,
      unpacked,
      entries: entries.length,
      createdBy,
    },
  };
}

/** Damaged data does not look like what it is: where a digest is promised, and does not hold, that is the reason to name. */
async function blameDamage({ digest, size, stored }: LayerSource, error: unknown): Promise<void> {
  if (digest === null || !(error instanceof Refusal) || error.kind === "image-limit") return;
  for await (const _ of verified(stored(), digest, size, "the stored layer")) void _;
}

async function readDirectory({ path, base: given = null }: ImageRequest, budget: Budget): Promise<Image> {
  const { handler, entries } = gather(budget);
  const capabilities = await capabilityReader();
  readRootDirectory(path, handler, budget, capabilities);
  const image = emptyTree();
  applyLayer(image, 0, entries, false);
  const unpacked = budget.unpacked;
  if (entries.length <= 1) throw malformed("the directory is empty");
  const facts: LayerFacts = {
    digest: null,
    diffId: null,
    compression: "none",
    size: unpacked,
    unpacked,
    entries: entries.length,
    createdBy: null,
  };
  const base = given === null ? null : { given, ...fitBase(given, []), image: null };
  return {
    ...image,
    path,
    kind: "rootfs-directory",
    source: null,
    layers: [facts],
    base,
    gaps: capabilities.gaps(),
  };
}
