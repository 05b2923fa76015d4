/**
 * OCI image layout (image-spec, image-layout.md): from index.json through nested indexes to one manifest, its configuration and its layers.
 * Every document is compared with the digest and the size that its descriptor promises before a byte of it is interpreted.
 */
import type { Budget } from "../budget.ts";
import { at, hostile, malformed, tooLarge, unsupported } from "../refusal.ts";
import { type ImageConfig, parseConfig } from "./config.ts";
import { type Container, readDocument } from "./container.ts";
import { blobName, type Digest, formatDigest, mismatch, parseDigest, verifyBytes } from "./digest.ts";
import { type Fields, parseDocument } from "./fields.ts";
import { choosePlatform, type PlatformOffer } from "./platform.ts";
import type { Choice, ImageSource, LayerSource } from "./source.ts";

const MAX_NESTING = 4;
const REFERENCE = "org.opencontainers.image.ref.name";
/** containerd and docker write the whole name here, the tag alone into the one above. */
const FULL_NAME = "io.containerd.image.name";

interface Descriptor {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string | null;
  readonly annotations: ReadonlyMap<string, string>;
  readonly platform: PlatformOffer | null;
  readonly isAttestation: boolean;
}

function descriptor(fields: Fields): Descriptor {
  const digest = fields.text("digest");
  const size = fields.number("size");
  if (digest === null || size === null) throw malformed("a descriptor has no digest or no size");
  const platform = fields.object("platform");
  const annotations = fields.table("annotations");
  return {
    digest: parseDigest(digest),
    size,
    mediaType: fields.text("mediaType"),
    annotations,
    platform:
      platform === null
        ? null
        : {
            os: platform.text("os") ?? "",
            architecture: platform.text("architecture") ?? "",
            variant: platform.text("variant") ?? "",
          },
    isAttestation: annotations.get("vnd.docker.reference.type") === "attestation-manifest",
  };
}

export async function readLayout(
  container: Container,
  kind: "oci-layout" | "oci-archive",
  choice: Choice,
  budget: Budget,
): Promise<ImageSource> {
  await checkLayoutVersion(container, budget);
  const index = parseDocument(await readDocument(container, "index.json", budget), "index.json");
  const tagged = byTag(index.objects("manifests").map(descriptor), choice.tag);
  const names = tagged.flatMap(({ annotations }) => {
    const name = annotations.get(FULL_NAME) ?? annotations.get(REFERENCE);
    return name === undefined ? [] : [name];
  });
  const manifest = await chooseManifest(container, tagged, choice, budget, []);
  const { fields } = manifest;
  const configDescriptor = fields.object("config");
  if (configDescriptor === null) throw malformed("the manifest names no configuration");
  const configAt = descriptor(configDescriptor);
  const config = await readConfig(container, configAt, budget);
  if (choice.platform !== null)
    choosePlatform(
      [{ os: config.os, architecture: config.architecture, variant: config.variant }],
      choice.platform,
    );
  return {
    kind,
    names: [...new Set(names)],
    manifestDigest: formatDigest(manifest.digest),
    indexDigests: manifest.indexes,
    configDigest: formatDigest(configAt.digest),
    annotations: Object.fromEntries(fields.table("annotations")),
    config,
    layers: layersOf(container, fields.objects("layers").map(descriptor), config, budget),
  };
}

async function checkLayoutVersion(container: Container, budget: Budget): Promise<void> {
  const layout = parseDocument(await readDocument(container, "oci-layout", budget), "oci-layout");
  const version = layout.text("imageLayoutVersion") ?? "";
  if (!version.startsWith("1."))
    throw unsupported(`the layout has the version ${JSON.stringify(version)}`, "version 1 is read");
}

function byTag(all: readonly Descriptor[], tag: string | null): readonly Descriptor[] {
  if (all.length === 0) throw malformed("index.json lists no image");
  if (tag === null) return all;
  const found = all.filter(({ annotations }) =>
    [annotations.get(REFERENCE), annotations.get(FULL_NAME)].includes(tag),
  );
  const known = all.flatMap(({ annotations }) => annotations.get(REFERENCE) ?? []);
  if (found.length === 0)
    throw unsupported(
      `it has no image with the tag ${tag}`,
      known.length === 0 ? "it has no tags: leave --tag out" : `it has ${known.join(", ")}`,
    );
  return found;
}

interface Manifest {
  readonly fields: Fields;
  readonly digest: Digest;
  /** Of the indexes that were opened on the way to it. */
  readonly indexes: readonly string[];
}

/** Opens indexes until one manifest is left. What is an index is told by what it holds, not by its media type. */
async function chooseManifest(
  container: Container,
  offered: readonly Descriptor[],
  choice: Choice,
  budget: Budget,
  above: readonly string[],
): Promise<Manifest> {
  if (above.length > MAX_NESTING) throw hostile(`indexes are nested more than ${MAX_NESTING} deep`);
  const candidates = offered.filter(({ isAttestation }) => !isAttestation);
  const distinct = [...new Map(candidates.map((one) => [formatDigest(one.digest), one])).values()];
  if (distinct.length === 0) throw malformed("an index lists no image, only attestations");
  const chosen = distinct.length === 1 ? distinct[0] : chooseOne(distinct, choice);
  if (chosen === undefined) throw malformed("an index lists no image");
  const name = blobName(chosen.digest);
  const bytes = await readVerified(container, chosen, "the manifest", budget);
  const fields = at(name, () => parseDocument(bytes, "the manifest"));
  const nested = fields.node("manifests");
  const layers = fields.node("layers");
  // One document that is both would be an image to one reader and a list to another (CVE-2021-41190).
  if (nested !== null && layers !== null)
    throw hostile("a document is manifest and index at once, and readers differ about which one counts");
  if (nested === null) return { fields, digest: chosen.digest, indexes: above };
  const offers = fields.objects("manifests").map(descriptor);
  return await chooseManifest(container, offers, choice, budget, [...above, formatDigest(chosen.digest)]);
}

function chooseOne(distinct: readonly Descriptor[], choice: Choice): Descriptor | undefined {
  const offers = distinct.map(({ platform }) => platform);
  const tags = distinct.flatMap(({ annotations }) => annotations.get(REFERENCE) ?? []);
  if (offers.every((offer) => offer === null))
    throw unsupported(
      "it holds several images",
      tags.length > 0
        ? `choose one with --tag: ${tags.join(", ")}`
        : "copy the one that is meant with skopeo copy",
    );
  const wanted = choosePlatform(
    offers.map((offer) => offer ?? { os: "", architecture: "", variant: "" }),
    choice.platform,
  );
  if (wanted.length > 1)
    throw unsupported(
      "it holds several images for that platform",
      tags.length > 0
        ? `choose one with --tag: ${tags.join(", ")}`
        : "name the variant as well: linux/arm/v7",
    );
  return distinct[wanted[0] ?? -1];
}

async function readVerified(
  container: Container,
  { digest, size }: Descriptor,
  what: string,
  budget: Budget,
): Promise<Buffer> {
  const bytes = await readDocument(container, blobName(digest), budget);
  if (bytes.length !== size) throw mismatch(what, formatDigest(digest));
  verifyBytes(bytes, digest, what);
  return bytes;
}

async function readConfig(container: Container, found: Descriptor, budget: Budget): Promise<ImageConfig> {
  const type = found.mediaType ?? "";
  if (!/^application\/vnd\.(oci\.image\.config|docker\.container\.image)\./.test(type))
    throw unsupported(
      `it is an artifact (${type.slice(0, 80)}), not an image`,
      "only container images are read",
    );
  return parseConfig(await readVerified(container, found, "the image configuration", budget));
}

function layersOf(
  container: Container,
  descriptors: readonly Descriptor[],
  config: ImageConfig,
  budget: Budget,
): readonly LayerSource[] {
  if (descriptors.length !== config.diffIds.length)
    throw malformed(
      `the manifest has ${descriptors.length} layers and the configuration ${config.diffIds.length}`,
    );
  return checkCount(descriptors, budget).map(({ digest, size, mediaType }, index) => {
    const name = blobName(digest);
    const found = container.size(name);
    if (mediaType?.includes("encrypted") === true)
      throw unsupported(`layer ${index + 1} is encrypted`, "decrypt it first: skopeo copy --decryption-key");
    if (found === null)
      throw /nondistributable|foreign/.test(mediaType ?? "")
        ? unsupported(
            `layer ${index + 1} is kept elsewhere (${mediaType})`,
            "copy the image with all its layers",
          )
        : malformed(`layer ${index + 1} is missing: there is no ${name}`);
    if (found !== size) throw mismatch(`layer ${index + 1}`, formatDigest(digest));
    return {
      digest,
      size,
      mediaType,
      diffId: parseDigest(config.diffIds[index] ?? ""),
      stored: () => container.stream(name),
    };
  });
}

export function checkCount<T>(layers: readonly T[], budget: Budget): readonly T[] {
  if (layers.length > budget.limits.layers)
    throw tooLarge(`it has ${layers.length} layers, and runtimes mount 128 at most`, "layers");
  return layers;
}
