/**
 * Takes host facts, gives what this host can enforce, what blocks the rest, and the command that would unblock it. Pure:
 * a recorded host is examined like the live one. `verifyByTrying` (trial.ts) puts the deductions to the test.
 */
import { NAMESPACES, type Status } from "../profile/spec.ts";
import { ABI_KERNELS, FS_RIGHTS, SCOPES } from "../program/landlock.ts";
import type { Ability, HostFacts } from "./facts.ts";
import { atLeast } from "./kernel.ts";

/** One line of the report. */
export interface Examination {
  /** Stable name: "user-namespaces", "seccomp", ... */
  readonly control: string;
  readonly title: string;
  readonly status: Status;
  readonly detail: string;
  /** A command or an instruction that would make it better; null when there is nothing to do. */
  readonly fix: string | null;
}

export const PROFILES = ["judge", "strict", "build", "standard"] as const;
export type BuiltInProfile = (typeof PROFILES)[number];

export interface DoctorReport {
  readonly version: 1;
  readonly host: {
    readonly arch: string;
    readonly kernel: string;
    readonly user: string;
    readonly uid: number;
    readonly cgroups: string;
    readonly libseccomp: string | null;
    readonly lsms: readonly string[];
    readonly landlockAbi: number | null;
  };
  readonly examinations: readonly Examination[];
  /** Whether each built-in profile can run here, and the controls that stop it. */
  readonly profiles: Readonly<
    Record<BuiltInProfile, { readonly runs: boolean; readonly blockedBy: readonly string[] }>
  >;
  /** The strongest profile that runs here and needs the least trust in the program; null when none does. */
  readonly strongest: BuiltInProfile | null;
}

/** What each built-in profile cannot do without: an examination below the status stops it. */
const NEEDS: Readonly<Record<BuiltInProfile, Readonly<Record<string, Status>>>> = {
  strict: {
    "user-namespaces": "full",
    namespaces: "full",
    proc: "full",
    seccomp: "full",
    resources: "none",
  },
  judge: {
    "user-namespaces": "full",
    namespaces: "full",
    proc: "full",
    seccomp: "full",
    resources: "full",
  },
  standard: {
    "user-namespaces": "full",
    namespaces: "full",
    proc: "full",
    seccomp: "full",
    overlay: "full",
    resources: "none",
  },
  build: {
    "user-namespaces": "full",
    namespaces: "full",
    proc: "full",
    seccomp: "full",
    overlay: "full",
    resources: "none",
  },
};
/** Least trust first; judge is strict with exact accounts, which not everybody needs. */
const STRONGEST_FIRST: readonly BuiltInProfile[] = ["strict", "judge", "standard", "build"];
const RANK: Readonly<Record<Status, number>> = { none: 0, partial: 1, full: 2 };

export function examine(facts: HostFacts): DoctorReport {
  const examinations = [
    fromAbility(
      "user-namespaces",
      "User namespaces",
      facts.userNamespaces,
      "the sandbox has ids and capabilities of its own",
    ),
    examineNamespaces(facts),
    examineIdentity(facts),
    fromAbility("proc", "Private /proc", facts.proc, "a new procfs that shows only the sandbox's processes"),
    fromAbility(
      "overlay",
      "Discarded and kept writes",
      facts.overlay,
      "overlayfs mounts in a user namespace",
    ),
    fromAbility(
      "idmapped-mounts",
      "Binds with translated ids",
      facts.idmappedMounts,
      "a bound directory keeps its owners inside",
    ),
    fromAbility("seccomp", "System call filters", facts.seccomp, "seccomp filters are supported"),
    examineLibseccomp(facts),
    examineLsm(facts),
    examineLandlock(facts),
    examineResources(facts),
    examineSwap(facts),
  ];
  const status = new Map(examinations.map((entry) => [entry.control, entry.status]));
  const assess = (profile: BuiltInProfile) => {
    const blockedBy = Object.entries(NEEDS[profile])
      .filter(([control, need]) => RANK[status.get(control) ?? "none"] < RANK[need])
      .map(([control]) => control);
    return { runs: blockedBy.length === 0, blockedBy };
  };
  const profiles = {
    judge: assess("judge"),
    strict: assess("strict"),
    build: assess("build"),
    standard: assess("standard"),
  };
  return {
    version: 1,
    host: {
      arch: facts.arch,
      kernel: facts.kernel.release,
      user: facts.user.name,
      uid: facts.user.uid,
      cgroups: facts.cgroup.layout,
      libseccomp: facts.libseccomp,
      lsms: facts.lsms,
      landlockAbi: facts.landlockAbi,
    },
    examinations,
    profiles,
    strongest: STRONGEST_FIRST.find((profile) => profiles[profile].runs) ?? null,
  };
}

function fromAbility(control: string, title: string, ability: Ability, detail: string): Examination {
  return ability.available
    ? { control, title, status: "full", detail, fix: null }
    : { control, title, status: "none", detail: ability.reason, fix: ability.fix };
}

const NAMESPACE_LIMITS: Readonly<Record<(typeof NAMESPACES)[number], string>> = {
  user: "user",
  mount: "mnt",
  pid: "pid",
  network: "net",
  ipc: "ipc",
  uts: "uts",
  cgroup: "cgroup",
  time: "time",
};

function examineNamespaces(facts: HostFacts): Examination {
  const absent = NAMESPACES.filter((namespace) => !facts.namespaces[namespace]);
  const entry = { control: "namespaces", title: "Namespaces" };
  if (absent.length === 0) {
    return {
      ...entry,
      status: "full",
      detail: `all ${NAMESPACES.length} kinds: ${NAMESPACES.join(", ")}`,
      fix: null,
    };
  }
  return {
    ...entry,
    status: absent.length === NAMESPACES.length ? "none" : "partial",
    detail: `missing or turned off: ${absent.join(", ")}`,
    fix: `sudo sysctl ${absent.map((name) => `user.max_${NAMESPACE_LIMITS[name]}_namespaces=15000`).join(" ")} (time namespaces need Linux 5.6)`,
  };
}

function holds(ranges: HostFacts["subordinate"]["uid"]): boolean {
  return ranges.some((range) => range.count >= 65536);
}

/** An ordinary user gets along with their own ids; other ids need root or newuidmap. */
function examineIdentity(facts: HostFacts): Examination {
  const entry = { control: "identity", title: "Ids inside" };
  if (facts.idBase !== null) {
    return {
      ...entry,
      status: "full",
      detail: `host ids from ${facts.idBase} that own nothing, others for each sandbox`,
      fix: null,
    };
  }
  const { uid, gid, newuidmap, newgidmap } = facts.subordinate;
  if (newuidmap !== null && newgidmap !== null && holds(uid) && holds(gid)) {
    return {
      ...entry,
      status: "full",
      detail: "your own ids, or ranges from /etc/subuid through newuidmap",
      fix: null,
    };
  }
  const name = facts.user.name;
  const helpers = newuidmap === null || newgidmap === null;
  return {
    ...entry,
    status: "partial",
    detail: helpers
      ? "only your own ids: newuidmap and newgidmap are not installed or not usable"
      : `only your own ids: ${name} has no 65536 subordinate ids`,
    fix: helpers
      ? "sudo apt install uidmap (Debian, Ubuntu), sudo dnf install shadow-utils (Fedora), sudo apk add shadow-uidmap (Alpine)"
      : `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`,
  };
}

function examineLibseccomp(facts: HostFacts): Examination {
  const entry = { control: "libseccomp", title: "Filter compiler" };
  if (facts.libseccomp !== null)
    return { ...entry, status: "full", detail: `libseccomp ${facts.libseccomp}`, fix: null };
  return {
    ...entry,
    status: "partial",
    detail: "libseccomp.so.2 is not in a library directory; our own emitter takes its place",
    fix: "sudo apt install libseccomp2 (Debian, Ubuntu), sudo dnf install libseccomp (Fedora), sudo apk add libseccomp (Alpine), sudo pacman -S libseccomp (Arch)",
  };
}

/** Either module; a kernel labels processes by one of the two at most. */
function examineLsm({ lsm: { apparmor, selinux } }: HostFacts): Examination {
  const entry = { control: "lsm", title: "Mandatory access control" };
  if (apparmor !== null) {
    if (apparmor.load.available)
      return { ...entry, status: "full", detail: "AppArmor: a profile is made for every sandbox", fix: null };
    const detail = `AppArmor: only profiles that are loaded already, by name; ${apparmor.load.reason}`;
    return { ...entry, status: "partial", detail, fix: apparmor.load.fix };
  }
  if (selinux !== null) {
    if (selinux.mode === "enforcing")
      return {
        ...entry,
        status: "full",
        detail:
          "SELinux: every sandbox has a label of its own where its profile's module is loaded, for strict with sandbox profile export strict --to selinux > sandbox_strict.cil, then sudo semodule -i sandbox_strict.cil",
        fix: null,
      };
    return {
      ...entry,
      status: "none",
      detail: "SELinux is permissive: it logs only",
      fix: "sudo setenforce 1",
    };
  }
  return {
    ...entry,
    status: "none",
    detail: "this kernel enforces neither AppArmor nor SELinux",
    fix: "boot with security=apparmor or security=selinux on the kernel command line, where the kernel has the module",
  };
}

function examineLandlock({ landlockAbi: abi, kernel }: HostFacts): Examination {
  const entry = { control: "landlock", title: "Landlock" };
  if (abi === null) {
    return {
      ...entry,
      status: "none",
      detail:
        "the kernel could not be asked for its Landlock: a program of one system call did not run to its end",
      fix: "see that a process can be started and memory be had, and ask again",
    };
  }
  if (abi === 0) {
    return {
      ...entry,
      status: "none",
      detail: "this kernel has no Landlock, or something around this process refuses it",
      fix: atLeast(kernel, ...LANDLOCK_FIRST)
        ? "boot with landlock in the lsm= list of the kernel command line: lsm=landlock,... and what /sys/kernel/security/lsm shows"
        : `use a kernel of version ${LANDLOCK_FIRST.join(".")} or later`,
    };
  }
  const newest = abi >= SCOPES.signal.since;
  return {
    ...entry,
    status: newest ? "full" : "partial",
    detail: newest
      ? `ABI ${abi}: files, TCP ports, devices, signals and abstract sockets`
      : `ABI ${abi}: it does not know ${UNKNOWN.filter(({ since }) => since > abi)
          .map(({ what }) => what)
          .join(", ")}`,
    fix: newest ? null : `use a kernel of version ${ABI_KERNELS[SCOPES.signal.since]?.join(".")} or later`,
  };
}

const LANDLOCK_FIRST = [5, 13] as const;
/** What the shipped profiles want of it, by the ABI that brought it. */
const UNKNOWN = [
  { what: "moving files between directories", since: FS_RIGHTS.refer.since },
  { what: "cutting files", since: FS_RIGHTS.truncate.since },
  { what: "commands to devices", since: FS_RIGHTS.ioctl_dev.since },
  { what: "signals and abstract sockets", since: SCOPES.signal.since },
];

function examineResources(facts: HostFacts): Examination {
  const entry = { control: "resources", title: "Memory, CPU and process limits" };
  const { controllers, missing, layout } = facts.cgroup;
  const held = Object.keys(controllers);
  const main = ["memory", "cpu", "pids"].filter((name) => held.includes(name));
  const detail =
    main.length === 0
      ? "rlimits only, which bind each process and not their sum"
      : `cgroups (${layout}): ${held.join(", ")}`;
  return {
    ...entry,
    status: main.length === 3 ? "full" : main.length === 0 ? "none" : "partial",
    detail: missing === null ? detail : `${detail}; ${missing.reason}`,
    fix: missing?.fix ?? null,
  };
}

function examineSwap(facts: HostFacts): Examination {
  const entry = { control: "swap", title: "Swap limit" };
  if (facts.cgroup.swapAccounting)
    return { ...entry, status: "full", detail: "swap is accounted", fix: null };
  if (facts.cgroup.controllers.memory === undefined) {
    return {
      ...entry,
      status: "none",
      detail: "needs the memory controller",
      fix: facts.cgroup.missing?.fix ?? null,
    };
  }
  return {
    ...entry,
    status: "none",
    detail: "the kernel accounts no swap",
    fix: "boot with swapaccount=1 on the kernel command line",
  };
}
