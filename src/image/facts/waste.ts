/**
 * Bytes that are stored and pulled and that no container sees. The copy that is seen is not waste: a file that three layers write wastes two
 * copies. Names of one file count once.
 */
import type { ImageTree, Shadowed } from "../tree/apply.ts";
import type { Inode } from "../tree/tree.ts";

export interface WastedFile {
  readonly path: string;
  readonly bytes: number;
  /** Index of the layer that stores it, and of the one that hides it. */
  readonly layer: number;
  readonly by: number;
  /** "copied": by the same content, to change its owner, mode or time. */
  readonly how: "deleted" | "replaced" | "copied";
}

export interface Waste {
  readonly bytes: number;
  /** Bytes of all files of all layers, which `bytes` is a part of. */
  readonly stored: number;
  readonly files: number;
  /** The largest. */
  readonly largest: readonly WastedFile[];
  /** Equal files at different paths, beyond the first: bytes that a link would save. */
  readonly duplicates: number;
}

const LARGEST = 20;

export function findWaste(image: ImageTree): Waste {
  const wasted = image.shadowed
    .filter(({ inode }) => inode.size > 0)
    .map(({ path, inode, by, ...rest }) => ({
      path,
      bytes: inode.size,
      layer: inode.layer,
      by,
      how: cause(rest),
    }));
  const bytes = wasted.reduce((sum, one) => sum + one.bytes, 0);
  const inodes = new Set<Inode>();
  const contents = new Set<string>();
  let visible = 0;
  let duplicates = 0;
  for (const { node } of image.tree.walk()) {
    const { inode } = node;
    if (inode.type !== "file" || inodes.has(inode)) continue;
    inodes.add(inode);
    visible += inode.size;
    const digest = inode.content?.sha256 ?? "";
    if (contents.has(digest)) duplicates += inode.size;
    contents.add(digest);
  }
  return {
    bytes,
    stored: visible + bytes,
    files: wasted.length,
    largest: wasted.toSorted((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1)).slice(0, LARGEST),
    duplicates,
  };
}

const cause = ({ how, same }: Pick<Shadowed, "how" | "same">): WastedFile["how"] => (same ? "copied" : how);
