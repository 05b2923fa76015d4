/**
 * Path → image in memory: what it is stored in, its documents verified, its layers streamed and put on top of each other. Nothing is
 * written to disk, nothing of the image is run, no network is used. Whatever does not fit ends the reading: there is no partial result.
 */
import { constants, existsSync } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { join } from "node:path";
import type { Checked } from "../problems.ts";
import { Budget } from "./budget.ts";
import { openArchive } from "./formats/archive.ts";
import { historyOfLayers } from "./formats/config.ts";
import { type Compression, decompress, sniffCompression } from "./formats/decompress.ts";
import { formatDigest, verified } from "./formats/digest.ts";
import { checkAgreement, readDocker, readSaved } from "./formats/docker.ts";
import { layoutDirectory } from "./formats/layout-directory.ts";
import { readLayout } from "./formats/oci.ts";
import type { Choice, ImageKind, ImageSource, LayerSource } from "./formats/source.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { atAsync, malformed, Refusal } from "./refusal.ts";
import { TarReader } from "./tar/reader.ts";
import { type Anomaly, applyLayer, emptyTree, type ImageTree } from "./tree/apply.ts";
import { gather, type LayerEntry } from "./tree/layer.ts";
import { readRootDirectory } from "./tree/root-directory.ts";

export interface ImageRequest extends Choice {
  readonly path: string;
  readonly limits?: Partial<Limits>;
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
  const status = await lookAt(path);
  if (status === "directory") {
    const has = async (name: string): Promise<boolean> =>
      (await lstat(join(path, name)).catch(() => null))?.isFile() === true;
    if (!((await has("oci-layout")) && (await has("index.json")))) return readDirectory(path, budget);
    const source = await readLayout(layoutDirectory(path), "oci-layout", request, budget);
    return await readLayers(path, source, request, budget);
  }
  const handle = await openImage(path);
  try {
    const source = await openSource(path, handle, request, budget);
    return await readLayers(path, source, request, budget);
  } finally {
    await handle.close();
  }
}

async function lookAt(path: string): Promise<"directory" | "file"> {
  const handle = await openImage(path);
  try {
    const status = await handle.stat();
    if (status.isDirectory()) return "directory";
    if (status.isFile()) return "file";
  } finally {
    await handle.close();
  }
  throw new Refusal(
    "image-not-found",
    "it is neither a file nor a directory",
    "give a directory or an archive",
  );
}

async function openImage(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new Refusal(
      "image-not-found",
      code === "ENOENT" ? "there is no such file or directory" : `it cannot be opened (${code})`,
      withoutWords(path) ??
        "images are read from disk, not from a registry or a daemon: skopeo copy docker://NAME oci:DIR, or docker save NAME -o FILE",
      error,
    );
  }
}

/** What to say instead of DIR:TAG and TRANSPORT:FILE:TAG, as other tools name images; null unless that is what was meant. */
function withoutWords(name: string): string | null {
  const bare = name.replace(/^(?:oci|oci-archive|docker-archive|dir):/, "");
  const [, path = "", tag = ""] = /^(.+):([^/:]+)$/.exec(bare) ?? [];
  if (bare !== name && existsSync(bare)) return `formats are recognised: give ${bare}`;
  return path !== "" && existsSync(path) ? `tags are an option: give ${path} --tag ${tag}` : null;
}

async function openSource(
  path: string,
  handle: FileHandle,
  request: ImageRequest,
  budget: Budget,
): Promise<ImageSource> {
  const { size } = await handle.stat();
  const archive = await openArchive(path, handle, size, budget);
  const saved = archive.has("manifest.json") ? await readSaved(archive, budget) : null;
  if (archive.has("oci-layout") && archive.has("index.json")) {
    const layout = await readLayout(archive, "oci-archive", request, budget);
    if (saved !== null) await checkAgreement(archive, saved, layout, request, budget);
    return layout;
  }
  if (saved !== null) return await readDocker(archive, saved, request, budget);
  const layer: LayerSource = { digest: null, diffId: null, size, mediaType: null, stored: archive.stored };
  return {
    kind: "rootfs-archive",
    names: [],
    manifestDigest: null,
    configDigest: null,
    annotations: {},
    config: null,
    layers: [layer],
    randomAccess: true,
  };
}

interface LayerRead {
  readonly entries: readonly LayerEntry[];
  readonly facts: LayerFacts;
  readonly hasTrailingData: boolean;
}

/** Two layers at a time keep a decompressor thread busy while the other one's entries are looked at. */
const AT_ONCE = 2;

async function readLayers(
  path: string,
  source: ImageSource,
  request: ImageRequest,
  budget: Budget,
): Promise<Image> {
  const image = emptyTree();
  const facts: LayerFacts[] = [];
  const history = source.config === null ? [] : historyOfLayers(source.config);
  const bare = source.kind === "rootfs-archive";
  const started = new Map<number, Promise<LayerRead>>();
  const start = (index: number): void => {
    const layer = source.layers[index];
    if (layer === undefined) return;
    const createdBy = history[index]?.createdBy ?? null;
    const reading = bare
      ? readLayer(layer, createdBy, budget, request)
      : atAsync(`layer ${index + 1}`, async () => await readLayer(layer, createdBy, budget, request));
    // It is awaited in its turn; until then a failure must not count as unhandled.
    reading.catch(() => undefined);
    started.set(index, reading);
  };
  const atOnce = source.randomAccess ? AT_ONCE : 1;
  for (let index = 0; index < atOnce; index++) start(index);
  for (let index = 0; index < source.layers.length; index++) {
    const layer = await (started.get(index) as Promise<LayerRead>);
    started.delete(index);
    start(index + atOnce);
    if (bare) applyLayer(image, index, layer.entries, false);
    else await atAsync(`layer ${index + 1}`, async () => applyLayer(image, index, layer.entries, true));
    if (layer.hasTrailingData) image.anomalies.push(trailing(index));
    facts.push(layer.facts);
  }
  return { ...image, path, kind: source.kind, source, layers: facts };
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

function readDirectory(path: string, budget: Budget): Image {
  const { handler, entries } = gather(budget);
  readRootDirectory(path, handler, budget);
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
  return { ...image, path, kind: "rootfs-directory", source: null, layers: [facts] };
}
