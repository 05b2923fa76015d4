/**
 * What a system call filter lets through, for the layers behind it: a rule there for what never arrives would be noise, and the lack of
 * one for what does arrive would be a contradiction. Asked of the policy (`judge`), which the emitted filter was verified against.
 */
import type { Checked } from "../../problems.ts";
import type { SeccompSpec } from "../../profile/spec.ts";
import { AUDIT_ARCH } from "./abi.ts";
import { call, judge, RET, strictness } from "./ir.ts";
import { normalise } from "./normalise.ts";
import { syscallTable } from "./tables.ts";
import type { FilterTarget } from "./target.ts";

/** socket(2): a family and a type. */
export interface SocketKind {
  readonly family: SocketFamily;
  readonly type: SocketType;
}

/** AF_* of linux/socket.h, as AppArmor and SELinux name them; those that no kernel has any more are left out. */
export const SOCKET_FAMILIES = {
  unix: 1,
  inet: 2,
  ax25: 3,
  ipx: 4,
  appletalk: 5,
  netrom: 6,
  atmpvc: 8,
  x25: 9,
  inet6: 10,
  rose: 11,
  key: 15,
  netlink: 16,
  packet: 17,
  atmsvc: 20,
  rds: 21,
  pppox: 24,
  llc: 26,
  ib: 27,
  mpls: 28,
  can: 29,
  tipc: 30,
  bluetooth: 31,
  iucv: 32,
  rxrpc: 33,
  isdn: 34,
  phonet: 35,
  ieee802154: 36,
  caif: 37,
  alg: 38,
  nfc: 39,
  vsock: 40,
  kcm: 41,
  qipcrtr: 42,
  smc: 43,
  xdp: 44,
} as const;
export type SocketFamily = keyof typeof SOCKET_FAMILIES;

/** SOCK_* of linux/net.h. */
export const SOCKET_TYPES = { stream: 1, dgram: 2, raw: 3, rdm: 4, seqpacket: 5, packet: 10 } as const;
export type SocketType = keyof typeof SOCKET_TYPES;

/** SOCK_CLOEXEC | SOCK_NONBLOCK: a filter may look at the type with or without them. */
const TYPE_FLAGS = [0, 0o2004000];
/** Netlink families, and the numbers of linux/in.h that sockets are made with. */
const PROTOCOLS = [
  ...Array.from({ length: 24 }, (_, number) => number),
  33,
  41,
  47,
  58,
  115,
  132,
  136,
  255,
  262,
];

export interface Reach {
  /** Whether the filter lets this call through, by one ABI at least. Arguments that are not given are 0. */
  lets(name: string, args?: readonly bigint[]): boolean;
  /** Kinds of sockets that can be made, in the order of the tables. */
  readonly sockets: readonly SocketKind[];
}

/** Problems are those of the rules themselves. */
export function reachOf(spec: SeccompSpec | null, target: FilterTarget): Checked<Reach> {
  if (spec === null) return { ok: true, value: { lets: () => true, sockets: kinds(() => true) } };
  const meant = normalise(spec, target);
  if (!meant.ok) return meant;
  const { policy } = meant.value;
  const abis = policy.abis.map(({ abi }) => abi);
  const lets: Reach["lets"] = (name, args = []) =>
    abis.some((abi) => {
      const number = syscallTable(abi).numbers.get(name);
      if (number === undefined) return false;
      return strictness(judge(policy, call(AUDIT_ARCH[abi], number, args))) >= strictness(RET.log);
    });
  // socketcall(2) has its arguments in memory, and so has a ring's queue.
  const any = lets("socketcall") || lets("io_uring_setup");
  const sockets = kinds(
    (family, type) =>
      any ||
      ["socket", "socketpair"].some((name) =>
        TYPE_FLAGS.some((flags) =>
          PROTOCOLS.some((protocol) => lets(name, [BigInt(family), BigInt(type | flags), BigInt(protocol)])),
        ),
      ),
  );
  return { ok: true, value: { lets, sockets } };
}

function kinds(reachable: (family: number, type: number) => boolean): readonly SocketKind[] {
  return (Object.keys(SOCKET_FAMILIES) as SocketFamily[]).flatMap((family) =>
    (Object.keys(SOCKET_TYPES) as SocketType[])
      .filter((type) => reachable(SOCKET_FAMILIES[family], SOCKET_TYPES[type]))
      .map((type) => ({ family, type })),
  );
}
