/** An image that was found and whose documents were read and verified: what is left is to read its layers. */
import type { ImageConfig } from "./config.ts";
import type { Digest } from "./digest.ts";

export type ImageKind =
  | "oci-layout"
  | "oci-archive"
  | "docker-archive"
  | "rootfs-archive"
  | "rootfs-directory";

export interface LayerSource {
  /** Of the stored bytes; null when the format does not promise one. */
  readonly digest: Digest | null;
  /** Of the unpacked bytes. */
  readonly diffId: Digest | null;
  /** Stored bytes. */
  readonly size: number;
  readonly mediaType: string | null;
  readonly stored: () => AsyncIterable<Buffer>;
}

export interface ImageSource {
  readonly kind: Exclude<ImageKind, "rootfs-directory">;
  /** Tags or names that lead to it. */
  readonly names: readonly string[];
  readonly manifestDigest: string | null;
  /** Of the indexes that list its manifest, innermost last. */
  readonly indexDigests: readonly string[];
  readonly configDigest: string | null;
  readonly annotations: Readonly<Record<string, string>>;
  /** Null for a bare root file system. */
  readonly config: ImageConfig | null;
  /** Lowest first. */
  readonly layers: readonly LayerSource[];
}

/** Which image of several is meant. */
export interface Choice {
  /** `linux/arm64`, `linux/arm/v7`; null: the machine's own. */
  readonly platform: string | null;
  /** A tag; null: the only one there is. */
  readonly tag: string | null;
}
