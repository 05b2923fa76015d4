/**
 * Questions about system calls that several rules and the exposure score ask: which calls, with which arguments, do a thing. Facts of the
 * kernel's interface only. Int arguments are compared in their low 32 bits, as the kernel does.
 */
import type { Condition } from "../compile/seccomp/ir.ts";
import type { Question } from "./filter-facts.ts";

/** The low 32 bits of an argument are this value. */
export const is = (index: number, value: bigint): Condition => ({
  index,
  operator: "eq",
  mask: 0xffffffffn,
  value,
});

/** These bits of an argument are set. */
export const has = (index: number, bits: bigint): Condition => ({
  index,
  operator: "eq",
  mask: bits,
  value: bits,
});

/** Flags of clone(2), unshare(2) and setns(2): linux/sched.h. CLONE_NEWTIME shares its bit with the exit signal of clone. */
export const NEW_NAMESPACE: Readonly<Record<string, bigint>> = {
  CLONE_NEWUSER: 0x10000000n,
  CLONE_NEWNS: 0x20000n,
  CLONE_NEWPID: 0x20000000n,
  CLONE_NEWNET: 0x40000000n,
  CLONE_NEWIPC: 0x8000000n,
  CLONE_NEWUTS: 0x4000000n,
  CLONE_NEWCGROUP: 0x2000000n,
};

/** Ways to a new namespace. The flags of clone3 are in memory, where no filter can look. */
export const makesNamespace = (flag: bigint): readonly Question[] => [
  { names: ["clone", "unshare"], conditions: [has(0, flag)] },
  { names: ["clone3"] },
];

/** Address families that ordinary programs need: AF_UNIX, AF_INET, AF_INET6. */
export const ORDINARY_FAMILIES = ["unix", "inet", "inet6"] as const;

/** linux/socket.h. */
export const FAMILIES: Readonly<Record<string, bigint>> = {
  unix: 1n,
  inet: 2n,
  ax25: 3n,
  ipx: 4n,
  appletalk: 5n,
  netrom: 6n,
  x25: 9n,
  inet6: 10n,
  rose: 11n,
  key: 15n,
  netlink: 16n,
  packet: 17n,
  rds: 21n,
  irda: 23n,
  pppox: 24n,
  llc: 26n,
  ib: 27n,
  mpls: 28n,
  can: 29n,
  tipc: 30n,
  bluetooth: 31n,
  rxrpc: 33n,
  phonet: 35n,
  ieee802154: 36n,
  caif: 37n,
  alg: 38n,
  nfc: 39n,
  vsock: 40n,
  kcm: 41n,
  qipcrtr: 42n,
  smc: 43n,
  xdp: 44n,
  mctp: 45n,
};

/** Ways to a socket of a family. socketcall takes its arguments from memory; io_uring makes sockets past every filter (IORING_OP_SOCKET). */
export const makesSocket = (family: bigint): readonly Question[] => [
  { names: ["socket"], conditions: [is(0, family)] },
  { names: ["socketcall", "io_uring_setup"] },
];

/** Ways to give a file the set-user-id or set-group-id bit: inode(7). */
export const SETUID_BITS: readonly Question[] = [0o4000n, 0o2000n].flatMap((bit) => [
  { names: ["chmod", "fchmod", "creat", "mknod"], conditions: [has(1, bit)] },
  { names: ["fchmodat", "fchmodat2", "mknodat"], conditions: [has(2, bit)] },
  { names: ["open"], conditions: [has(1, 0x40n), has(2, bit)] },
  { names: ["openat"], conditions: [has(2, 0x40n), has(3, bit)] },
]);

/** Its mode is in memory. */
export const SETUID_BY_STRUCT: Question = { names: ["openat2"] };

/** ioctl requests that put characters into a terminal's input: ioctl_tty(2), ioctl_console(2). */
export const TERMINAL_INJECTION: readonly Question[] = [
  { names: ["ioctl"], conditions: [is(1, 0x5412n)] },
  { names: ["ioctl"], conditions: [is(1, 0x541cn)] },
];

export const MOUNTING: readonly Question[] = [
  { names: ["mount", "umount2", "umount", "pivot_root", "fsopen", "fsmount", "fspick", "open_tree"] },
  { names: ["open_tree_attr", "move_mount", "mount_setattr", "fsconfig"] },
];

/** Looking into, steering or taking descriptors of other processes. */
export const TRACING: readonly Question[] = [
  { names: ["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise"] },
];

export const MODULES: readonly Question[] = [
  { names: ["init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"] },
];

/** Memory that is written and then executed: mmap(2) and mprotect(2) with PROT_EXEC. */
export const CODE_AT_RUN_TIME: readonly Question[] = [
  { names: ["mmap", "mmap2"], conditions: [has(2, 0x6n)] },
  { names: ["mprotect", "pkey_mprotect"], conditions: [has(2, 0x4n)] },
];

/** Any number that no table knows: what a newer kernel adds. */
export const DANGEROUS: Readonly<Record<string, string>> = {
  acct: "writes accounting of the whole host",
  add_key: "kernel keyrings are not namespaced",
  bpf: "programs in the kernel",
  clock_adjtime: "steers the host's clock",
  clock_settime: "sets the host's clock",
  delete_module: "kernel modules",
  fanotify_init: "watches whole file systems",
  finit_module: "kernel modules",
  init_module: "kernel modules",
  io_uring_enter: "operations that pass no filter",
  io_uring_register: "operations that pass no filter",
  io_uring_setup: "operations that pass no filter",
  ioperm: "hardware ports",
  iopl: "hardware ports",
  kcmp: "compares kernel objects of other processes",
  kexec_file_load: "loads another kernel",
  kexec_load: "loads another kernel",
  keyctl: "kernel keyrings are not namespaced",
  lookup_dcookie: "kernel profiling",
  mount: "changes the mount tree",
  mount_setattr: "changes the mount tree",
  move_mount: "changes the mount tree",
  move_pages: "moves memory of other processes",
  name_to_handle_at: "files by handle, past path permissions",
  open_by_handle_at: "files by handle, past path permissions",
  open_tree: "changes the mount tree",
  perf_event_open: "kernel profiling, a long record of holes",
  pidfd_getfd: "takes descriptors of other processes",
  pivot_root: "changes the root",
  process_vm_readv: "reads memory of other processes",
  process_vm_writev: "writes memory of other processes",
  ptrace: "steers other processes",
  quotactl: "disk quotas of the host",
  reboot: "restarts the host",
  request_key: "kernel keyrings are not namespaced",
  setns: "enters namespaces",
  settimeofday: "sets the host's clock",
  swapoff: "swap of the host",
  swapon: "swap of the host",
  syslog: "the kernel's log",
  umount2: "changes the mount tree",
  unshare: "makes namespaces",
  userfaultfd: "stops the kernel at a page fault, which widens races",
  vhangup: "hangs up terminals",
};
