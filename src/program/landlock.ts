/**
 * Landlock as the kernel defines it: the one table of rights, of the ABI that brought each, and of the structures.
 * Names are those of the kernel's documentation and of its audit records (`blockers=fs.write_file`), lower case.
 * Sources: linux/landlock.h, Documentation/userspace-api/landlock.rst, landlock(7). Facts only; nothing is decided here.
 */

/** A right: its bit, and the first ABI that knows it. */
interface Right {
  readonly bit: bigint;
  readonly since: number;
}

/** LANDLOCK_ACCESS_FS_*. `file`: means something for a file too; the others speak of what is in a directory. */
export const FS_RIGHTS = {
  execute: { bit: 1n << 0n, since: 1, file: true },
  write_file: { bit: 1n << 1n, since: 1, file: true },
  read_file: { bit: 1n << 2n, since: 1, file: true },
  read_dir: { bit: 1n << 3n, since: 1, file: false },
  remove_dir: { bit: 1n << 4n, since: 1, file: false },
  remove_file: { bit: 1n << 5n, since: 1, file: false },
  make_char: { bit: 1n << 6n, since: 1, file: false },
  make_dir: { bit: 1n << 7n, since: 1, file: false },
  make_reg: { bit: 1n << 8n, since: 1, file: false },
  make_sock: { bit: 1n << 9n, since: 1, file: false },
  make_fifo: { bit: 1n << 10n, since: 1, file: false },
  make_block: { bit: 1n << 11n, since: 1, file: false },
  make_sym: { bit: 1n << 12n, since: 1, file: false },
  refer: { bit: 1n << 13n, since: 2, file: false },
  truncate: { bit: 1n << 14n, since: 3, file: true },
  ioctl_dev: { bit: 1n << 15n, since: 5, file: true },
  resolve_unix: { bit: 1n << 16n, since: 9, file: true },
} as const satisfies Readonly<Record<string, Right & { readonly file: boolean }>>;
export type FsRight = keyof typeof FS_RIGHTS;
export const FS_RIGHT_NAMES = Object.keys(FS_RIGHTS) as readonly FsRight[];

/** LANDLOCK_ACCESS_NET_*. */
export const NET_RIGHTS = {
  bind_tcp: { bit: 1n << 0n, since: 4 },
  connect_tcp: { bit: 1n << 1n, since: 4 },
  bind_udp: { bit: 1n << 2n, since: 10 },
  connect_send_udp: { bit: 1n << 3n, since: 10 },
} as const satisfies Readonly<Record<string, Right>>;
export type NetRight = keyof typeof NET_RIGHTS;
export const NET_RIGHT_NAMES = Object.keys(NET_RIGHTS) as readonly NetRight[];

/** LANDLOCK_SCOPE_*: what stays inside. There are no exceptions by rule. */
export const SCOPES = {
  abstract_unix_socket: { bit: 1n << 0n, since: 6 },
  signal: { bit: 1n << 1n, since: 6 },
} as const satisfies Readonly<Record<string, Right>>;
export type LandlockScope = keyof typeof SCOPES;
export const SCOPE_NAMES = Object.keys(SCOPES) as readonly LandlockScope[];

/** The Linux version that brought each ABI; ABI 8 (all threads at once) adds nothing for a program with one thread. */
export const ABI_KERNELS: Readonly<Record<number, readonly [major: number, minor: number]>> = {
  1: [5, 13],
  2: [5, 19],
  3: [6, 2],
  4: [6, 7],
  5: [6, 10],
  6: [6, 12],
  7: [6, 15],
  8: [7, 0],
  9: [7, 1],
  10: [7, 2],
};
/** The newest one known here. A kernel with a newer one still knows all of this. */
export const NEWEST_ABI = 10;

/** First ABI whose landlock_restrict_self(2) takes flags about audit records. */
export const LOG_FLAGS_SINCE = 7;
/** No records of denials before execve(2): the launcher's own. */
export const LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF = 1n << 0n;
/** Records of denials after execve(2), which are off otherwise. */
export const LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON = 1n << 1n;
/** No records of domains that the restricted program makes for itself. */
export const LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF = 1n << 2n;

export const LANDLOCK_CREATE_RULESET_VERSION = 1n;
export const LANDLOCK_RULE_PATH_BENEATH = 1n;
export const LANDLOCK_RULE_NET_PORT = 2n;

/** Bytes of struct landlock_ruleset_attr: handled_access_fs, from ABI 4 handled_access_net, from ABI 6 scoped. */
export function rulesetAttrSize(abi: number): 8 | 16 | 24 {
  if (abi >= 6) return 24;
  return abi >= 4 ? 16 : 8;
}

/** The bits of some rights together. */
export function bitsOf<Name extends string>(
  table: Readonly<Record<Name, Right>>,
  names: Iterable<Name>,
): bigint {
  let bits = 0n;
  for (const name of names) bits |= table[name].bit;
  return bits;
}
