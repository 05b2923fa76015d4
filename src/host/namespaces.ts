/**
 * Which namespaces the caller may make, deduced from files: trying would cost processes, and a probe has no effects.
 * A deduction can be too hopeful (a seccomp filter around us is opaque); then the launch fails at its first step and says so.
 */
import type { Namespace } from "../profile/spec.ts";
import type { Ability } from "./facts.ts";
import type { HostFiles } from "./files.ts";
import { AVAILABLE, unavailable } from "./kernel.ts";
import { appArmorLabel } from "./lsm.ts";
import type { MountRecord } from "./mountinfo.ts";
import type { StatusFields } from "./user.ts";

/** The kernel's file and sysctl names. */
const KERNEL_NAMES: Readonly<Record<Namespace, { readonly link: string; readonly limit: string }>> = {
  user: { link: "user", limit: "max_user_namespaces" },
  mount: { link: "mnt", limit: "max_mnt_namespaces" },
  pid: { link: "pid", limit: "max_pid_namespaces" },
  network: { link: "net", limit: "max_net_namespaces" },
  ipc: { link: "ipc", limit: "max_ipc_namespaces" },
  uts: { link: "uts", limit: "max_uts_namespaces" },
  cgroup: { link: "cgroup", limit: "max_cgroup_namespaces" },
  time: { link: "time", limit: "max_time_namespaces" },
};

function possible(files: HostFiles, namespace: Namespace): boolean {
  const { link, limit } = KERNEL_NAMES[namespace];
  // A limit of 0 (namespaces(7), /proc/sys/user) turns a kind off as surely as the kernel's configuration.
  return (
    files.link(`/proc/self/ns/${link}`) !== null && files.read(`/proc/sys/user/${limit}`)?.trim() !== "0"
  );
}

export function probeNamespaces(files: HostFiles): Readonly<Record<Namespace, boolean>> {
  return {
    user: possible(files, "user"),
    mount: possible(files, "mount"),
    pid: possible(files, "pid"),
    network: possible(files, "network"),
    ipc: possible(files, "ipc"),
    uts: possible(files, "uts"),
    cgroup: possible(files, "cgroup"),
    time: possible(files, "time"),
  };
}

/** What the deductions about user namespaces rest on. */
export interface Confinement {
  readonly status: StatusFields;
  readonly capabilities: readonly string[];
  readonly mounts: readonly MountRecord[];
}

/** clone(2) and unshare(2) refuse CLONE_NEWUSER for the reasons below; the order is from the broadest to the narrowest. */
export function probeUserNamespaces(
  files: HostFiles,
  { status, capabilities, mounts }: Confinement,
): Ability {
  const admin = capabilities.includes("CAP_SYS_ADMIN");
  if (files.link("/proc/self/ns/user") === null) {
    return unavailable("this kernel has no user namespaces", "use a kernel built with CONFIG_USER_NS");
  }
  if (files.read("/proc/sys/user/max_user_namespaces")?.trim() === "0") {
    return unavailable(
      "user namespaces are turned off (user.max_user_namespaces is 0)",
      "sudo sysctl -w user.max_user_namespaces=15000",
    );
  }
  if (inChroot(files, mounts)) {
    return unavailable(
      "the kernel refuses user namespaces to a process in a chroot",
      "start from a mount namespace with a pivoted root instead of chroot, for example `unshare --mount` and pivot_root",
    );
  }
  if (admin) return AVAILABLE;
  if (files.read("/proc/sys/kernel/unprivileged_userns_clone")?.trim() === "0") {
    return unavailable(
      "user namespaces are for root only (kernel.unprivileged_userns_clone is 0)",
      "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    );
  }
  if (
    files.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")?.trim() === "1" &&
    appArmorLabel(files) === "unconfined"
  ) {
    return unavailable(
      "AppArmor takes all capabilities from user namespaces of unconfined programs (kernel.apparmor_restrict_unprivileged_userns is 1)",
      "sandbox doctor --apparmor prints the profile that lets the sandbox make them, and how to load it; for every program: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    );
  }
  // Docker's and containerd's default filter allows CLONE_NEWUSER only together with CAP_SYS_ADMIN; Podman's allows it.
  if (status.get("Seccomp") === "2" && inContainer(files) && files.status("/run/.containerenv") === null) {
    return unavailable(
      "the container's seccomp filter refuses user namespaces",
      "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined --security-opt apparmor=unconfined ...",
    );
  }
  return AVAILABLE;
}

function inContainer(files: HostFiles): boolean {
  return (
    files.status("/.dockerenv") !== null ||
    files.status("/run/.containerenv") !== null ||
    files.status("/var/run/secrets/kubernetes.io") !== null
  );
}

/**
 * chroot(2) leaves no mark of its own. A root directory that is no mount point gives it away: mountinfo lists only what
 * lies below the caller's root. A chroot into a mount point shows against pid 1 of the same mount namespace, when readable.
 */
export function inChroot(files: HostFiles, mounts: readonly MountRecord[]): boolean {
  if (mounts.length > 0 && !mounts.some((mount) => mount.target === "/")) return true;
  const first = files.link("/proc/1/ns/mnt");
  if (first === null || first !== files.link("/proc/self/ns/mnt")) return false;
  const root = files.status("/proc/1/root");
  const own = files.status("/proc/self/root");
  return root !== null && own !== null && root.key !== own.key;
}

/** Directories of procfs made to be mounted on: what lies there hides nothing. */
const PROC_MOUNT_POINTS = new Set(["/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"]);

/**
 * The kernel lets a user namespace mount a new procfs only while an old one is fully visible: the whole filesystem, no file
 * of it covered (mount_namespaces(7), locked mounts). Containers cover /proc/kcore and others, and so forbid it.
 */
export function probeProc(mounts: readonly MountRecord[]): Ability {
  const whole = mounts.filter((mount) => mount.fsType === "proc" && mount.root === "/");
  if (whole.length === 0) {
    return unavailable("no complete procfs is mounted here", "mount -t proc proc /proc");
  }
  const covered = whole.map((proc) =>
    mounts.find(
      (mount) =>
        mount.parent === proc.id &&
        (mount.target === proc.target || mount.target.startsWith(`${proc.target}/`)) &&
        !PROC_MOUNT_POINTS.has(mount.target),
    ),
  );
  if (covered.includes(undefined)) return AVAILABLE;
  return unavailable(
    `parts of /proc are covered (${covered[0]?.target ?? ""}), so the kernel refuses a new procfs in a user namespace`,
    "docker run --security-opt systempaths=unconfined ..., or podman run --security-opt unmask=ALL ...",
  );
}
