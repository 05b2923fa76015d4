/** What the rules of a profile's SELinux module are made from, and the words that they share. Pure. */

import { locate } from "../../profile/provenance.ts";
import type { ResolvedProfile } from "../../profile/spec.ts";
import type { Admits } from "../seccomp/admits.ts";
import { placeOf } from "./place.ts";

export interface View {
  readonly profile: ResolvedProfile;
  readonly admits: Admits;
}

/** "/proc: its own processes (base.json:38 /filesystem/proc)" */
export function because({ profile }: View, what: string, ...pointers: readonly string[]): string {
  const places = pointers.map((pointer) => placeOf(locate(profile, pointer), pointer));
  return `${what} (${places.join("; ")})`;
}

export const READ_FILE = "getattr ioctl lock map open read";
export const READ_DIRECTORY = "getattr ioctl lock open read search";
export const WRITE_FILE = "append create link rename setattr unlink write";
export const EXECUTE = "entrypoint execute execute_no_trans";
/** Through a descriptor that somebody else opened: no `open`. */
export const INHERITED = "append getattr ioctl read write";
export const INHERITED_READ = "getattr ioctl read";
export const INHERITED_WRITE = "append write";
export const DEVICE = "append getattr ioctl lock open read write";
export const SOCKET =
  "accept append bind connect create getattr getopt ioctl listen read setattr setopt shutdown write";
export const IPC = "associate create destroy getattr read setattr unix_read unix_write write";

export const READ_TREE = {
  dir: READ_DIRECTORY,
  file: READ_FILE,
  lnk_file: "getattr read",
  fifo_file: "getattr open read",
  sock_file: "getattr",
};
export const WRITE_TREE = {
  dir: `${READ_DIRECTORY} add_name create link remove_name rename reparent rmdir setattr unlink write`,
  file: `${READ_FILE} ${WRITE_FILE}`,
  lnk_file: "create getattr link read rename setattr unlink",
  fifo_file: `getattr ioctl lock open read ${WRITE_FILE}`,
  sock_file: `getattr open read ${WRITE_FILE}`,
};

/** Whether the root shows the host's own system files: types of the attribute `system`, which the payload may open. */
export function showsSystem({ profile }: View): boolean {
  const { type } = profile.spec.filesystem.root;
  return type === "system" || type === "closure";
}
