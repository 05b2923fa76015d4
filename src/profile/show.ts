/**
 * A resolved profile as an author would have written it in one file: nothing inherited, nothing defaulted. Resolving what
 * this gives yields the same Spec. Beside it, not in it, where each value was written.
 */
import { formatPlace } from "../problems.ts";
import type { Mount, ResolvedProfile, SeccompArg, SeccompSpec, Spec } from "./spec.ts";
import { formatMode, formatSize, formatTime } from "./units.ts";

export interface ShownProfile {
  /** In author units; valid input for `resolveProfile`. */
  readonly profile: Readonly<Record<string, unknown>>;
  /** JSON pointer → place, as messages print it. Nearest enclosing entry wins. */
  readonly provenance: Readonly<Record<string, string>>;
  readonly sources: ResolvedProfile["sources"];
}

/** JSON data for `sandbox profile show NAME --resolved`. */
export function showProfile(resolved: ResolvedProfile): ShownProfile {
  return {
    profile: toAuthor(resolved.spec),
    provenance: Object.fromEntries(
      Object.entries(resolved.provenance).map(([pointer, place]) => [pointer, formatPlace(place)]),
    ),
    sources: resolved.sources,
  };
}

function toAuthor(spec: Spec): Readonly<Record<string, unknown>> {
  const { filesystem, resources, process } = spec;
  const size = (bytes: number | null): string | null => (bytes === null ? null : formatSize(bytes));
  const time = (milliseconds: number | null): string | null =>
    milliseconds === null ? null : formatTime(milliseconds);
  return {
    ...spec,
    filesystem: {
      ...filesystem,
      writeSize: size(filesystem.writeSize),
      shmSize: size(filesystem.shmSize),
      mounts: filesystem.mounts.map(showMount),
    },
    seccomp: spec.seccomp === null ? null : showSeccomp(spec.seccomp),
    resources: {
      ...resources,
      memory: size(resources.memory),
      swap: size(resources.swap),
      fileSize: size(resources.fileSize),
      coreSize: size(resources.coreSize),
      outputSize: size(resources.outputSize),
      cpuTime: time(resources.cpuTime),
      wallTime: time(resources.wallTime),
      io: resources.io.map((limit) => ({
        ...limit,
        readBps: size(limit.readBps),
        writeBps: size(limit.writeBps),
      })),
    },
    process: { ...process, umask: formatMode(process.umask) },
  };
}

function showMount(mount: Mount): unknown {
  switch (mount.type) {
    case "bind": {
      const { readOnly, noExec, ...rest } = mount;
      return { ...rest, options: [readOnly ? "ro" : "rw", noExec ? "noexec" : "exec"] };
    }
    case "tmpfs": {
      const { readOnly, noExec, ...rest } = mount;
      const options = [readOnly ? "ro" : "rw", noExec ? "noexec" : "exec"];
      return { ...rest, size: formatSize(mount.size), mode: formatMode(mount.mode), options };
    }
    case "file":
      return { ...mount, mode: formatMode(mount.mode) };
    case "symlink":
      return mount;
  }
  return mount satisfies never;
}

/** A filter's rules as an author would write them. */
export function showSeccomp(seccomp: SeccompSpec): unknown {
  const number = (value: bigint): number | string =>
    value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : `0x${value.toString(16)}`;
  const arg = ({ index, op, value, valueTwo }: SeccompArg): unknown => ({
    index,
    op,
    value: number(value),
    valueTwo: number(valueTwo),
  });
  return {
    ...seccomp,
    syscalls: seccomp.syscalls.map((rule) => ({
      ...rule,
      ...(rule.args === undefined ? {} : { args: rule.args.map(arg) }),
    })),
  };
}
