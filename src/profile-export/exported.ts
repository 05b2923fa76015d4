/**
 * What a profile is in another tool's words, and what those words cannot say. Every aspect of a profile is listed here once; each target names those that
 * it carries, and the rest of what a profile uses is left, with a word about it. So nothing is dropped silently, and a new field of the Spec
 * that nobody carries shows up as left.
 */
import type { Arch } from "../host/facts.ts";
import type { ResolvedProfile, Spec } from "../profile/spec.ts";

/** Something that the target cannot say. */
export interface Left {
  /** JSON pointer of the field. */
  readonly pointer: string;
  /** What holds here and not there, as a clause. */
  readonly what: string;
}

export interface Exported {
  readonly text: string;
  readonly left: readonly Left[];
}

export interface ExportRequest {
  readonly profile: ResolvedProfile;
  /** The directory that `filesystem.workdir` shows. */
  readonly cwd: string;
  /** The kind of machine, for targets whose filter is for one. */
  readonly arch: Arch;
}

interface AspectText {
  readonly pointer: string;
  readonly what: string;
  /** Whether the profile uses it. */
  readonly used: (spec: Spec) => boolean;
}

const always = (): boolean => true;
const limited =
  (name: keyof Spec["resources"]) =>
  ({ resources }: Spec): boolean =>
    resources[name] !== null;

export const ASPECTS = {
  seccomp: {
    pointer: "/seccomp",
    what: "system calls are filtered",
    used: ({ seccomp }) => seccomp !== null,
  },
  arguments: {
    pointer: "/seccomp/syscalls",
    what: "calls are judged by their arguments too: a call that gets through with some gets through with all",
    used: ({ seccomp }) => seccomp?.syscalls.some(({ args = [] }) => args.length > 0) === true,
  },
  newer: {
    pointer: "/seccomp/defaultAction",
    what: "a call newer than the filter fails with ENOSYS",
    used: ({ seccomp }) => seccomp !== null,
  },
  conventions: {
    pointer: "/seccomp/architectures",
    what: "calls of other conventions than the native one get through as listed",
    used: ({ seccomp }) => (seccomp?.architectures ?? []).length > 0,
  },
  namespaces: { pointer: "/namespaces", what: "namespaces are its own", used: always },
  timeNamespace: {
    pointer: "/namespaces/time",
    what: "the time namespace is its own",
    used: ({ namespaces }) => namespaces.time,
  },
  identity: { pointer: "/identity/uid", what: "it runs with another user and group id", used: always },
  idMap: { pointer: "/identity/map", what: "ids inside are ids outside that no other run has", used: always },
  hostname: { pointer: "/identity/hostname", what: "the host has another name inside", used: always },
  capabilities: { pointer: "/capabilities", what: "capability sets are limited", used: always },
  noNewPrivileges: {
    pointer: "/noNewPrivileges",
    what: "no file executed gives rights",
    used: ({ noNewPrivileges }) => noNewPrivileges,
  },
  lsm: {
    pointer: "/lsm",
    what: "a security module confines it with a policy made from the profile",
    used: ({ lsm }) => lsm.type !== "none",
  },
  landlock: {
    pointer: "/landlock",
    what: "Landlock limits files, ports and signals once more",
    used: ({ landlock }) => landlock !== null,
  },
  root: { pointer: "/filesystem/root", what: "the root is made as the profile says", used: always },
  etc: {
    pointer: "/filesystem/root",
    what: "/etc is generated",
    used: ({ filesystem }) => filesystem.root.type === "system",
  },
  write: {
    pointer: "/filesystem/write",
    what: "writes to the root are refused, discarded or kept",
    used: always,
  },
  mounts: {
    pointer: "/filesystem/mounts",
    what: "mounts",
    used: ({ filesystem }) => filesystem.mounts.length > 0,
  },
  contents: {
    pointer: "/filesystem/mounts",
    what: "files and links that the profile contains",
    used: ({ filesystem }) => filesystem.mounts.some(({ type }) => type === "file" || type === "symlink"),
  },
  noExec: {
    pointer: "/filesystem/mounts",
    what: "programs on some mounts cannot be executed",
    used: ({ filesystem }) =>
      filesystem.mounts.some((mount) => (mount.type === "bind" || mount.type === "tmpfs") && mount.noExec),
  },
  workdir: {
    pointer: "/filesystem/workdir",
    what: "the caller's directory is shown",
    used: ({ filesystem }) => filesystem.workdir !== "none",
  },
  procPids: {
    pointer: "/filesystem/proc",
    what: "/proc shows own processes only",
    used: ({ filesystem }) => filesystem.proc === "pids",
  },
  masks: {
    pointer: "/filesystem/masked",
    what: "paths are masked or read-only",
    used: ({ filesystem }) => filesystem.proc === "full" && filesystem.masked.length > 0,
  },
  devices: { pointer: "/filesystem/devices", what: "devices are its own set", used: always },
  network: { pointer: "/network/mode", what: "the network is cut off or shared", used: always },
  environment: {
    pointer: "/environment",
    what: "the environment is empty but for what is named",
    used: always,
  },
  passed: {
    pointer: "/environment/pass",
    what: "variables of the caller are passed",
    used: ({ environment }) => environment.pass.length > 0,
  },
  memory: { pointer: "/resources/memory", what: "memory is limited", used: limited("memory") },
  swap: { pointer: "/resources/swap", what: "swap is limited", used: limited("swap") },
  cpus: { pointer: "/resources/cpus", what: "CPUs are limited", used: limited("cpus") },
  pids: { pointer: "/resources/pids", what: "processes are limited", used: limited("pids") },
  cpuTime: {
    pointer: "/resources/cpuTime",
    what: "CPU time of all together is limited",
    used: limited("cpuTime"),
  },
  wallTime: { pointer: "/resources/wallTime", what: "time is limited", used: limited("wallTime") },
  rlimits: {
    pointer: "/resources/openFiles",
    what: "files, their size, core files and other rlimits are limited",
    used: ({ resources }) =>
      resources.openFiles !== null ||
      resources.fileSize !== null ||
      resources.coreSize !== null ||
      Object.keys(resources.rlimits).length > 0,
  },
  io: {
    pointer: "/resources/io",
    what: "block I/O is limited",
    used: ({ resources }) => resources.io.length > 0,
  },
  outputSize: { pointer: "/resources/outputSize", what: "output is limited", used: limited("outputSize") },
  process: {
    pointer: "/process/umask",
    what: "umask, priority and the score for the out-of-memory killer are set",
    used: ({ process }) => process.nice !== 0 || process.oomScoreAdj !== 0 || process.umask !== 0o22,
  },
  memoryDenyWriteExecute: {
    pointer: "/process/memoryDenyWriteExecute",
    what: "memory that was written cannot be executed",
    used: ({ process }) => process.memoryDenyWriteExecute,
  },
  terminal: {
    pointer: "/process/terminal",
    what: "a terminal goes through a relay of its own",
    used: always,
  },
  audit: { pointer: "/audit", what: "every run is recorded in a log", used: ({ audit }) => audit.require },
  failClosed: { pointer: "/require", what: "a host that cannot give a control is refused", used: always },
} as const satisfies Readonly<Record<string, AspectText>>;

export type Aspect = keyof typeof ASPECTS;

/** Of a target whose filter is for one kind of machine. */
export function oneMachineLeft({ seccomp }: Spec, arch: Arch): readonly Left[] {
  return seccomp === null
    ? []
    : [{ pointer: "/seccomp", what: `the filter is for both architectures: this one is for ${arch}` }];
}

/** What the profile uses and the target does not carry, in the order of the list. */
export function leftOut(spec: Spec, carried: readonly Aspect[]): readonly Left[] {
  return Object.entries(ASPECTS).flatMap(([aspect, { pointer, what, used }]) =>
    used(spec) && !carried.includes(aspect as Aspect) ? [{ pointer, what }] : [],
  );
}
