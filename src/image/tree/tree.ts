/**
 * The file system of an image, in memory: what a process in a container would find, and for each file the layer it came from. Names are
 * looked up as the kernel does inside of that root: links are followed, and ".." does not leave it.
 */
import type { Content } from "../content/content.ts";
import type { Entry } from "../tar/entry.ts";

export interface Inode extends Omit<Entry, "path" | "type" | "mode" | "uid" | "gid" | "xattrs"> {
  readonly type: Exclude<Entry["type"], "hardlink">;
  /** Of a regular file. */
  readonly content: Content | null;
  /** Index of the layer that holds the content. */
  readonly layer: number;
  /** How many names it has in the tree. */
  names: number;
  // The header of a hard link changes them.
  mode: number;
  uid: number;
  gid: number;
  xattrs: Entry["xattrs"];
}

export interface Node {
  readonly inode: Inode;
  /** Of a directory. */
  readonly children: Map<string, Node> | null;
  /** Index of the layer that gave it this name. */
  readonly layer: number;
}

/** A name and what it is; `path` has no leading "/". */
export interface Located {
  readonly path: string;
  readonly node: Node;
}

/** As the kernel: then ELOOP (path_resolution(7)). */
export const MAX_LINKS = 40;

export class Tree {
  root: Node;
  #all: Located[] | null = null;
  /** Components of the paths and links that were looked up so far: a measure of work, for those who look up what an image says. */
  steps = 0;

  constructor(root: Node) {
    this.root = root;
  }

  /** What has exactly this name; links are not followed. */
  get(path: string): Node | null {
    let node: Node = this.root;
    if (path === "") return node;
    for (const part of path.split("/")) {
      const next = node.children?.get(part);
      if (next === undefined) return null;
      node = next;
    }
    return node;
  }

  /** What opening this path finds, links followed, with its real path; null for ENOENT, ENOTDIR and ELOOP. */
  resolve(path: string, followLast = true): Located | null {
    let links = 0;
    // What is still to be looked up, last component first.
    const rest = split(path).toReversed();
    this.steps += rest.length + 1;
    const stack: Located[] = [{ path: "", node: this.root }];
    for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
      if (part === "..") {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const here = stack.at(-1) as Located;
      const next = here.node.children?.get(part);
      if (next === undefined) return null;
      if (next.inode.type === "symlink" && (followLast || rest.length > 0)) {
        if (++links > MAX_LINKS) return null;
        if (next.inode.link.startsWith("/")) stack.length = 1;
        const target = split(next.inode.link);
        this.steps += target.length;
        rest.push(...target.toReversed());
        continue;
      }
      stack.push({ path: here.path === "" ? part : `${here.path}/${part}`, node: next });
    }
    return stack.at(-1) ?? null;
  }

  /** Everything below the root, parents first, names in order. For a tree that will not change any more. */
  walk(): readonly Located[] {
    if (this.#all === null) {
      this.#all = [];
      addBelow(this.root, "", this.#all);
    }
    return this.#all;
  }
}

function addBelow(node: Node, path: string, all: Located[]): void {
  for (const [name, child] of [...(node.children ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const childPath = path === "" ? name : `${path}/${name}`;
    all.push({ path: childPath, node: child });
    addBelow(child, childPath, all);
  }
}

const split = (path: string): readonly string[] =>
  path.split("/").filter((part) => part !== "" && part !== ".");

export function makeDirectory(layer: number): Node {
  const inode: Inode = {
    type: "directory",
    mode: 0o755,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 0,
    link: "",
    device: null,
    xattrs: null,
    content: null,
    layer,
    names: 1,
  };
  return { inode, children: new Map(), layer };
}
