/**
 * The system-call rules that go with listed ports. Takes filter and Landlock rules as their author wrote them; gives the filter with what keeps
 * the list. Never lets through what was refused: rules add up, and the strictest answers.
 *
 * Landlock looks at bind(2) and connect(2) of TCP sockets. TCP is also spoken without them: sendmsg(2) with MSG_FASTOPEN connects by itself
 * (tcp(7)) and no security module is asked, and multipath TCP and SMC are sockets of their own that fall back to TCP on the wire.
 */
import { ERRNO } from "../program/errno.ts";
import type { LandlockSpec, SeccompArg, SeccompRule, SeccompSpec } from "./spec.ts";

/** Rights whose ports the filter has to help to keep. */
export const TCP_RIGHTS = ["bind_tcp", "connect_tcp"] as const;

/** The right whose list asks for rules of the filter; null: none does. */
export function asksForPortRules(landlock: LandlockSpec | null): (typeof TCP_RIGHTS)[number] | null {
  return landlock === null ? null : (TCP_RIGHTS.find((right) => landlock.net[right] !== "any") ?? null);
}

export function withPortRules(seccomp: SeccompSpec, landlock: LandlockSpec | null): SeccompSpec {
  if (landlock === null || asksForPortRules(landlock) === null) return seccomp;
  const rules = [
    ...(landlock.net.connect_tcp === "any" ? [] : FAST_OPEN),
    ...OTHER_SOCKETS,
    ...RINGS,
    ...(seccomp.architectures?.includes("SCMP_ARCH_X86") === true ? SOCKETCALL : []),
  ];
  // A profile that was shown has them already.
  const written = new Set(seccomp.syscalls.map(textOf));
  return {
    ...seccomp,
    syscalls: [...seccomp.syscalls, ...rules.filter((rule) => !written.has(textOf(rule)))],
  };
}

const textOf = ({ names, action, errnoRet, args, includes, excludes }: SeccompRule): string =>
  JSON.stringify([names, action, errnoRet, args, includes, excludes], (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );

/** The kernel looks at the low 32 bits of these arguments. */
const low32 = (index: number, value: number): SeccompArg => masked(index, 0xffff_ffff, value);
const masked = (index: number, mask: number, value: number): SeccompArg => ({
  index,
  op: "SCMP_CMP_MASKED_EQ",
  value: BigInt(mask),
  valueTwo: BigInt(value),
});
/** The errno is the one of a kernel that does not have what is refused: programs then go the way that is looked at. */
const refuse = (name: string, errno: keyof typeof ERRNO, ...args: readonly SeccompArg[]): SeccompRule => ({
  names: [name],
  action: "SCMP_ACT_ERRNO",
  errnoRet: ERRNO[errno],
  ...(args.length === 0 ? {} : { args }),
});

const MSG_FASTOPEN = 0x2000_0000;
const FAST_OPEN: readonly SeccompRule[] = (
  [
    ["sendto", 3],
    ["sendmsg", 2],
    ["sendmmsg", 3],
  ] as const
).map(([name, flags]) => refuse(name, "EOPNOTSUPP", masked(flags, MSG_FASTOPEN, MSG_FASTOPEN)));

const AF_INET = 2;
const AF_INET6 = 10;
const AF_SMC = 43;
const IPPROTO_SMC = 256;
const IPPROTO_MPTCP = 262;
const SOL_TCP = 6;
/** Turns a TCP socket into one of another kind, SMC among them; in kernel TLS, which is lost with it, programs do it themselves. */
const TCP_ULP = 31;
const OTHER_SOCKETS: readonly SeccompRule[] = [
  ...[AF_INET, AF_INET6].flatMap((family) =>
    [IPPROTO_SMC, IPPROTO_MPTCP].map((protocol) =>
      refuse("socket", "EPROTONOSUPPORT", low32(0, family), low32(2, protocol)),
    ),
  ),
  refuse("socket", "EAFNOSUPPORT", low32(0, AF_SMC)),
  refuse("setsockopt", "ENOENT", low32(1, SOL_TCP), low32(2, TCP_ULP)),
];

/** What stands in a ring's memory no filter sees: MSG_FASTOPEN, and the protocol of a socket. */
const RINGS: readonly SeccompRule[] = [refuse("io_uring_setup", "ENOSYS")];
/** Of 32-bit programs, with its arguments in memory; they have had the calls themselves since Linux 4.3. */
const SOCKETCALL: readonly SeccompRule[] = [refuse("socketcall", "ENOSYS")];
