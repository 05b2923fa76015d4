/** Directories of an image that its user may write to: what a read-only root takes away. Nothing below one that is listed is listed. */
import type { Tree } from "../tree/tree.ts";
import type { Identity } from "./identity.ts";

export interface WritableDirectory {
  /** Without leading "/", no links in it. */
  readonly path: string;
  /** A volume of the configuration; a directory of the user's; one that everybody may write to. */
  readonly why: "volume" | "owner" | "everybody";
  /** The image has nothing in it. */
  readonly empty: boolean;
}

/** Never real in a container: the runtime's own mounts. */
const MOUNTED = /^(?:proc|sys|dev)(?:\/|$)/;

/** @param volumes - as the configuration names them. */
export function findWritable(
  tree: Tree,
  { uid, gid, groups }: Identity,
  volumes: readonly string[],
): readonly WritableDirectory[] {
  const found = new Map<string, WritableDirectory>();
  for (const volume of volumes) {
    const resolved = tree.resolve(volume);
    const parts = volume.split("/").filter((part) => part !== "" && part !== ".");
    const path = resolved?.path ?? parts.join("/");
    if (path === "" || MOUNTED.test(path) || parts.includes("..") || resolved?.node.children === null)
      continue;
    found.set(path, { path, why: "volume", empty: (resolved?.node.children?.size ?? 0) === 0 });
  }
  for (const { path, node } of tree.walk()) {
    const { type, mode, uid: owner, gid: group } = node.inode;
    if (type !== "directory" || MOUNTED.test(path) || found.has(path)) continue;
    const everybody = (mode & 0o002) !== 0;
    const own =
      uid !== 0 &&
      ((owner === uid && (mode & 0o200) !== 0) ||
        ((group === gid || groups.includes(group)) && (mode & 0o020) !== 0));
    if (!own && !everybody) continue;
    if ([...found.keys()].some((above) => path.startsWith(`${above}/`))) continue;
    found.set(path, { path, why: own ? "owner" : "everybody", empty: node.children?.size === 0 });
  }
  return [...found.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
