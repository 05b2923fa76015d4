/**
 * The kinds of sockets that a profile's system-call rules let be made, for layers that speak of the same kinds. Pure.
 */
import type { ResolvedProfile } from "../../profile/spec.ts";
import { admittedBy } from "./admits.ts";

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

/** In the order of the tables. */
export function socketKinds(profile: Pick<ResolvedProfile, "spec">): readonly SocketKind[] {
  const admits = admittedBy(profile);
  // socketcall(2), of 32-bit programs, has its arguments in memory, and so has a ring's queue.
  const { architectures = [] } = profile.spec.seccomp ?? {};
  const any = architectures.includes("SCMP_ARCH_X86") || admits("io_uring_setup");
  const made = (family: number, type: number): boolean =>
    ["socket", "socketpair"].some((name) =>
      TYPE_FLAGS.some((flags) => PROTOCOLS.some((protocol) => admits(name, family, type | flags, protocol))),
    );
  return (Object.keys(SOCKET_FAMILIES) as SocketFamily[]).flatMap((family) =>
    (Object.keys(SOCKET_TYPES) as SocketType[])
      .filter((type) => any || made(SOCKET_FAMILIES[family], SOCKET_TYPES[type]))
      .map((type) => ({ family, type })),
  );
}
