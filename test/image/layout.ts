/** Images on disk, made from layers that are tar files in memory. Directories are removed when the test ends. */
import { hash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { onTestFinished } from "vitest";
import { type Image, type ImageRequest, readImage } from "../../src/image/read-image.ts";
import type { Checked } from "../../src/problems.ts";
import { formatProblem } from "../../src/problems.ts";
import { tar } from "./tar-writer.ts";

export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-image-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export const sha256 = (bytes: Buffer): string => `sha256:${hash("sha256", bytes)}`;

export interface LayerSpec {
  readonly tar: Buffer;
  /** As stored; the same as `tar` unless given. */
  readonly stored?: Buffer;
  readonly mediaType?: string;
  readonly createdBy?: string;
}

export interface ImageSpec {
  readonly layers: readonly LayerSpec[];
  readonly config?: Readonly<Record<string, unknown>>;
  /** Fields of the configuration outside of `config`. */
  readonly top?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const blob = (bytes: Buffer): Blob => ({ digest: sha256(bytes), bytes });

export function configOf({ layers, config = {}, top = {} }: ImageSpec): Buffer {
  return json({
    architecture: "amd64",
    os: "linux",
    config,
    rootfs: { type: "layers", diff_ids: layers.map((layer) => sha256(layer.tar)) },
    history: layers.map(({ createdBy }, index) => ({ created_by: createdBy ?? `layer ${index + 1}` })),
    ...top,
  });
}

/** The blobs of one image, manifest first. */
export function manifestBlobs(spec: ImageSpec): readonly [Blob, ...Blob[]] {
  const config = blob(configOf(spec));
  const layers = spec.layers.map(({ tar: plain, stored }) => blob(stored ?? plain));
  const manifest = blob(
    json({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: CONFIG_TYPE, digest: config.digest, size: config.bytes.length },
      layers: layers.map(({ digest, bytes }, index) => ({
        mediaType: spec.layers[index]?.mediaType ?? "application/vnd.oci.image.layer.v1.tar",
        digest,
        size: bytes.length,
      })),
      ...(spec.annotations === undefined ? {} : { annotations: spec.annotations }),
    }),
  );
  return [manifest, config, ...layers];
}

export const descriptorOf = ({ digest, bytes }: Blob, more: Readonly<Record<string, unknown>> = {}) => ({
  mediaType: MANIFEST_TYPE,
  digest,
  size: bytes.length,
  ...more,
});

export function writeLayout(
  directory: string,
  manifests: readonly unknown[],
  blobs: readonly Blob[],
): string {
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(directory, "index.json"), json({ schemaVersion: 2, manifests }));
  for (const { digest, bytes } of blobs)
    writeFileSync(join(directory, "blobs/sha256", digest.split(":")[1] ?? ""), bytes);
  return directory;
}

/** A layout directory of one image. */
export function layout(spec: ImageSpec): string {
  const blobs = manifestBlobs(spec);
  return writeLayout(scratch(), [descriptorOf(blobs[0])], blobs);
}

export function layoutOf(...layers: readonly Buffer[]): string {
  return layout({ layers: layers.map((one) => ({ tar: one })) });
}

export function gzipped(one: Buffer): LayerSpec {
  return { tar: one, stored: gzipSync(one), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" };
}

/** What `docker save` wrote before version 25. */
export function dockerArchive(spec: ImageSpec, tags: readonly string[] = ["app:1"]): Buffer {
  const config = configOf(spec);
  const name = `${sha256(config).slice(7)}.json`;
  const layers = spec.layers.map(({ tar: plain, stored }, index) => ({
    name: `${index}/layer.tar`,
    body: stored ?? plain,
  }));
  return tar({ name, body: config }, ...layers, {
    name: "manifest.json",
    body: json([{ Config: name, RepoTags: tags, Layers: layers.map((layer) => layer.name) }]),
  });
}

export function onDisk(bytes: Buffer, name = "image.tar"): string {
  const path = join(scratch(), name);
  writeFileSync(path, bytes);
  return path;
}

export function read(path: string, more: Partial<ImageRequest> = {}): Promise<Checked<Image>> {
  return readImage({ path, platform: null, tag: null, ...more });
}

export async function readGood(path: string, more: Partial<ImageRequest> = {}): Promise<Image> {
  const image = await read(path, more);
  if (!image.ok) throw new Error(image.problems.map(formatProblem).join("\n"));
  return image.value;
}

/** `kind: message` of the only problem. */
export async function refusalOf(path: string, more: Partial<ImageRequest> = {}): Promise<string> {
  const image = await read(path, more);
  if (image.ok) return "read";
  const [first] = image.problems;
  return image.problems.length === 1 ? `${first?.kind}: ${first?.message}` : "not one problem";
}

/** Names of the tree with their types, for comparison. */
export function listing(image: Image): readonly string[] {
  return [...image.tree.walk()].map(({ path, node: { inode } }) =>
    inode.type === "directory"
      ? `${path}/`
      : inode.type === "symlink"
        ? `${path} -> ${inode.link}`
        : inode.type === "file"
          ? `${path} ${inode.size}`
          : `${path} ${inode.type}`,
  );
}
