/**
 * Where each right on files holds by what the rest of the profile says: paths inside, each with all below it.
 *
 * A Landlock rule cannot be taken back further down, and it goes through mount points: what holds at / holds everywhere. So a right
 * stands at / only where the whole root gives it, and at single mounts otherwise. Where a mount inside a writable one is read-only, only
 * the mount says so.
 */

import type { Mount } from "../../profile/spec.ts";
import { FS_RIGHT_NAMES, FS_RIGHTS, type FsRight } from "../../program/landlock.ts";
import type { Draft } from "../draft.ts";
import { systemLayers } from "../layers.ts";
import { isBelow } from "../visible.ts";

export interface Place {
  readonly path: string;
  readonly type: "directory" | "file";
}

export type Places = Readonly<Record<FsRight, readonly Place[]>>;

const READ: readonly FsRight[] = ["read_file", "read_dir"];
/** What a writable place is for; devices are made nowhere. */
export const WRITE: readonly FsRight[] = [
  "write_file",
  "truncate",
  "remove_dir",
  "remove_file",
  "make_dir",
  "make_reg",
  "make_sock",
  "make_fifo",
  "make_sym",
  "refer",
];

export function derivePlaces(draft: Draft): Places {
  const places = Object.fromEntries(
    FS_RIGHT_NAMES.map((right): [FsRight, Place[]] => [right, []]),
  ) as unknown as Record<FsRight, Place[]>;
  const grant = (rights: readonly FsRight[], path: string, type: Place["type"] = "directory"): void => {
    for (const right of rights)
      if (type === "directory" || FS_RIGHTS[right].file) places[right].push({ path, type });
  };
  grantRoot(draft, grant);
  for (const { mount } of draft.mounts) grantMount(draft, mount, grant);
  grantDevices(draft, grant);
  for (const right of FS_RIGHT_NAMES) places[right] = outermost(places[right]);
  return places;
}

type Grant = (rights: readonly FsRight[], path: string, type?: Place["type"]) => void;

function grantRoot(draft: Draft, grant: Grant): void {
  const { root, write } = draft.spec.filesystem;
  // Generated files, links, devices and /proc are all there to be read.
  grant(READ, "/");
  if (write !== "none") grant([...WRITE, "execute"], "/");
  else if (root.type === "directory") grant(["execute"], "/");
  // /etc is configuration: nothing in it is run.
  else for (const layer of systemLayers(draft)) grant(["execute"], layer.target);
}

function grantMount(draft: Draft, mount: Mount, grant: Grant): void {
  if (mount.type === "file" || mount.type === "symlink") return;
  const { masked, readOnly } = draft.spec.filesystem;
  if (masked.some((path) => isBelow(mount.target, path))) return;
  const closed = mount.readOnly || readOnly.some((path) => isBelow(mount.target, path));
  const rights: FsRight[] = [...(closed ? [] : WRITE), ...(mount.noExec ? [] : (["execute"] as const))];
  if (mount.type === "tmpfs") {
    grant(rights, mount.target);
    return;
  }
  const type = draft.request.paths[mount.source]?.type;
  if (type === "directory" || type === "file") grant(rights, mount.target, type);
}

function grantDevices(draft: Draft, grant: Grant): void {
  const { devices } = draft.spec.filesystem;
  if (devices.length > 0) grant(["write_file"], "/dev");
  if (devices.includes("shm")) grant(WRITE, "/dev/shm");
  if (devices.includes("mqueue")) grant(["write_file", "make_reg", "remove_file"], "/dev/mqueue");
  if (devices.includes("tty")) grant(["ioctl_dev"], "/dev/tty", "file");
  if (devices.includes("pts")) grant(["ioctl_dev"], "/dev/pts");
}

/** Without what another place covers; in the order of paths. */
function outermost(places: readonly Place[]): Place[] {
  const paths = new Map(places.map((place) => [place.path, place]));
  return [...paths.values()]
    .filter(({ path }) => ![...paths.keys()].some((other) => other !== path && isBelow(path, other)))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
