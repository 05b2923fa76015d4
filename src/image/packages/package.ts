/** What package databases say is installed. Whether it is there is another question: ownership.ts compares them with the tree. */
import type { Tree } from "../tree/tree.ts";

export type Manager =
  | "dpkg"
  | "apk"
  | "rpm"
  | "pacman"
  | "opkg"
  | "chisel"
  | "npm"
  | "python"
  | "go"
  | "java";

export interface ClaimedPackage {
  readonly manager: Manager;
  readonly name: string;
  readonly version: string;
  readonly architecture: string | null;
  /** What it was built from, where that has another name. */
  readonly source: string | null;
  /** As the database writes it. */
  readonly license: string | null;
  /** What it needs to be there, each by its alternatives; absent where the database does not say, or not by name. */
  readonly needs?: readonly (readonly string[])[];
  /** Other names under which it is needed. */
  readonly provides?: readonly string[];
  /** The file that says so. */
  readonly database: string;
  /** Paths that it claims, without leading "/"; directories may be among them. Null when no list of files is there. */
  readonly files: readonly string[] | null;
}

/** Something that facts should have been read from and could not be. A rule that depends on it has no answer. */
export interface Gap {
  readonly path: string;
  readonly reason: string;
  /** The one kind of facts that it is about; absent where it may be about several. */
  readonly of?: "file-capabilities";
}

export interface Found {
  readonly packages: readonly ClaimedPackage[];
  readonly gaps: readonly Gap[];
}

/** Looks for databases of one kind. */
export type Finder = (tree: Tree) => Found;

/** The kept bytes of a file; null when it is not there; a gap when it is there and its bytes are not. */
export function keptBytes(tree: Tree, path: string, gaps: Gap[]): Buffer | null {
  const found = tree.resolve(path);
  if (found === null || found.node.inode.type !== "file") return null;
  const { content } = found.node.inode;
  if (content?.kind === "empty") return Buffer.alloc(0);
  if (content?.bytes == null) {
    gaps.push({ path, reason: content?.gap ?? `it is stored as ${found.path}, whose content was not kept` });
    return null;
  }
  return content.bytes;
}

/** More than the longest database of a distribution has: a million files in 50,000 packages. */
const MOST_LINES = 4_000_000;

/** The same as text, or a gap if it has more lines: each costs some hundred bytes and a look at the tree. */
export function keptText(tree: Tree, path: string, gaps: Gap[], most = MOST_LINES): string | null {
  const bytes = keptBytes(tree, path, gaps);
  let lines = 0;
  for (
    let at = bytes?.indexOf(LINE_FEED) ?? -1;
    at >= 0 && lines <= most;
    at = bytes?.indexOf(LINE_FEED, at + 1) ?? -1
  )
    lines++;
  if (lines <= most) return bytes?.toString("utf8") ?? null;
  gaps.push({ path, reason: `it has more than ${most} lines` });
  return null;
}

const LINE_FEED = 0x0a;

/** Names in a directory of the tree, in order; none when there is no such directory. */
export function namesIn(tree: Tree, path: string): readonly string[] {
  return [...(tree.resolve(path)?.node.children?.keys() ?? [])].toSorted();
}

export const withoutSlash = (path: string): string => path.replace(/^(?:\.?\/)+/, "").replace(/\/+$/, "");
