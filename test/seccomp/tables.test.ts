import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ABIS, NEWEST, NEWEST_OF } from "../../src/compile/seccomp/abi.ts";
import { FOREIGN_SYSCALLS, GROUPS } from "../../src/compile/seccomp/groups.ts";
import { isSyscall, syscallTable } from "../../src/compile/seccomp/tables.ts";

describe("system-call tables", () => {
  test.each([
    ["x86_64", "read", 0],
    ["x86_64", "execve", 59],
    ["x86_64", "clone3", 435],
    ["x86_64", "mseal", 462],
    ["x32", "execve", 0x40000000 + 520],
    ["x32", "read", 0x40000000],
    ["i386", "socketcall", 102],
    ["i386", "socket", 359],
    ["aarch64", "execve", 221],
    ["aarch64", "mmap", 222],
    ["aarch64", "newfstatat", 79],
    ["arm", "mmap2", 192],
    ["arm", "set_tls", 0x0f0005],
  ] as const)("%s %s is %i", (abi, name, number) => {
    expect(syscallTable(abi).numbers.get(name)).toBe(number);
    expect(syscallTable(abi).names.get(number)).toBe(name);
  });

  test("calls since Linux 5.1 have one number everywhere, up to the newest known", () => {
    for (const abi of ABIS) {
      const base = abi === "x32" ? 0x40000000 : 0;
      expect(syscallTable(abi).names.get(base + 425)).toBe("io_uring_setup");
      expect(syscallTable(abi).names.get(base + NEWEST)).toBe("listns");
      const unified = [...syscallTable(abi).names.keys()].filter((nr) => nr < 0x0f0000 + base);
      expect(Math.max(...unified)).toBeLessThanOrEqual(NEWEST_OF[abi]);
    }
  });

  test("generated files are what the sources and this machine's headers give", () => {
    const script = fileURLToPath(new URL("../../scripts/syscall-tables.mjs", import.meta.url));
    const result = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
    expect(result.stderr).toBe("");
    expect(result.status).toBe(0);
  });
});

describe("groups", () => {
  const members = new Map<string, string[]>();
  for (const [name, { calls }] of Object.entries(GROUPS))
    for (const call of calls) members.set(call, [...(members.get(call) ?? []), name]);

  test.each(ABIS)("every call of %s is in a group", (abi) => {
    expect([...syscallTable(abi).numbers.keys()].filter((name) => !members.has(name))).toEqual([]);
  });

  test("every member is a call of some architecture, and in one group only", () => {
    expect([...members.keys()].filter((name) => !isSyscall(name))).toEqual([]);
    expect([...members].filter(([, groups]) => groups.length > 1)).toEqual([]);
  });

  test("calls that depend on their arguments come with no other call of danger", () => {
    expect(GROUPS["@clone"]?.calls).toEqual(["clone", "clone3"]);
    expect(GROUPS["@ioctl"]?.calls).toEqual(["ioctl"]);
    expect(GROUPS["@personality"]?.calls).toEqual(["personality"]);
  });

  test("names of other architectures are not in a table", () => {
    expect([...FOREIGN_SYSCALLS].filter(isSyscall)).toEqual([]);
  });
});
