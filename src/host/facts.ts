/**
 * Host facts: all that the compiler may know about the machine. Plain data, probed once, passed as an argument;
 * recorded ones (test/golden/hosts/) stand for machines that are not here.
 */
import type { Namespace, Rlimit } from "../profile/spec.ts";
import type { FileSystemFact } from "./file-system.ts";

export type Arch = "x86_64" | "aarch64";

/** Something a host either can do, or cannot, and then why and what would change that. */
export type Ability =
  | { readonly available: true }
  | { readonly available: false; readonly reason: string; readonly fix: string };

/** cgroup controllers by their v2 names; `cpuacct` and `freezer` exist on v1 only. */
export type Controller = "memory" | "cpu" | "cpuacct" | "pids" | "io" | "cpuset" | "freezer";

export interface CgroupController {
  readonly version: 1 | 2;
  /** Absolute directory under which `sandbox-<run id>` may be made; the same for all v2 controllers. */
  readonly parent: string;
  /**
   * Where a launcher that outlives its compiler makes its own: the top of the hierarchy. Absent where `parent` is the only place. The group
   * that this process happens to be in may be gone tomorrow.
   */
  readonly top?: string;
}

export interface CgroupFacts {
  readonly layout: "v2" | "v1" | "hybrid" | "none";
  readonly controllers: Readonly<Partial<Record<Controller, CgroupController>>>;
  /** v2: controllers that must first be written to the parent's cgroup.subtree_control, and by moving which processes away. */
  readonly prepare: {
    readonly subtreeControl: string;
    readonly enable: readonly Controller[];
    /** Directory to make and move our own process into first (no internal processes rule), or null. */
    readonly leaf: string | null;
  } | null;
  /** v1: whether memory.memsw.* exists. v2: whether memory.swap.max exists. */
  readonly swapAccounting: boolean;
  /** Why controllers are missing, and the command that would change it; null when nothing is missing. */
  readonly missing: { readonly reason: string; readonly fix: string } | null;
}

export interface SubordinateRange {
  readonly start: number;
  readonly count: number;
}

/** AppArmor, where the kernel enforces it. */
export interface AppArmorFacts {
  /** Label of the caller: "unconfined", or names of profiles without their mode. */
  readonly label: string;
  /** The label takes something from the caller: a profile in mode unconfined does not. */
  readonly confined: boolean;
  /** The caller may load policy: root of the host, securityfs writable, apparmor_parser installed. */
  readonly load: Ability;
  /** Absolute path of apparmor_parser(8); null: not installed. */
  readonly parser: string | null;
  /** Newest version of the policy language that the parser has a feature file for. */
  readonly abi: "3.0" | "4.0" | null;
  /** The kernel takes user namespaces from unconfined programs without privilege (Ubuntu 23.10 and later). */
  readonly restrictsUserNamespaces: boolean;
}

/** SELinux, where a policy is loaded. */
export interface SelinuxFacts {
  readonly mode: "enforcing" | "permissive";
  /** Label of the caller: user:role:type, with a level where the policy has levels. */
  readonly label: string;
  /** The policy has levels and categories. */
  readonly mls: boolean;
  /** The caller is in the first pid namespace: no process of this kernel has a pid that a live one here has. */
  readonly initialPidNamespace: boolean;
}

export interface HostFacts {
  readonly arch: Arch;
  readonly kernel: { readonly release: string; readonly major: number; readonly minor: number };
  readonly user: {
    readonly uid: number;
    readonly gid: number;
    readonly groups: readonly number[];
    readonly name: string;
  };
  /** Effective capabilities of the caller in its user namespace, names. */
  readonly capabilities: readonly string[];
  /** The caller's hard resource limits that are not unlimited. Raising one takes CAP_SYS_RESOURCE in the initial user namespace. */
  readonly hardLimits: Readonly<Partial<Record<Rlimit, number>>>;
  /** CAP_LAST_CAP. */
  readonly lastCapability: number;
  readonly userNamespaces: Ability;
  readonly namespaces: Readonly<Record<Namespace, boolean>>;
  /** First host id of a region that owns nothing and holds `pidMax` ids; null when the caller cannot map other ids. */
  readonly idBase: number | null;
  readonly pidMax: number;
  readonly subordinate: {
    readonly uid: readonly SubordinateRange[];
    readonly gid: readonly SubordinateRange[];
    readonly newuidmap: string | null;
    readonly newgidmap: string | null;
  };
  readonly cgroup: CgroupFacts;
  /** overlayfs mountable inside a user namespace. */
  readonly overlay: Ability;
  /** A new procfs mountable inside user + pid namespaces. */
  readonly proc: Ability;
  /** Bind mounts with translated ids (mount_setattr MOUNT_ATTR_IDMAP) possible for the caller. */
  readonly idmappedMounts: Ability;
  readonly seccomp: Ability;
  /** libseccomp version such as "2.5.4"; null when it cannot be loaded. */
  readonly libseccomp: string | null;
  readonly lsms: readonly string[];
  /** The major security modules: the kernel labels processes by at most one of them. null: not active. */
  readonly lsm: { readonly apparmor: AppArmorFacts | null; readonly selinux: SelinuxFacts | null };
  /** 0 when absent; null when the kernel could not be asked. */
  readonly landlockAbi: number | null;
  /** Highest online CPU count, for messages and cpuset checks. */
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
  /** The top-level entries that make a `system` root: "/bin" → "usr/bin" when a link, null when a real directory. */
  readonly systemRoot: Readonly<Record<string, string | null>>;
  /** Host files of /etc that a `system` root shows when present: path → "file" | "directory". */
  readonly systemEtc: Readonly<Record<string, "file" | "directory">>;
  /** Every mount point that the caller sees, sorted, each once: an overlay cannot take a directory that has one below it. */
  readonly mountPoints: readonly string[];
  /** Target of the host's /etc/localtime link below /usr/share/zoneinfo, else null. */
  readonly timezone: string | null;
}

/** Name of the file that marks a directory as one that keeps the writes of runs: 0600, of whoever runs them. */
export const WRITES_MARK = ".sandbox-writes";

/** What the compiler must know about the paths and the command a spec names. Probed after the spec is known. */
export interface PathFact {
  readonly type: "file" | "directory" | "device" | "other" | "missing";
  /** Path with all links resolved; equals the key when there are none. */
  readonly real: string;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** The file system it lies on, for paths that become a layer of an overlay; null: one that serves. */
  readonly fileSystem?: FileSystemFact | null;
  /** For the directory that is to keep the writes: whether it holds what no run of ours left there. */
  readonly foreign?: boolean;
}

/** Facts about one run's command line, for the parts of the plan that depend on it. */
export interface CommandFacts {
  /** The command as given. */
  readonly name: string;
  /** Absolute host path of a command given as a path (contains "/"), else null: searched in PATH inside. */
  readonly hostPath: string | null;
  /** `closure` root: every file to show, absolute host paths, program first. */
  readonly closure: readonly string[];
}

/** What the loaded SELinux policy knows of the labels that a request may use. */
export interface SelinuxLabels {
  /** Digest of the rules of the profile's own module. */
  readonly digest: string;
  /** Whether each label is valid; null where the caller may not ask. */
  readonly known: Readonly<Record<string, boolean | null>>;
  /** Whether the policy only logs what it would refuse the payload's domain (semanage-permissive(8)); null where the caller may not ask. */
  readonly permissive: boolean | null;
}

/** How the kernel holds whom an AppArmor profile confines (apparmor.d(5), "Profile flags"); "absent": no profile of that name is loaded. */
export const APPARMOR_MODES = ["enforce", "kill", "complain", "unconfined", "prompt"] as const;
export type AppArmorMode = (typeof APPARMOR_MODES)[number] | "absent";

/** A place of the tool's own that a payload must not write to. */
export interface OwnPlace {
  readonly use: "cache" | "log";
  readonly path: string;
  /** Real paths of everything on the way to it that exists, itself included, sorted. */
  readonly way: readonly string[];
}

/** What is particular to one request: the caller's directory and the facts of the paths named. */
export interface RequestFacts {
  readonly cwd: string;
  readonly paths: Readonly<Record<string, PathFact>>;
  readonly command: CommandFacts | null;
  /** Directories below /usr/local that programs install into, relative to it, parents first; [] where the root takes no writes. */
  readonly installTree: readonly string[];
  /** The cache and the log of this request, where it has them; [] also where no path of the host is writable inside. */
  readonly ownPlaces: readonly OwnPlace[];
  /** null: SELinux is not active, or not asked for. */
  readonly selinux: SelinuxLabels | null;
  /** Of the profile that `lsm.apparmorProfile` names; null: AppArmor is not active, none is named, or the kernel cannot be asked. */
  readonly apparmorMode: AppArmorMode | null;
}
