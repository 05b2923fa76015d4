/**
 * Every hostile attempt of programs/attempt.c: where it goes through without a sandbox, and what the strict profile
 * answers. Groups follow docs/escape-checklist.md.
 */
import { FS_RIGHTS, SCOPES } from "../../src/program/landlock.ts";
import { LANDLOCK_ABI, type World } from "./harness.ts";

export interface Attempt {
  readonly name: string;
  /** The weakest world in which the attempt gets through; null when no machine at hand lets anyone do it. */
  readonly control: World | null;
  /**
   * What happens there. `ok`: it succeeds. `reached`: the arguments are such that nothing can happen, and any answer
   * but the sandbox's shows that the kernel's code was reached (ENOSYS too: built without it). `ok-if-built`: it
   * succeeds unless this kernel was built without the socket family; the filter's own tests cover it then.
   */
  readonly outside: "ok" | "ok-if-built" | "reached";
  /** The exact answer under the strict profile: errno, signal, or "ok" for what must keep working. */
  readonly strict: string;
}

const rows = (
  control: World | null,
  outside: Attempt["outside"],
  strict: string,
  names: string,
): readonly Attempt[] => names.split(/\s+/).map((name) => ({ name, control, outside, strict }));

export const ATTEMPTS: Readonly<Record<string, readonly Attempt[]>> = {
  "other ABIs are killed": [
    ...rows("user", "reached", "SIGSYS", "i386-getpid i386-unshare i386-socket i386-socketcall i386-mount"),
    ...rows(
      "user",
      "reached",
      "SIGSYS",
      "i386-keyctl x32-getpid x32-unshare x32-socket x32-io-uring x32-ptrace",
    ),
  ],
  "a number that the profile cannot know does not exist": [
    ...rows(null, "reached", "ENOSYS", "unknown-near unknown-far x32-bare-ptrace"),
  ],
  "socket families outside the allow-list": [
    ...rows("user", "ok-if-built", "EAFNOSUPPORT", "socket-alg socket-alg-high socketpair-alg socket-can"),
    ...rows(
      "user",
      "ok-if-built",
      "EAFNOSUPPORT",
      "socket-tipc socket-bluetooth socket-kcm socket-rds socket-smc",
    ),
    ...rows("user", "ok-if-built", "EAFNOSUPPORT", "socket-vsock"),
    ...rows("userns", "ok", "EAFNOSUPPORT", "socket-packet socket-packet-high"),
    ...rows("userns", "ok", "EPERM", "socket-raw socket-raw6"),
    ...rows("userns", "ok-if-built", "EAFNOSUPPORT", "socket-xdp"),
    ...rows("user", "ok-if-built", "EAFNOSUPPORT", "socket-uevent socket-audit socket-nftables"),
    ...rows("userns", "ok", "EAFNOSUPPORT", "netlink-write"),
  ],
  "nested namespaces": [
    ...rows("user", "ok", "EPERM", "unshare-user clone-user clone-user-high"),
    ...rows("user", "ok", "ENOSYS", "clone3-user"),
    ...rows("user", "reached", "EPERM", "unshare-user-high"),
    ...rows("userns", "ok", "EPERM", "unshare-mount unshare-pid unshare-net unshare-ipc unshare-uts"),
    ...rows("userns", "ok", "EPERM", "unshare-cgroup unshare-time clone-mount clone-pid clone-net setns-uts"),
    ...rows("userns", "ok", "EPERM", "setns-init"),
  ],
  mounts: [
    ...rows("userns", "ok", "EPERM", "mount-tmpfs mount-bind mount-proc mount-cgroup remount-rw chroot"),
    ...rows("userns", "ok", "EPERM", "fsopen-tmpfs fsopen-cgroup fspick"),
    ...rows("userns", "reached", "EPERM", "umount-root pivot-root fsconfig fsmount open-tree move-mount"),
    ...rows("userns", "reached", "EPERM", "mount-setattr"),
  ],
  "other processes": [
    ...rows("user", "ok", "EPERM", "ptrace-parent vm-read-parent vm-write-parent pidfd-steal kcmp-parent"),
    ...rows("user", "reached", "EPERM", "ptrace-parent-high"),
    // Landlock; without it signals to the sandbox's own pid 1 harm nobody else, and SIGKILL from inside never reaches it.
    ...rows("userns", "ok", LANDLOCK_ABI >= SCOPES.signal.since ? "EPERM" : "ok", "kill-init"),
    ...rows("userns", "ok", "EPERM", "ptrace-init vm-read-init pidfd-steal-init"),
  ],
  "large kernel interfaces": [
    ...rows("user", "reached", "EPERM", "io-uring io-uring-enter io-uring-register userfaultfd memfd-secret"),
    ...rows("root", "ok", "EPERM", "bpf"),
    ...rows("root", "reached", "EPERM", "perf"),
    ...rows("user", "ok", "EPERM", "add-key keyctl-session keyctl-join"),
    ...rows("user", "reached", "EPERM", "request-key lookup-dcookie"),
    ...rows(
      "user",
      "ok",
      "EPERM",
      "personality-layout personality-layout-high personality-read-implies-exec",
    ),
    ...rows("user", "ok", "ok", "personality-query"),
    ...rows("user", "reached", "EPERM", "fanotify modify-ldt"),
    // Linux 6.1 lets nobody in without a capability over the whole machine.
    ...rows("root", "reached", "EPERM", "open-by-handle"),
  ],
  "the machine": [
    ...rows("root", "reached", "EPERM", "init-module finit-module delete-module kexec-load kexec-file-load"),
    ...rows(
      "root",
      "reached",
      "EPERM",
      "reboot settimeofday clock-settime clock-adjtime swapon swapoff acct",
    ),
    ...rows("root", "reached", "EPERM", "quotactl quotactl-fd syslog iopl ioperm"),
    ...rows(null, "ok", "EPERM", "vhangup"),
    ...rows("userns", "ok", "EPERM", "sethostname setdomainname"),
    // Landlock comes first where it keeps rights on files: devices are made nowhere.
    ...rows(
      "root",
      "ok",
      LANDLOCK_ABI >= FS_RIGHTS.refer.since ? "EACCES" : "EPERM",
      "mknod-mem mknodat-disk",
    ),
  ],
  "identity and privileges": [
    // Ids that are not mapped do not exist.
    ...rows("userns", "ok", "EINVAL", "setuid-0 setgid-0 setresuid-0"),
    ...rows("root", "ok", "EINVAL", "setuid-65533"),
    ...rows("root", "ok", "EPERM", "setgroups-0 setgroups-none"),
    ...rows("userns", "ok", "EPERM", "capset-sys-admin capset-inheritable"),
    ...rows("userns", "ok", "EPERM", "ambient-raise securebits-clear"),
    ...rows(null, "ok", "EINVAL", "no-new-privs-clear"),
    ...rows(null, "ok", "EPERM", "prctl-mm prctl-mm-high limit-files-raise limit-core-raise"),
    ...rows("user", "ok", "EPERM", "keepcaps"),
    ...rows("root", "ok", "EACCES", "priority-raise"),
    ...rows("root", "ok", "EPERM", "realtime"),
    ...rows(null, "ok", "EACCES", "oom-score-lower"),
  ],
  "terminal input of others, whatever the descriptor is": [
    ...rows(
      "user",
      "reached",
      "EPERM",
      "tiocsti tiocsti-high tiocsti-all-high tioclinux tioclinux-high tioccons",
    ),
  ],
  network: [...rows("user", "ok", "ENETUNREACH", "outer-network"), ...rows("user", "ok", "ok", "loopback")],
};

export const ALL_ATTEMPTS: readonly Attempt[] = Object.values(ATTEMPTS).flat();
