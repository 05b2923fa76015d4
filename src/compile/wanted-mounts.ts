/** What a profile asks to be mounted, as it asks for it: the same for every command and on every host. */
import type { Mount, Spec } from "../profile/spec.ts";

/** A mount with the field that asked for it. */
export interface Wanted {
  readonly mount: Mount;
  readonly pointer: string;
  readonly reason: string;
}

/** Directories that a sandbox has of its own. */
export const RESERVED: readonly string[] = ["/", "/dev", "/proc"];

/** `filesystem.mounts`, and `filesystem.workdir`: the caller's directory at its own path. */
export function authorMounts({ filesystem }: Pick<Spec, "filesystem">, cwd: string): readonly Wanted[] {
  const wanted = filesystem.mounts.map((mount, index) => ({
    mount,
    pointer: `/filesystem/mounts/${index}`,
    reason: "",
  }));
  if (filesystem.workdir === "none" || RESERVED.includes(cwd)) return wanted;
  const workdir: Mount = {
    type: "bind",
    source: cwd,
    target: cwd,
    readOnly: filesystem.workdir === "ro",
    noExec: false,
    optional: false,
  };
  return [
    ...wanted,
    { mount: workdir, pointer: "/filesystem/workdir", reason: "the working directory, at its own path" },
  ];
}
