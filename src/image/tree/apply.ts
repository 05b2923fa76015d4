/**
 * Takes the tree of the layers below and the entries of one more layer, and changes the tree as runtimes do (OCI image-spec, layer.md).
 *
 * Whiteouts count against lower layers only, and never through a link: a file that is there to some runtimes is there. Parents that are missing are made; parents that are links are followed inside of the root, as
 * containerd does, and noted, because docker on overlay2 makes a directory there instead. What no runtime unpacks is refused.
 */

import { at, hostile, malformed } from "../refusal.ts";
import type { Entry } from "../tar/entry.ts";
import type { LayerEntry } from "./layer.ts";
import { type Inode, type Located, makeDirectory, type Node, Tree } from "./tree.ts";

/** A file whose bytes are in the image and that no container can see. */
export interface Shadowed {
  readonly path: string;
  readonly inode: Inode;
  /** Index of the layer that hid it. */
  readonly by: number;
  readonly how: "deleted" | "replaced";
  /** It was replaced by the same bytes: a change of owner, mode or time copies a file. */
  readonly same: boolean;
}

/** Something that no build tool does by itself; what it means depends on the runtime. */
export interface Anomaly {
  readonly layer: number;
  readonly path: string;
  readonly what:
    | "through-link"
    | "named-twice"
    | "link-changes-file"
    | "overlay-whiteout"
    | "overlay-xattr"
    | "data-after-end";
}

export interface ImageTree {
  readonly tree: Tree;
  readonly shadowed: Shadowed[];
  readonly anomalies: Anomaly[];
}

export const emptyTree = (): ImageTree => ({ tree: new Tree(makeDirectory(0)), shadowed: [], anomalies: [] });

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** Bookkeeping of aufs, which runtimes pass over. */
const AUFS = ".wh..wh.";
const MAX_ANOMALIES = 1000;

/** `whiteouts`: false for a root file system, where such names are names. */
export function applyLayer(
  image: ImageTree,
  layer: number,
  entries: readonly LayerEntry[],
  whiteouts: boolean,
): void {
  const seen = new Set<string>();
  const applied = new Applying(image, layer, seen);
  const isWhiteout = ({ entry }: LayerEntry): boolean =>
    whiteouts && baseName(entry.path).startsWith(WHITEOUT);
  if (entries.some(isWhiteout))
    for (const one of entries)
      if (isWhiteout(one)) at(one.entry.path, () => applied.whiteout(one.entry, baseName(one.entry.path)));
      else applied.remember(one.entry.path);
  seen.clear();
  for (const one of entries)
    if (!isWhiteout(one)) at(one.entry.path, () => applied.place(one.entry, one.content));
  for (const one of entries) if (isWhiteout(one)) applied.noteWhiteout(one.entry.path);
}

class Applying {
  readonly #image: ImageTree;
  readonly #layer: number;
  /** Paths of this layer so far, and their parents. */
  readonly #seen: Set<string>;
  /** Directories of whiteouts that are links in the layers below. */
  readonly #throughLinks = new Set<string>();

  constructor(image: ImageTree, layer: number, seen: Set<string>) {
    this.#image = image;
    this.#layer = layer;
    this.#seen = seen;
  }

  remember(path: string): void {
    for (let name = path; name !== "" && !this.#seen.has(name); name = parentPath(name)) this.#seen.add(name);
  }

  whiteout(entry: Entry, name: string): void {
    const parent = parentPath(entry.path);
    const directory = this.#image.tree.get(parent);
    if (directory?.children == null && this.#image.tree.resolve(parent)?.node.children != null)
      this.#throughLinks.add(parent);
    if (name === OPAQUE) {
      for (const child of Array.from(directory?.children?.keys() ?? []))
        this.#remove(directory as Node, child, join(parent, child), "deleted", null);
      return;
    }
    if (name.startsWith(AUFS)) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..")
      throw hostile("a whiteout hides nothing, its own directory or the one above");
    const path = join(parent, hidden);
    if (this.#seen.has(path))
      throw hostile(
        "a whiteout follows the file of the same layer that it names: some runtimes delete it, others keep it",
      );
    if (directory?.children?.has(hidden) === true) this.#remove(directory, hidden, path, "deleted", null);
  }

  /** After the layer: what its directory was before, or is now, may be a link. */
  noteWhiteout(path: string): void {
    const { tree } = this.#image;
    const parent = parentPath(path);
    const isLinkNow = tree.get(parent)?.children == null && tree.resolve(parent)?.node.children != null;
    if (isLinkNow || this.#throughLinks.has(parent)) this.#note(path, "through-link");
  }

  place(entry: Entry, content: LayerEntry["content"]): void {
    const { path } = entry;
    if (path === "") {
      this.#image.tree.root = {
        inode: this.#inode(entry, null),
        children: this.#image.tree.root.children,
        layer: this.#layer,
      };
      return;
    }
    this.#noteOverlay(entry);
    const { node: parent, path: parentAt } = this.#parent(path);
    const name = baseName(path);
    const real = join(parentAt, name);
    const isDirectory = entry.type === "directory";
    const before = parent.children?.get(name);
    if (this.#seen.has(real) && !(isDirectory && before?.inode.type === "directory"))
      this.#note(real, "named-twice");
    this.#seen.add(real);
    let node: Node;
    if (entry.type === "hardlink") {
      const target = this.#linkTarget(entry.link);
      const { inode } = target.node;
      if (target.path.startsWith(`${real}/`))
        throw malformed(`it takes the place of the directory that ${entry.link}, which it links to, is in`);
      this.#changeThrough(inode, entry);
      // Its own other name: nothing changes.
      if (before?.inode === inode) return;
      node = { inode, children: null, layer: this.#layer };
    } else {
      const kept = isDirectory ? (before?.children ?? new Map<string, Node>()) : null;
      node = { inode: this.#inode(entry, content), children: kept, layer: this.#layer };
    }
    if (before !== undefined && !(isDirectory && before.children !== null))
      this.#remove(parent, name, real, "replaced", node.inode);
    if (entry.type === "hardlink") node.inode.names++;
    parent.children?.set(name, node);
  }

  /** Docker and containerd give the file what the header of its other name says; GNU tar and umoci leave it as it is. */
  #changeThrough(inode: Inode, { path, mode, uid, gid, xattrs }: Entry): void {
    if (inode.type === "symlink") return;
    const adds = [...(xattrs ?? [])].some(([name, value]) => inode.xattrs?.get(name)?.equals(value) !== true);
    if (inode.mode === mode && inode.uid === uid && inode.gid === gid && !adds) return;
    this.#note(path, "link-changes-file");
    inode.mode = mode;
    inode.uid = uid;
    inode.gid = gid;
    if (adds) inode.xattrs = new Map([...(inode.xattrs ?? []), ...(xattrs ?? [])]);
  }

  #inode(entry: Entry, content: LayerEntry["content"]): Inode {
    const { mode, uid, gid, size, mtime, link, device, xattrs } = entry;
    // Hard links make no inode.
    const type = entry.type as Inode["type"];
    return { type, mode, uid, gid, size, mtime, link, device, xattrs, content, layer: this.#layer, names: 1 };
  }

  /** The directory that an entry goes into; made where it is missing. */
  #parent(path: string): { readonly node: Node; readonly path: string } {
    const parent = parentPath(path);
    const direct = this.#image.tree.get(parent);
    if (direct?.children != null) return { node: direct, path: parent };
    let node = this.#image.tree.root;
    let here = "";
    for (const part of parent.split("/")) {
      const childPath = join(here, part);
      const child = node.children?.get(part);
      if (child === undefined) {
        const made = makeDirectory(this.#layer);
        node.children?.set(part, made);
        node = made;
        here = childPath;
      } else if (child.inode.type === "symlink") {
        const target = this.#image.tree.resolve(childPath);
        if (target === null || target.node.children === null)
          throw malformed(`${childPath}, a directory in its path, is a link to no directory`);
        this.#note(path, "through-link");
        node = target.node;
        here = target.path;
      } else if (child.children === null) {
        throw malformed(`${childPath}, a directory in its path, is not a directory`);
      } else {
        node = child;
        here = childPath;
      }
    }
    return { node, path: here };
  }

  #linkTarget(path: string): Located {
    const target = this.#image.tree.resolve(path, false);
    if (target === null) throw malformed(`it is a hard link to ${path}, which is not there`);
    if (target.node.children !== null) throw hostile(`it is a hard link to ${path}, a directory`);
    return target;
  }

  #remove(parent: Node, name: string, path: string, how: Shadowed["how"], by: Inode | null): void {
    const node = parent.children?.get(name);
    if (node === undefined) return;
    parent.children?.delete(name);
    this.#forget(node, path, how, by);
  }

  #forget(node: Node, path: string, how: Shadowed["how"], by: Inode | null): void {
    const { inode } = node;
    inode.names--;
    if (inode.names === 0 && inode.type === "file") {
      const same = by?.content != null && by.content.sha256 === inode.content?.sha256;
      this.#image.shadowed.push({ path, inode, by: this.#layer, how, same });
    }
    for (const [name, child] of node.children ?? []) this.#forget(child, join(path, name), how, null);
  }

  /** What overlayfs(5) gives a meaning of its own when a layer is unpacked onto it. */
  #noteOverlay(entry: Entry): void {
    if (entry.device?.major === 0 && entry.device.minor === 0 && entry.type === "character")
      this.#note(entry.path, "overlay-whiteout");
    for (const name of entry.xattrs?.keys() ?? [])
      if (/^(?:trusted|user)\.overlay\./.test(name)) this.#note(entry.path, "overlay-xattr");
  }

  #note(path: string, what: Anomaly["what"]): void {
    if (this.#image.anomalies.length < MAX_ANOMALIES)
      this.#image.anomalies.push({ layer: this.#layer, path, what });
  }
}

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const parentPath = (path: string): string => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
const join = (directory: string, name: string): string => (directory === "" ? name : `${directory}/${name}`);
