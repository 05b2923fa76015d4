/**
 * What the entry point runs and the user it runs as may change: the file itself, or its name, through a directory above it that this user may
 * write. A process that was taken over could leave itself there for the next start.
 */
import type { ImageConfig } from "../formats/config.ts";
import type { Inode, Tree } from "../tree/tree.ts";
import type { Reach } from "./reach.ts";
import type { User } from "./users.ts";

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export interface Replaceable {
  /** Of the program or library. */
  readonly path: string;
  /** What may be written: the file or a directory above it. */
  readonly through: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly layer: number;
}

/** Who the image runs as: by number, or by name through its own etc/passwd; null when that cannot be told. */
export function identityOf(
  config: ImageConfig | null,
  users: readonly User[],
  groups: ReadonlyMap<string, number>,
): Identity | null {
  if (config === null) return null;
  const [user = "", group = ""] = config.user.split(":");
  const isNumber = /^\d{1,10}$/;
  const known = users.find(({ name, uid }) => name === user || (isNumber.test(user) && uid === Number(user)));
  const uid = user === "" ? 0 : isNumber.test(user) ? Number(user) : known?.uid;
  const gid = isNumber.test(group) ? Number(group) : group === "" ? (known?.gid ?? 0) : groups.get(group);
  return uid === undefined || gid === undefined ? null : { uid, gid };
}

/** Empty for root, who may write everything. */
export function findReplaceable(tree: Tree, reach: Reach, identity: Identity | null): readonly Replaceable[] {
  if (identity === null || identity.uid === 0) return [];
  return reach.reached.flatMap((path): readonly Replaceable[] => {
    const parts = path.split("/");
    const above = parts.map((_, index) => parts.slice(0, index).join("/"));
    const file = tree.get(path)?.inode;
    if (file === undefined) return [];
    const places = [path, ...above.toReversed()];
    for (const place of places) {
      const inode = tree.get(place)?.inode;
      if (inode === undefined || !mayWrite(inode, identity)) continue;
      // In a sticky directory only owners replace names (unlink(2), EPERM).
      const isSticky =
        inode.type === "directory" && (inode.mode & 0o1000) !== 0 && inode.uid !== identity.uid;
      if (isSticky) continue;
      return [{ path, through: place, mode: inode.mode, uid: inode.uid, gid: inode.gid, layer: inode.layer }];
    }
    return [];
  });
}

/** The owner may always give itself the right (chmod(2)); root's files only by their bits. */
function mayWrite({ mode, uid, gid }: Inode, user: Identity): boolean {
  if (uid === user.uid) return true;
  if (gid === user.gid) return (mode & 0o020) !== 0;
  return (mode & 0o002) !== 0;
}
