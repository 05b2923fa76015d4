/**
 * Which layers hold what, for each shipped profile: asked of what the profile becomes (its plan on a host that has everything, its filter, its
 * AppArmor and SELinux policy), not of what documents say. A layer counts where it would refuse by itself.
 */

import type { LaunchPlan } from "../../src/compile/plan.ts";
import { admittedBy } from "../../src/compile/seccomp/admits.ts";
import { exportProfile } from "../../src/export.ts";
import { unwrap } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import type { Control, Spec } from "../../src/profile/spec.ts";
import { type FsRight, NEWEST_ABI } from "../../src/program/landlock.ts";
import { planFor, recordedHost } from "../compile/plan.ts";

export const PROFILES = ["strict", "standard", "build", "judge"] as const;

/** In the order in which a table names them. */
export const LAYERS = [
  "namespaces",
  "mounts",
  "ids",
  "capabilities",
  "filter",
  "Landlock",
  "AppArmor",
  "SELinux",
  "cgroups",
  "rlimits",
  "launcher",
  "supervisor",
] as const;
export type Layer = (typeof LAYERS)[number];

/** What a profile becomes, as far as a row asks. */
export interface Facts {
  readonly spec: Spec;
  /** Whether the filter lets a call with these arguments through. */
  readonly admits: ReturnType<typeof admittedBy>;
  /** Whether the right holds at / inside, and so everywhere; not handled counts as everywhere. */
  readonly everywhere: (right: FsRight) => boolean;
  readonly scoped: (scope: "signal" | "abstract_unix_socket") => boolean;
  /** Whether a line of the AppArmor profile (version 4 of its language) matches. */
  readonly appArmor: (line: RegExp) => boolean;
  /** Whether the SELinux module allows the payload something that matches. */
  readonly selinux: (rule: RegExp) => boolean;
  /** Whether a call of the launcher is in the plan. */
  readonly makes: (call: string) => boolean;
}

const CWD = "/home/user/work";

export function factsOf(name: string): Facts {
  const profile = unwrap(resolveProfile({ profile: name, overrides: [], cwd: CWD }, profileFiles()));
  const host = { ...recordedHost("debian-root-v1-hybrid"), landlockAbi: NEWEST_ABI };
  const plan: LaunchPlan = unwrap(planFor({ host, profile: name, cwd: CWD }));
  const landlock = landlockOf(plan);
  const text = (format: "apparmor-4" | "selinux"): readonly string[] =>
    unwrap(exportProfile({ profile: name, overrides: [], cwd: CWD }, format))
      .text.split("\n")
      .map((line) => line.trim());
  const [apparmor, selinux] = [text("apparmor-4"), text("selinux")];
  const calls = new Set(
    Object.values(plan.program.roles).flatMap(({ steps }) =>
      steps.flatMap((step) => (step.kind === "call" ? [step.call as string] : [])),
    ),
  );
  return {
    spec: profile.spec,
    admits: admittedBy(profile),
    everywhere: (right) => landlock.places.get(right)?.includes("/") ?? true,
    scoped: (scope) => landlock.scoped.includes(scope),
    appArmor: (line) => apparmor.some((each) => line.test(each)),
    selinux: (rule) => selinux.some((each) => each.startsWith("(allow payload") && rule.test(each)),
    makes: (call) => calls.has(call),
  };
}

/** Where each right on files holds, and what is scoped: from the decisions of a plan, so from what was compiled. */
function landlockOf({ decisions }: LaunchPlan) {
  const setting = (id: string): string => decisions.find((decision) => decision.id === id)?.setting ?? "";
  const places = new Map<string, readonly string[]>();
  for (const part of setting("landlock.fs").split("; ")) {
    const [rights = "", at = ""] = part.split(": ");
    for (const right of rights.split(", ")) places.set(right, at.split(" "));
  }
  return { places, scoped: setting("landlock.scope").split(":")[0]?.split(", ") ?? [] };
}

export interface Row {
  readonly control: Control;
  /** What must not happen, or must hold. */
  readonly what: string;
  /** True where the profile lets it happen: then no layer holds it. */
  readonly allowed?: (facts: Facts) => boolean;
  readonly held: Readonly<Partial<Record<Layer, (facts: Facts) => boolean>>>;
  /**
   * The same of what the modules' own compilers make of the policies: paths inside with what is done to them ("r", "w", "x"), and neverallow rules
   * in CIL, in which X is the profile's block. Refused, every one of them, where the row names the layer, and not everywhere else.
   */
  readonly compiled?: {
    readonly AppArmor?: readonly (readonly [path: string, access: "r" | "w" | "x"])[];
    readonly SELinux?: string;
  };
}

const always = (): boolean => true;
/** What every domain refuses that keeps any right on files: changes of the mount tree, tracing of what is outside. */
const inDomain = ({ spec }: Facts): boolean => spec.landlock !== null;
const none = ({ spec }: Facts): boolean =>
  Object.values(spec.capabilities).every((names) => names.length === 0);
const SIGNAL_OWN = /^signal \(send\) peer=@\{own\},$/;
const WHOLE_ROOT_WRITTEN = /^\/\{,\{.* \S*w\S*,$/;

export const ROWS: readonly Row[] = [
  {
    control: "filesystem",
    what: "a file of the host that the root does not show is read",
    compiled: {
      AppArmor: [
        ["/root/.ssh/id_rsa", "r"],
        ["/home/someone/file", "r"],
        ["/var/log/syslog", "r"],
      ],
      SELinux:
        "(neverallow X.payload var_log_t (file (open))) (neverallow X.payload shadow_t (file (open read)))",
    },
    held: {
      mounts: ({ spec }) => spec.namespaces.mount,
      ids: ({ spec }) => spec.identity.map === "auto",
      Landlock: inDomain,
      AppArmor: ({ appArmor }) => !appArmor(/^\/\{,\{.* \S*r\S*,$/),
      SELinux: ({ selinux }) => !selinux(/file_type \(file/),
    },
  },
  {
    control: "filesystem",
    what: "a file of the host's system is changed",
    compiled: {
      AppArmor: [["/usr/bin/env", "w"]],
      SELinux:
        "(neverallow X.payload bin_t (file (append create link rename setattr unlink write))) (neverallow X.payload etc_t (file (append create link rename setattr unlink write)))",
    },
    held: {
      mounts: ({ spec }) => spec.filesystem.root.type === "system",
      ids: ({ spec }) => spec.identity.map === "auto",
      Landlock: ({ everywhere }) => !everywhere("write_file"),
      AppArmor: ({ appArmor }) => !appArmor(WHOLE_ROOT_WRITTEN),
      SELinux: ({ selinux }) => !selinux(/^\(allow payload (system|passed) \(file .*\bwrite\b/),
    },
  },
  {
    control: "filesystem",
    what: "what was written is executed",
    compiled: {
      AppArmor: [["/tmp/program", "x"]],
      SELinux: "(neverallow X.payload X.scratch (file (execute execute_no_trans)))",
    },
    allowed: ({ spec }) => spec.filesystem.mounts.some((mount) => mount.type === "tmpfs" && !mount.noExec),
    held: {
      mounts: ({ spec }) =>
        spec.filesystem.write === "none" &&
        spec.filesystem.mounts.every((mount) => mount.type !== "tmpfs" || mount.noExec),
      Landlock: ({ everywhere }) => !everywhere("execute"),
      AppArmor: ({ appArmor }) => !appArmor(/^\/tmp\S* \S*x\S*,$/),
      SELinux: ({ selinux }) => !selinux(/^\(allow payload scratch \(file .*\bexecute\b/),
    },
  },
  {
    control: "filesystem",
    what: "a device is made",
    compiled: {
      SELinux:
        "(neverallow X.payload file_type (chr_file (create))) (neverallow X.payload file_type (blk_file (create)))",
    },
    held: {
      mounts: always,
      capabilities: none,
      Landlock: ({ everywhere }) => !everywhere("make_char") && !everywhere("make_block"),
      AppArmor: ({ appArmor }) => !appArmor(/^capability .*mknod/),
      SELinux: ({ selinux }) => !selinux(/(chr|blk)_file .*create/),
    },
  },
  {
    control: "filesystem",
    what: "a device that is no terminal takes commands (ioctl)",
    held: { Landlock: ({ everywhere }) => !everywhere("ioctl_dev") },
  },
  {
    control: "filesystem",
    what: "standard input is opened again, for writing",
    compiled: {
      AppArmor: [["/home/someone/file", "w"]],
      SELinux: "(neverallow X.payload user_home_t (file (open)))",
    },
    held: {
      Landlock: inDomain,
      AppArmor: ({ appArmor }) => !appArmor(WHOLE_ROOT_WRITTEN),
      // The types of a command that lies among somebody's own files are those of redirected files too.
      SELinux: ({ selinux }) => !selinux(/^\(allow payload (passed|command) \(file .*\bopen\b/),
    },
  },
  {
    control: "filesystem",
    what: "something is mounted or unmounted",
    compiled: { SELinux: "(neverallow X.payload filesystem_type (filesystem (mount remount unmount)))" },
    held: {
      capabilities: none,
      filter: ({ admits }) => !["mount", "umount2", "move_mount", "fsopen"].some((name) => admits(name)),
      Landlock: inDomain,
      AppArmor: ({ appArmor }) => !appArmor(/^(mount|umount|pivot_root)\b/),
      SELinux: ({ selinux }) => !selinux(/\(filesystem .*\bmount\b/),
    },
  },
  {
    control: "namespaces",
    what: "a process of the host is seen or signalled",
    compiled: {
      SELinux:
        "(neverallow X.payload X.launcher (process (sigkill signal sigstop))) (neverallow X.payload init_t (process (sigkill signal sigstop)))",
    },
    held: {
      namespaces: ({ spec }) => spec.namespaces.pid,
      ids: ({ spec }) => spec.identity.map === "auto",
      Landlock: ({ scoped }) => scoped("signal"),
      AppArmor: ({ appArmor }) => appArmor(SIGNAL_OWN) && !appArmor(/^signal,/),
      SELinux: ({ selinux }) =>
        !selinux(/^\(allow payload (domain|launcher) \(process .*\b(signal|sigkill)\b/),
    },
  },
  {
    control: "namespaces",
    what: "pid 1 of the sandbox is signalled",
    compiled: { SELinux: "(neverallow X.payload X.launcher (process (sigkill signal sigstop)))" },
    held: {
      Landlock: ({ scoped }) => scoped("signal"),
      AppArmor: ({ appArmor }) => appArmor(SIGNAL_OWN) && !appArmor(/^signal,/),
      SELinux: ({ selinux }) =>
        !selinux(/^\(allow payload (domain|launcher) \(process .*\b(signal|sigkill)\b/),
    },
  },
  {
    control: "namespaces",
    what: "pid 1 of the sandbox is traced, or its memory read",
    compiled: { SELinux: "(neverallow X.payload X.launcher (process (ptrace)))" },
    held: {
      launcher: ({ makes }) => makes("prctl"),
      filter: ({ admits }) => !admits("ptrace") && !admits("process_vm_readv"),
      Landlock: inDomain,
      AppArmor: ({ appArmor }) => !appArmor(/^ptrace(,| \(.*trace.*\),)/),
      SELinux: ({ selinux }) => !selinux(/^\(allow payload (domain|launcher) \(process .*ptrace/),
    },
  },
  {
    control: "namespaces",
    what: "a user namespace is made",
    held: {
      filter: ({ admits }) => !admits("unshare", 0x1000_0000) && !admits("clone", 0x1000_0000),
      AppArmor: ({ appArmor }) => !appArmor(/^userns/),
      // Not SELinux: a policy that does not know the class, and Debian's is one, lets it through.
    },
  },
  {
    control: "network",
    what: "the network is reached",
    allowed: ({ spec }) => spec.network.mode === "host",
    held: { namespaces: ({ spec }) => spec.namespaces.network },
  },
  {
    control: "network",
    what: "an abstract socket of the host's is reached",
    compiled: { SELinux: "(neverallow X.payload X.launcher (unix_stream_socket (connectto)))" },
    held: {
      namespaces: ({ spec }) => spec.namespaces.network,
      Landlock: ({ scoped }) => scoped("abstract_unix_socket"),
      AppArmor: ({ appArmor }) => appArmor(/^unix \(connect.*peer=\(label=@\{own\}\)/),
      SELinux: ({ selinux }) => !selinux(/^\(allow payload (?!payload)\S+ \(unix_stream_socket .*connectto/),
    },
  },
  {
    control: "network",
    what: "a packet, crypto or vsock socket is made",
    compiled: {
      SELinux:
        "(neverallow X.payload self (packet_socket (create))) (neverallow X.payload self (alg_socket (create))) (neverallow X.payload self (vsock_socket (create)))",
    },
    held: {
      filter: ({ admits }) => ![17, 38, 40].some((family) => admits("socket", family)),
      AppArmor: ({ appArmor }) => !appArmor(/^network(,| (packet|alg|vsock)\b)/),
      SELinux: ({ selinux }) => !selinux(/\b(packet|alg|vsock)_socket/),
    },
  },
  {
    control: "identity",
    what: "the payload is somebody on the host (run by root)",
    held: { ids: ({ spec }) => spec.identity.map === "auto" },
  },
  {
    control: "capabilities",
    what: "a capability is had",
    compiled: {
      SELinux:
        "(neverallow X.payload self (cap_userns (chown dac_override net_admin sys_admin sys_ptrace))) (neverallow X.payload self (capability (chown dac_override net_admin sys_admin sys_ptrace)))",
    },
    held: {
      capabilities: none,
      AppArmor: ({ appArmor }) => !appArmor(/^capability/),
      SELinux: ({ selinux }) => !selinux(/\((cap_userns|capability) /),
    },
  },
  {
    control: "noNewPrivileges",
    what: "execve gives privileges: set-user-id, file capabilities",
    held: {
      mounts: always,
      launcher: ({ spec }) => spec.noNewPrivileges,
      capabilities: ({ spec }) => spec.capabilities.bounding.length === 0,
    },
  },
  {
    control: "seccomp",
    what: "bpf, io_uring, userfaultfd, keyrings, kexec or modules are reached",
    held: {
      filter: ({ admits }) =>
        !["bpf", "io_uring_setup", "userfaultfd", "add_key", "kexec_load", "init_module"].some((name) =>
          admits(name),
        ),
    },
  },
  {
    control: "seccomp",
    what: "a program of another ABI runs",
    held: { filter: ({ spec }) => spec.seccomp !== null },
  },
  {
    control: "resources",
    what: "more memory, processes or CPU is used than the profile says",
    held: {
      cgroups: ({ spec }) => spec.resources.memory !== null && spec.resources.pids !== null,
      rlimits: ({ spec }) => spec.resources.openFiles !== null,
    },
  },
  {
    control: "resources",
    what: "it runs longer than the profile says",
    allowed: ({ spec }) => spec.resources.wallTime === null,
    held: {
      launcher: ({ spec }) => spec.resources.wallTime !== null,
      rlimits: ({ spec }) => spec.resources.cpuTime !== null,
      supervisor: ({ spec }) => spec.resources.cpuTime !== null,
    },
  },
  {
    control: "environment",
    what: "a variable that the profile does not name is seen",
    held: { launcher: always },
  },
  {
    control: "process",
    what: "a descriptor above 2, or a directory, gets in",
    held: { launcher: ({ makes }) => makes("close_range") },
  },
  {
    control: "process",
    what: "something is typed into the caller's terminal",
    held: {
      supervisor: ({ spec }) => spec.process.terminal !== "never",
      filter: ({ admits }) => !admits("ioctl", 0, 0x5412),
    },
  },
  {
    control: "audit",
    what: "it runs, and no record says so",
    allowed: ({ spec }) => !spec.audit.require,
    held: { supervisor: ({ spec }) => spec.audit.require },
  },
];

/** The layers that hold a row for a profile, in order; null where the profile allows it. */
export function layersOf(row: Row, facts: Facts): readonly Layer[] | null {
  if (row.allowed?.(facts) === true) return null;
  return LAYERS.filter((layer) => row.held[layer]?.(facts) === true);
}
