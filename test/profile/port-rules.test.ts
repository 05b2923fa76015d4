/** A list of ports brings the rules of the filter that keep it, and they come from the list. */
import { describe, expect, test } from "vitest";
import { admittedBy } from "../../src/compile/seccomp/admits.ts";
import { locate } from "../../src/profile/provenance.ts";
import { showSeccomp } from "../../src/profile/show.ts";
import { type Changes, resolved } from "./resolved.ts";

const OPEN = { "/seccomp": { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] } };
const CONNECT = { "/landlock/net/connect_tcp": [443] };
const BIND = { "/landlock/net/bind_tcp": [] };

const MSG_FASTOPEN = 0x2000_0000;
const MSG_NOSIGNAL = 0x4000;
const [AF_INET, AF_INET6, AF_SMC] = [2, 10, 43];
const [TCP, MPTCP, SMC] = [6, 262, 256];

/** What goes past Landlock, and whether connect_tcp alone is what it goes past. */
const PAST: readonly (readonly [name: string, args: readonly number[], connects?: true])[] = [
  ["sendto", [3, 0, 1, MSG_FASTOPEN], true],
  ["sendto", [3, 0, 1, MSG_FASTOPEN | MSG_NOSIGNAL, 0, 16], true],
  ["sendmsg", [3, 0, MSG_FASTOPEN], true],
  ["sendmmsg", [3, 0, 1, MSG_FASTOPEN], true],
  ["socket", [AF_INET, 1, MPTCP]],
  ["socket", [AF_INET6, 0o2004001, MPTCP]],
  ["socket", [AF_INET, 1, SMC]],
  ["socket", [AF_SMC, 1, 0]],
  ["setsockopt", [3, 6, 31, 0, 0]],
  ["io_uring_setup", [1]],
];
const BESIDE: readonly (readonly [name: string, args: readonly number[]])[] = [
  ["sendto", [3, 0, 1, MSG_NOSIGNAL]],
  ["sendmsg", [3, 0, 0]],
  ["socket", [AF_INET, 1, TCP]],
  ["socket", [AF_INET6, 1, 0]],
  ["setsockopt", [3, 6, 1]],
  ["setsockopt", [3, 1, 31]],
  ["connect", [3]],
];

const admits = (changes: Changes) => admittedBy(resolved("strict", changes));

describe("the filter of a profile with listed ports", () => {
  test.each([
    ["connect_tcp", CONNECT],
    ["bind_tcp", BIND],
    ["connect_tcp of a 32-bit program as well", { ...CONNECT, "/seccomp/architectures": ["SCMP_ARCH_X86"] }],
  ])("refuses what goes past %s, and nothing beside it", (_, ports) => {
    const without = admits(OPEN);
    const held = admits({ ...OPEN, ...ports });
    for (const [name, args, connects] of PAST) {
      expect(without(name, ...args), name).toBe(true);
      expect(held(name, ...args), `${name} ${args.join(" ")}`).toBe(
        connects === true && !("/landlock/net/connect_tcp" in ports),
      );
    }
    for (const [name, args] of BESIDE) expect(held(name, ...args), `${name} ${args.join(" ")}`).toBe(true);
  });

  test("says so at the list, and is the same when it is read back from what was shown", () => {
    const profile = resolved("strict", CONNECT);
    const written = resolved("strict").spec.seccomp?.syscalls.length ?? 0;
    const all = profile.spec.seccomp?.syscalls.length ?? 0;
    expect(all).toBeGreaterThan(written);
    expect(locate(profile, `/seccomp/syscalls/${written}/names/0`)).toEqual(
      locate(profile, "/landlock/net/connect_tcp"),
    );
    expect(locate(profile, `/seccomp/syscalls/${written - 1}`)).toEqual(
      locate(resolved("strict"), `/seccomp/syscalls/${written - 1}`),
    );
    if (profile.spec.seccomp === null) throw new Error("no filter");
    const again = resolved("strict", { ...CONNECT, "/seccomp": showSeccomp(profile.spec.seccomp) });
    expect(again.spec.seccomp).toEqual(profile.spec.seccomp);
  });

  test("has no more rules where no port of TCP is listed, or Landlock is off", () => {
    const { seccomp } = resolved("strict").spec;
    expect(resolved("strict", { "/landlock/net/bind_udp": [53] }).spec.seccomp).toEqual(seccomp);
    expect(resolved("strict", { "/landlock": null }).spec.seccomp).toEqual(seccomp);
  });

  test("32-bit programs make no sockets by a call that has its arguments in memory", () => {
    const names = (changes: Changes) =>
      resolved("strict", { ...OPEN, ...CONNECT, ...changes }).spec.seccomp?.syscalls.flatMap(
        (rule) => rule.names,
      );
    expect(names({})).not.toContain("socketcall");
    expect(names({ "/seccomp/architectures": ["SCMP_ARCH_X86"] })).toContain("socketcall");
  });
});
