/** What a program finds at a path: which mount or mask shows it, whether it can be read, written and executed, and the line that decides. Pure. */

import { joinPath } from "../gate/paths.ts";
import type { Place } from "../gate/rule.ts";
import type { Mount, Spec } from "../profile/spec.ts";
import { formatSize } from "../profile/units.ts";
import type { ProfileFacts } from "../profile-rules/facts.ts";

export interface PathAnswer {
  readonly path: string;
  /** What is there, in words. */
  readonly shown: string;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  /** What is written outlives the run. */
  readonly kept: boolean;
  /** What may change the answer; "" if nothing. */
  readonly unless: string;
  readonly pointer: string;
  readonly places: readonly Place[];
}

type Shown = Omit<PathAnswer, "path" | "places" | "unless">;

const within = (path: string, directory: string): boolean =>
  directory === "/" || path === directory || path.startsWith(`${directory}/`);

/** `path` is absolute, as seen inside. Links are not followed: what they lead to is another question. */
export function explainPath(facts: ProfileFacts, path: string): PathAnswer {
  const clean = joinPath("", path);
  const answer = find(facts.spec, clean);
  const { workdir } = facts.spec.filesystem;
  const unless =
    workdir === "none"
      ? ""
      : `it lies in the caller's working directory, which is shown ${workdir === "rw" ? "writable" : "read-only"}`;
  return { path: clean, ...answer, unless, places: facts.at(answer.pointer) };
}

const closed = { writable: false, executable: false, kept: false } as const;

/** In the order of the launch: what is mounted later covers what was there before; masks come last. */
function find(spec: Spec, path: string): Shown {
  const { masked, readOnly, mounts } = spec.filesystem;
  const mask = masked.findIndex((over) => within(path, over));
  const under = beneath(spec, path);
  if (mask !== -1 && under.readable)
    return {
      shown: `masked: nothing of what is at ${masked[mask]}`,
      readable: false,
      ...closed,
      pointer: `/filesystem/masked/${mask}`,
    };
  const held = readOnly.findIndex((over) => within(path, over));
  if (held !== -1 && under.writable)
    return { ...under, writable: false, kept: false, pointer: `/filesystem/readOnly/${held}` };
  const below = mounts.filter((mount) => mount.target !== path && within(mount.target, path)).length;
  return below === 0 ? under : { ...under, shown: `${under.shown}; ${below} mounts below it` };
}

function beneath(spec: Spec, path: string): Shown {
  const { mounts, devices, proc } = spec.filesystem;
  for (const [index, mount] of [...mounts.entries()].toReversed())
    if (within(path, mount.target)) return ofMount(mount, `/filesystem/mounts/${index}`);
  if (within(path, "/dev")) {
    const name = path.slice("/dev/".length).split("/")[0] ?? "";
    const there =
      path === "/dev" ||
      (devices as readonly string[]).includes(name) ||
      /^(std(in|out|err)|ptmx)$/.test(name);
    return {
      shown: there ? "a device of its own set" : "not there",
      readable: there,
      ...closed,
      writable: there && path !== "/dev",
      pointer: "/filesystem/devices",
    };
  }
  if (within(path, "/proc")) {
    const there =
      proc === "full" || (proc === "pids" && /^\/proc(\/(self|thread-self|\d+)(\/|$)|$)/.test(path));
    return {
      shown: there ? "its own process file system" : "not there",
      readable: there,
      ...closed,
      writable: there && path !== "/proc",
      pointer: "/filesystem/proc",
    };
  }
  return ofRoot(spec, path);
}

function ofMount(mount: Mount, pointer: string): Shown {
  switch (mount.type) {
    case "bind":
      return {
        shown: `${mount.source} of the host`,
        readable: true,
        writable: !mount.readOnly,
        executable: !mount.noExec,
        kept: !mount.readOnly,
        pointer,
      };
    case "tmpfs":
      return {
        shown: `a directory in memory, ${formatSize(mount.size)}`,
        readable: true,
        writable: !mount.readOnly,
        executable: !mount.noExec,
        kept: false,
        pointer,
      };
    case "file":
      return { shown: "a file that the profile contains", readable: true, ...closed, pointer };
    case "symlink":
      return { shown: `a link to ${mount.link}`, readable: true, ...closed, pointer };
  }
  return mount satisfies never;
}

const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

function ofRoot(spec: Spec, path: string): Shown {
  const { root, write } = spec.filesystem;
  const writing = {
    writable: write !== "none",
    kept: typeof write === "object",
    executable: true,
    readable: true,
  } as const;
  const pointer = write === "none" ? "/filesystem/root" : "/filesystem/write";
  switch (root.type) {
    case "directory":
      return {
        shown: root.path.startsWith("/")
          ? `${joinPath(root.path, `.${path}`)} of the host`
          : `${path} of the root file system ${root.path}`,
        ...writing,
        pointer,
      };
    case "system": {
      if (SYSTEM.some((directory) => within(path, directory)))
        return { shown: `${path} of the host`, ...writing, pointer };
      if (within(path, "/etc"))
        return {
          shown: `a generated /etc (${root.etc}): nothing of the host that is a secret`,
          ...writing,
          pointer,
        };
      break;
    }
    case "closure":
      return { shown: "only if it is the program or a library that it is linked with", ...writing, pointer };
    case "empty":
      break;
  }
  const shown = path === "/" ? "the root" : write === "none" ? "not there" : "not there until it is written";
  return {
    shown,
    ...writing,
    readable: path === "/" || write !== "none",
    executable: write !== "none",
    pointer,
  };
}
