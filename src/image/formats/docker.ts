/**
 * What `docker save` writes: manifest.json names a configuration and the layers by their names in the archive. Only the unpacked layers have
 * digests that are promised (the configuration's diff_ids); names that look like digests are held to them as well.
 */
import { hash } from "node:crypto";
import type { Budget } from "../budget.ts";
import { hostile, malformed, unsupported } from "../refusal.ts";
import { type ImageConfig, parseConfig } from "./config.ts";
import { type Container, readDocument } from "./container.ts";
import { type Digest, formatDigest, parseDigest, verifyBytes } from "./digest.ts";
import { Fields, parseNode } from "./fields.ts";
import { checkCount } from "./oci.ts";
import { choosePlatform } from "./platform.ts";
import type { Choice, ImageSource } from "./source.ts";

export interface Saved {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

/** The images that manifest.json lists; null when it is some other document of that name. */
export async function readSaved(container: Container, budget: Budget): Promise<readonly Saved[] | null> {
  const node = parseNode(await readDocument(container, "manifest.json", budget), "manifest.json");
  if (node.type !== "array" || node.items.length === 0) return null;
  const images = node.items.map((item, index) => new Fields(item, `manifest.json[${index}]`));
  if (images.some((image) => image.node("Config") === null || image.node("Layers") === null)) return null;
  return images.map((image) => ({
    config: image.text("Config") ?? "",
    tags: image.texts("RepoTags") ?? [],
    layers: image.texts("Layers") ?? [],
  }));
}

export async function readDocker(
  container: Container,
  saved: readonly Saved[],
  choice: Choice,
  budget: Budget,
): Promise<ImageSource> {
  const image = chooseSaved(saved, choice.tag);
  const bytes = await readDocument(container, image.config, budget);
  const promised = digestInName(image.config);
  if (promised !== null) verifyBytes(bytes, promised, "the image configuration");
  const config = parseConfig(bytes);
  if (choice.platform !== null)
    choosePlatform(
      [{ os: config.os, architecture: config.architecture, variant: config.variant }],
      choice.platform,
    );
  if (image.layers.length !== config.diffIds.length)
    throw malformed(
      `manifest.json has ${image.layers.length} layers and the configuration ${config.diffIds.length}`,
    );
  return {
    kind: "docker-archive",
    names: image.tags,
    manifestDigest: null,
    indexDigests: [],
    configDigest: promised === null ? null : formatDigest(promised),
    annotations: {},
    config,
    layers: checkCount(image.layers, budget).map((name, index) => {
      const size = container.size(name);
      if (size === null) throw malformed(`layer ${index + 1} is missing: there is no ${name}`);
      return {
        digest: name.startsWith("blobs/") ? digestInName(name) : null,
        diffId: parseDigest(config.diffIds[index] ?? ""),
        size,
        mediaType: null,
        stored: () => container.stream(name),
      };
    }),
  };
}

function chooseSaved(saved: readonly Saved[], tag: string | null): Saved {
  const found = tag === null ? saved : withTag(saved, tag);
  const [only, ...others] = found;
  const tags = saved.flatMap((one) => one.tags);
  if (only === undefined)
    throw unsupported(`it has no image with the tag ${tag}`, `it has ${tags.join(", ") || "no tags"}`);
  if (others.length > 0)
    throw unsupported("it holds several images", `choose one with --tag: ${tags.join(", ")}`);
  return only;
}

const withTag = (saved: readonly Saved[], tag: string): readonly Saved[] =>
  saved.filter(({ tags }) => tags.some((one) => one === tag || one.endsWith(`:${tag}`)));

/** `HEX.json` (docker before 25), `blobs/sha256/HEX` (since). */
function digestInName(name: string): Digest | null {
  const hex = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1];
  return hex === undefined ? null : { algorithm: "sha256", hex };
}

/**
 * A docker-archive that is an OCI layout too: both halves must be about the same image. What counts is what docker would load, whatever its file
 * is called: of the images that the choice means, one is the layout's, and others are for other platforms.
 */
export async function checkAgreement(
  container: Container,
  saved: readonly Saved[],
  layout: ImageSource,
  { tag }: Choice,
  budget: Budget,
): Promise<void> {
  const meant = tag === null ? saved : withTag(saved, tag);
  let agrees = false;
  for (const { config } of meant.length === 0 ? saved : meant) {
    const bytes = await readDocument(container, config, budget);
    if (`sha256:${hash("sha256", bytes)}` === layout.configDigest) agrees = true;
    else if (isSamePlatform(parseConfig(bytes), layout.config)) throw disagreement();
  }
  if (!agrees) throw disagreement();
}

const isSamePlatform = (one: ImageConfig, other: ImageConfig | null): boolean =>
  one.os === other?.os && one.architecture === other.architecture && one.variant === other.variant;

const disagreement = (): Error =>
  hostile(
    "manifest.json and index.json are about different images: docker reads one, other tools read the other",
  );
