/** Files whose mode, owner or attributes give more than their content: set-user-id, set-group-id, capabilities, devices, writable by all. */
import type { Located, Tree } from "../tree/tree.ts";
import { decodeCapabilities, type FileCapabilities } from "./capabilities.ts";

export interface SpecialFile {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly layer: number;
}

export interface CapableFile extends SpecialFile {
  /** Null when the attribute is not one that a kernel takes. */
  readonly capabilities: FileCapabilities | null;
}

export interface DeviceNode extends SpecialFile {
  readonly type: "character" | "block";
  readonly major: number;
  readonly minor: number;
}

export interface Permissions {
  /** Regular files that run as their owner. Directories do not count: there the bit is about inheritance. */
  readonly setuid: readonly SpecialFile[];
  readonly setgid: readonly SpecialFile[];
  readonly capable: readonly CapableFile[];
  readonly devices: readonly DeviceNode[];
  /** Files, and directories without the sticky bit, that everybody may write. */
  readonly worldWritable: readonly SpecialFile[];
}

export function findPermissions(tree: Tree): Permissions {
  const setuid: SpecialFile[] = [];
  const setgid: SpecialFile[] = [];
  const capable: CapableFile[] = [];
  const devices: DeviceNode[] = [];
  const worldWritable: SpecialFile[] = [];
  for (const located of tree.walk()) {
    const { inode } = located.node;
    const { type, mode, device, xattrs } = inode;
    const found = special(located);
    if (type === "file") {
      // Without the execute bit of its class the bit does nothing but say that somebody meant it.
      if ((mode & 0o4000) !== 0) setuid.push(found);
      if ((mode & 0o2010) === 0o2010) setgid.push(found);
    }
    const attribute = xattrs?.get("security.capability");
    if (attribute !== undefined) capable.push({ ...found, capabilities: decodeCapabilities(attribute) });
    if (device !== null && (type === "character" || type === "block"))
      devices.push({ ...found, type, ...device });
    const sticky = type === "directory" && (mode & 0o1000) !== 0;
    if ((type === "file" || type === "directory") && (mode & 0o002) !== 0 && !sticky)
      worldWritable.push(found);
  }
  return { setuid, setgid, capable, devices, worldWritable };
}

const special = ({ path, node: { inode } }: Located): SpecialFile => ({
  path,
  mode: inode.mode,
  uid: inode.uid,
  gid: inode.gid,
  layer: inode.layer,
});
