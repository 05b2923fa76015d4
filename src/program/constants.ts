/**
 * Kernel constants that the launch program uses, under the kernel's own names.
 * Headers: linux/sched.h, linux/mount.h, linux/prctl.h, linux/seccomp.h, linux/securebits.h, asm-generic/fcntl.h,
 * asm-generic/ioctls.h, linux/magic.h, linux/close_range.h, linux/stat.h, linux/openat2.h.
 */

export const AT_FDCWD = -100n;
export const AT_REMOVEDIR = 0x200n;
export const AT_EMPTY_PATH = 0x1000n;
export const AT_RECURSIVE = 0x8000n;
export const AT_SYMLINK_NOFOLLOW = 0x100n;

export const O_RDONLY = 0o0n;
export const O_WRONLY = 0o1n;
export const O_RDWR = 0o2n;
export const O_CREAT = 0o100n;
export const O_EXCL = 0o200n;
export const O_NOCTTY = 0o400n;
export const O_NONBLOCK = 0o4000n;
export const O_CLOEXEC = 0o2000000n;
export const O_PATH = 0o10000000n;

/** O_DIRECTORY and O_NOFOLLOW differ between the architectures (asm/fcntl.h). */
export const OPEN_FLAGS = {
  x86_64: { O_DIRECTORY: 0o200000n, O_NOFOLLOW: 0o400000n },
  aarch64: { O_DIRECTORY: 0o40000n, O_NOFOLLOW: 0o100000n },
} as const;

/** openat2(2) resolve flags. */
export const RESOLVE_NO_XDEV = 0x01n;
export const RESOLVE_NO_MAGICLINKS = 0x02n;
export const RESOLVE_NO_SYMLINKS = 0x04n;
export const RESOLVE_BENEATH = 0x08n;
export const RESOLVE_IN_ROOT = 0x10n;

export const CLONE_NEWTIME = 0x80n;
export const CLONE_NEWNS = 0x20000n;
export const CLONE_NEWCGROUP = 0x2000000n;
export const CLONE_NEWUTS = 0x4000000n;
export const CLONE_NEWIPC = 0x8000000n;
export const CLONE_NEWUSER = 0x10000000n;
export const CLONE_NEWPID = 0x20000000n;
export const CLONE_NEWNET = 0x40000000n;

export const MS_REC = 0x4000n;
export const MS_PRIVATE = 0x40000n;
export const MNT_DETACH = 2n;
export const UMOUNT_NOFOLLOW = 8n;

export const OPEN_TREE_CLONE = 1n;
export const OPEN_TREE_CLOEXEC = O_CLOEXEC;
export const MOVE_MOUNT_F_EMPTY_PATH = 0x04n;
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40n;
export const FSOPEN_CLOEXEC = 1n;
export const FSMOUNT_CLOEXEC = 1n;
export const FSCONFIG_SET_FLAG = 0n;
export const FSCONFIG_SET_STRING = 1n;
export const FSCONFIG_CMD_CREATE = 6n;
export const MOUNT_ATTR_RDONLY = 0x1n;
export const MOUNT_ATTR_NOSUID = 0x2n;
export const MOUNT_ATTR_NODEV = 0x4n;
export const MOUNT_ATTR_NOEXEC = 0x8n;
export const MOUNT_ATTR_IDMAP = 0x100000n;

export const STATX_TYPE = 1n;
export const STATX_MODE = 2n;
export const STATX_UID = 8n;
export const STATX_GID = 0x10n;
export const STATX_INO = 0x100n;
/** Bytes of struct statx, and where stx_uid (followed by stx_gid), stx_mode, stx_ino lie in it. */
export const STATX_SIZE = 256;
export const STATX_UID_OFFSET = 20;
export const STATX_MODE_OFFSET = 28;
export const STATX_INO_OFFSET = 32;
/** stx_dev_major, followed by stx_dev_minor. */
export const STATX_DEV_OFFSET = 136;
/** File types in stx_mode. */
export const S_IFMT = 0xf000n;
export const S_IFREG = 0x8000;
export const S_IFDIR = 0x4000;
export const S_IFCHR = 0x2000;
export const LOCK_EX = 2n;
export const LOCK_NB = 4n;
export const PROC_SUPER_MAGIC = 0x9fa0n;

export const PR_SET_PDEATHSIG = 1n;
export const PR_SET_DUMPABLE = 4n;
export const PR_CAPBSET_DROP = 24n;
export const PR_SET_SECUREBITS = 28n;
export const PR_SET_NO_NEW_PRIVS = 38n;
export const PR_CAP_AMBIENT = 47n;
export const PR_CAP_AMBIENT_RAISE = 2n;
export const PR_CAP_AMBIENT_CLEAR_ALL = 4n;
export const PR_SET_SPECULATION_CTRL = 53n;
export const PR_SPEC_STORE_BYPASS = 0n;
export const PR_SPEC_INDIRECT_BRANCH = 1n;
export const PR_SPEC_FORCE_DISABLE = 8n;
export const PR_SET_MDWE = 65n;
export const PR_MDWE_REFUSE_EXEC_GAIN = 1n;

/** NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE set, and these and KEEP_CAPS locked (capabilities(7)). */
export const SECUREBITS_LOCKED = 0b1110_1111n;
/** As above, ambient capabilities still allowed to be raised by the launcher. */
export const SECUREBITS_LOCKED_WITH_AMBIENT = 0b0010_1111n;
export const LINUX_CAPABILITY_VERSION_3 = 0x20080522n;

export const SECCOMP_SET_MODE_FILTER = 1n;
export const SECCOMP_FILTER_FLAG_LOG = 2n;
export const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4n;

export const CLOSE_RANGE_CLOEXEC = 4n;
export const ALL_DESCRIPTORS = 0xffff_ffffn;
export const F_GETFD = 1n;

export const SIG_BLOCK = 0n;
export const SIG_SETMASK = 2n;
export const SIGSET_SIZE = 8n;
export const ITIMER_REAL = 0n;
export const CLOCK_MONOTONIC = 1n;
export const WALL = 0x40000000n;
export const PRIO_PROCESS = 0n;
export const KEYCTL_JOIN_SESSION_KEYRING = 1n;

export const AF_INET = 2n;
export const SOCK_DGRAM = 2n;
export const SOCK_CLOEXEC = O_CLOEXEC;
export const SIOCSIFFLAGS = 0x8914n;

export const TIOCSCTTY = 0x540en;
export const TIOCSPGRP = 0x5410n;
export const TIOCGWINSZ = 0x5413n;
export const TIOCSWINSZ = 0x5414n;
export const TIOCSPTLCK = 0x40045431n;
export const TIOCGPTN = 0x80045430n;
export const TIOCGPTPEER = 0x5441n;

/** RLIMIT_ numbers by their prlimit(1) names (asm-generic/resource.h). */
export const RLIMIT = {
  cpu: 0n,
  fsize: 1n,
  data: 2n,
  stack: 3n,
  core: 4n,
  rss: 5n,
  nproc: 6n,
  nofile: 7n,
  memlock: 8n,
  as: 9n,
  locks: 10n,
  sigpending: 11n,
  msgqueue: 12n,
  nice: 13n,
  rtprio: 14n,
  rttime: 15n,
} as const;
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;
