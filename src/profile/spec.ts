/**
 * The Spec: a profile after inheritance, defaults and overrides. Nothing is optional, every size is in bytes,
 * every time in milliseconds, and each value has a provenance (see `ResolvedProfile`).
 */
import type { Provenance } from "../problems.ts";
import type { FsRight, LandlockScope, NetRight } from "../program/landlock.ts";

export const NAMESPACES = ["user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"] as const;
export type Namespace = (typeof NAMESPACES)[number];

export const CAPABILITY_SETS = ["bounding", "effective", "permitted", "inheritable", "ambient"] as const;
export type CapabilitySet = (typeof CAPABILITY_SETS)[number];

/** OCI `linux.uidMappings` entry. */
export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/**
 * How ids inside map to ids outside.
 * - `auto`: one uid and one gid; run by root, to host ids that own nothing and that no other sandbox has;
 *   run by an ordinary user, to the user's own ids.
 * - `subordinate`: ids 0..65535 to a range: root takes a free range, an ordinary user one of /etc/subuid
 *   through newuidmap and newgidmap.
 * - explicit OCI mappings.
 */
export type IdMap =
  | "auto"
  | "subordinate"
  | { readonly uidMappings: readonly IdMapping[]; readonly gidMappings: readonly IdMapping[] };

/**
 * The root that the payload sees.
 * - `system`: the host's /usr (and /bin, /lib, ... as the host has them) read-only, plus a generated /etc: `minimal`, or with
 *   the host's configuration of ordinary tools that holds no secret (`tools`).
 * - `closure`: only the program, its ELF interpreter and its DT_NEEDED closure.
 * - `directory`: a directory with a root file system; its content is assumed hostile.
 * - `empty`: nothing but what `mounts` and `devices` add.
 */
export type Root =
  | { readonly type: "system"; readonly etc: "minimal" | "tools" }
  | { readonly type: "closure" }
  | { readonly type: "directory"; readonly path: string }
  | { readonly type: "empty" };

/** Where writes to the root go: refused, discarded after the run, or kept in a host directory. */
export type Write = "none" | "ephemeral" | { readonly directory: string };

/** `ro rw nosuid nodev noexec exec rbind bind` as in mount(8); nosuid and nodev are always on. */
export type MountOption = "ro" | "rw" | "noexec" | "exec" | "nosuid" | "nodev" | "bind" | "rbind";

export type Mount =
  | {
      readonly type: "bind";
      readonly source: string;
      readonly target: string;
      /** Normalised: exactly one of ro/rw, one of exec/noexec. Recursive always. */
      readonly readOnly: boolean;
      readonly noExec: boolean;
      /** A missing source is skipped and recorded instead of refused. */
      readonly optional: boolean;
    }
  | {
      readonly type: "tmpfs";
      readonly target: string;
      /** Bytes. */
      readonly size: number;
      readonly inodes: number;
      /** Permission bits, for example 0o1777. */
      readonly mode: number;
      readonly noExec: boolean;
      readonly readOnly: boolean;
    }
  | {
      /** A file made by the launcher, read-only. */
      readonly type: "file";
      readonly target: string;
      readonly content: string;
      readonly mode: number;
    }
  | { readonly type: "symlink"; readonly target: string; readonly link: string };

export const DEVICES = [
  "null",
  "zero",
  "full",
  "random",
  "urandom",
  "tty",
  "pts",
  "shm",
  "mqueue",
  "fd",
] as const;
/** `pts`, `shm`, `mqueue` are own instances; `fd` the links fd, stdin, stdout, stderr into /proc. */
export type Device = (typeof DEVICES)[number];

/** Private procfs: `pids` hides everything but processes (subset=pid), `full` shows the rest too. */
export type ProcMode = "none" | "pids" | "full";

/** OCI `linux.seccomp`. Names may also be groups such as `@file-system`. */
export interface SeccompSpec {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | undefined;
  readonly architectures?: readonly string[] | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly syscalls: readonly SeccompRule[];
}
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number | undefined;
  readonly args?: readonly SeccompArg[] | undefined;
  /** Docker's and Podman's extension: the rule holds only when all of this is so. */
  readonly includes?: SeccompCondition | undefined;
  readonly excludes?: SeccompCondition | undefined;
}
export interface SeccompArg {
  /** 0..5 */
  readonly index: number;
  readonly op: string;
  /** Unsigned 64 bits. JSON numbers above 2^53 must be written as strings (decimal or 0x hexadecimal). */
  readonly value: bigint;
  readonly valueTwo: bigint;
}
export interface SeccompCondition {
  readonly caps?: readonly string[] | undefined;
  readonly arches?: readonly string[] | undefined;
  readonly minKernel?: string | undefined;
}

/**
 * Landlock: what the payload may do with files, ports and processes, whatever else would let it.
 * Rights have the kernel's names.
 */
export interface LandlockSpec {
  /** `derived`: where the rest of the profile allows it; or exactly these absolute paths inside, each with all below it. */
  readonly fs: Readonly<Record<FsRight, "derived" | readonly string[]>>;
  /** `any` port, or these alone. */
  readonly net: Readonly<Record<NetRight, "any" | readonly number[]>>;
  /** Whether it ends at the sandbox's edge. */
  readonly scope: Readonly<Record<LandlockScope, boolean>>;
  /** Whether the kernel's audit log gets a record of each denial. */
  readonly log: boolean;
}

export const RLIMITS = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
] as const;
/** The names of prlimit(1), lower case: RLIMIT_AS is `as`. */
export type Rlimit = (typeof RLIMITS)[number];

export const LSM_TYPES = ["any", "apparmor", "selinux", "none"] as const;
/** The major security module that confines the payload: `any`, whichever this host enforces. */
export type LsmType = (typeof LSM_TYPES)[number];

/** null means: no limit of ours. */
export interface Resources {
  /** Bytes, cgroup memory limit. */
  readonly memory: number | null;
  /** Bytes of swap on top of memory. */
  readonly swap: number | null;
  /** CPUs' worth of time, for example 0.5. */
  readonly cpus: number | null;
  /** cpuset list such as "0-1,3". */
  readonly cpuset: string | null;
  readonly pids: number | null;
  /** Block I/O throttles per device, "MAJ:MIN". */
  readonly io: readonly {
    readonly device: string;
    readonly readBps: number | null;
    readonly writeBps: number | null;
    readonly readIops: number | null;
    readonly writeIops: number | null;
  }[];
  /** Milliseconds of CPU time for the whole sandbox. */
  readonly cpuTime: number | null;
  /** Milliseconds. */
  readonly wallTime: number | null;
  /** Bytes, RLIMIT_FSIZE. */
  readonly fileSize: number | null;
  readonly openFiles: number | null;
  /** Bytes, RLIMIT_CORE. */
  readonly coreSize: number | null;
  /** Bytes of stdout and stderr together; enforced by the supervisor. */
  readonly outputSize: number | null;
  /** Every other rlimit, soft and hard. Units of setrlimit(2). */
  readonly rlimits: Readonly<
    Partial<Record<Rlimit, { readonly soft: number | "unlimited"; readonly hard: number | "unlimited" }>>
  >;
}

/** The sections a profile can put a requirement on: its own top-level names. */
export const CONTROLS = [
  "namespaces",
  "identity",
  "filesystem",
  "capabilities",
  "noNewPrivileges",
  "seccomp",
  "lsm",
  "landlock",
  "resources",
  "network",
  "environment",
  "process",
  "audit",
] as const;
export type Control = (typeof CONTROLS)[number];

/** How much of a control is in force. */
export const STATUSES = ["full", "partial", "none"] as const;
export type Status = (typeof STATUSES)[number];

export interface Spec {
  readonly name: string;
  readonly description: string;
  readonly namespaces: Readonly<Record<Namespace, boolean>>;
  readonly identity: {
    readonly uid: number;
    readonly gid: number;
    readonly map: IdMap;
    /** False refuses uid or gid 0 inside. */
    readonly allowRoot: boolean;
    readonly hostname: string;
  };
  readonly filesystem: {
    readonly root: Root;
    readonly write: Write;
    /** Bytes for all discarded writes. */
    readonly writeSize: number;
    readonly proc: ProcMode;
    readonly mounts: readonly Mount[];
    readonly masked: readonly string[];
    readonly readOnly: readonly string[];
    readonly devices: readonly Device[];
    /** Bytes for /dev/shm. */
    readonly shmSize: number;
    /** Bind the working directory at its own path: read-write, read-only or not at all. */
    readonly workdir: "rw" | "ro" | "none";
  };
  /** Names such as CAP_NET_BIND_SERVICE. */
  readonly capabilities: Readonly<Record<CapabilitySet, readonly string[]>>;
  readonly noNewPrivileges: boolean;
  readonly seccomp: SeccompSpec | null;
  readonly lsm: {
    readonly type: LsmType;
    /** OCI `process.apparmorProfile`: a profile that is loaded already; null: one made from this profile. */
    readonly apparmorProfile: string | null;
    /** OCI `process.selinuxLabel`: user:role:type:level of the payload; null: the label of the module made from this profile. */
    readonly selinuxLabel: string | null;
    /** OCI `linux.mountLabel`: label of the file systems that the sandbox makes; null: derived as well. */
    readonly mountLabel: string | null;
  };
  /** null: none. */
  readonly landlock: LandlockSpec | null;
  readonly resources: Resources;
  readonly network: { readonly mode: "none" | "host" };
  readonly environment: { readonly pass: readonly string[]; readonly set: Readonly<Record<string, string>> };
  readonly process: {
    /** Absolute path inside; null: the caller's directory if the root shows it, else "/". */
    readonly workdir: string | null;
    readonly umask: number;
    readonly nice: number;
    readonly oomScoreAdj: number;
    readonly terminal: "auto" | "always" | "never";
    /** prctl(PR_SET_MDWE). */
    readonly memoryDenyWriteExecute: boolean;
    /** Disable speculative store bypass and indirect branch speculation (PR_SET_SPECULATION_CTRL). */
    readonly speculationMitigations: boolean;
    /** Nanosecond offsets of the time namespace, OCI `linux.timeOffsets`. */
    readonly timeOffsets: {
      readonly monotonic: { readonly secs: number; readonly nanosecs: number };
      readonly boottime: { readonly secs: number; readonly nanosecs: number };
    };
  };
  readonly audit: {
    readonly require: boolean;
    readonly onFailure: "refuse" | "kill" | "continue";
    /** Names of environment variables, and patterns (JavaScript regular expressions) for argv, whose values are not logged. */
    readonly redact: readonly string[];
  };
  /** What each control needs at least; a missing key means `full`. */
  readonly require: Readonly<Record<Control, Status>>;
}

/** A spec with the origin of every value. */
export interface ResolvedProfile {
  readonly spec: Spec;
  /** Nearest enclosing entry wins: look up `/resources/memory`, then `/resources`, then `""`. */
  readonly provenance: Readonly<Record<string, Provenance>>;
  /** Files read, base first, with the SHA-256 of their bytes (lower-case hex). */
  readonly sources: readonly { readonly file: string; readonly sha256: string }[];
}

/** One change to a profile from outside it: a flag, `--set`, or a library option. Applied in order. */
export interface Override {
  /** JSON pointer into the profile document; a last token of `-` appends to an array. */
  readonly pointer: string;
  /** As an author would write it in JSON: "256M", "10s". */
  readonly value: unknown;
  readonly source: Provenance;
}
