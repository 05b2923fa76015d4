import { describe, expect, test } from "vitest";
import { formatRule, formatVerdict } from "../../src/compile/seccomp/ir.ts";
import { normalise } from "../../src/compile/seccomp/normalise.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import type { SeccompSpec } from "../../src/profile/spec.ts";
import { allowList, target, valueOf } from "./support.ts";

const ALLOW = "SCMP_ACT_ALLOW";
const ERRNO = "SCMP_ACT_ERRNO";

/** What a call gets on x86-64, as text, in order of precedence. */
function rulesOf(spec: SeccompSpec, name: string, on = target()): readonly string[] | undefined {
  const { policy } = valueOf(normalise(spec, on));
  const native = policy.abis[0];
  return native?.calls.get(syscallTable(native.abi).numbers.get(name) as number)?.map(formatRule);
}

function problemsOf(spec: SeccompSpec) {
  const result = normalise(spec, target());
  return result.ok ? [] : result.problems;
}

describe("what a list of rules means", () => {
  test("a group stands for its calls", () => {
    const spec = allowList([{ names: ["@io-event"], action: ALLOW }]);
    expect(rulesOf(spec, "poll")).toEqual(["allow"]);
    expect(rulesOf(spec, "read")).toBeUndefined();
  });

  test("all conditions of a rule are required, on the same argument too", () => {
    const args = [
      { index: 0, op: "SCMP_CMP_GE", value: 2 },
      { index: 0, op: "SCMP_CMP_LE", value: 5 },
    ];
    expect(rulesOf(allowList([{ names: ["socket"], action: ALLOW, args }]), "socket")).toEqual([
      "arg0 >= 0x2 && arg0 <= 0x5 -> allow",
    ]);
  });

  test.each([
    [
      [
        { names: ["ioctl"], action: ALLOW },
        { names: ["ioctl"], action: ERRNO },
      ],
      undefined,
    ],
    [
      [
        { names: ["ioctl"], action: ERRNO, errnoRet: 25 },
        { names: ["ioctl"], action: ALLOW },
      ],
      ["errno(25)"],
    ],
    [
      [
        { names: ["ioctl"], action: ALLOW },
        { names: ["ioctl"], action: "SCMP_ACT_KILL_PROCESS" },
      ],
      ["kill-process"],
    ],
    [
      [
        { names: ["ioctl"], action: ERRNO, errnoRet: 5 },
        { names: ["ioctl"], action: ERRNO, errnoRet: 6 },
      ],
      ["errno(5)"],
    ],
    [
      [
        { names: ["ioctl"], action: ALLOW },
        { names: ["ioctl"], action: "SCMP_ACT_LOG" },
      ],
      ["log"],
    ],
  ])("the strictest rule wins, then the first (%#)", (rules, expected) => {
    expect(rulesOf(allowList(rules), "ioctl")).toEqual(expected);
  });

  test("a narrower refusal stands before a wider permission, wherever it is written", () => {
    const refusal = {
      names: ["ioctl"],
      action: ERRNO,
      args: [{ index: 1, op: "SCMP_CMP_MASKED_EQ", value: "0xffffffff", valueTwo: "0x5412" }],
    };
    const wide = { names: ["@ioctl"], action: ALLOW };
    const expected = ["arg1 & 0xffffffff == 0x5412 -> errno(1)", "allow"];
    expect(rulesOf(allowList([refusal, wide]), "ioctl")).toEqual(expected);
    expect(rulesOf(allowList([wide, refusal]), "ioctl")).toEqual(expected);
  });

  test("a rule that repeats the default holds against a permission", () => {
    const spec = allowList([
      { names: ["ptrace"], action: ERRNO },
      { names: ["ptrace"], action: ALLOW },
    ]);
    expect(rulesOf(spec, "ptrace")).toBeUndefined();
  });

  test.each([
    ["SCMP_ACT_ERRNO", 1, "errno(1)", "errno(38)"],
    ["SCMP_ACT_ERRNO", 95, "errno(95)", "errno(38)"],
    ["SCMP_ACT_KILL", undefined, "kill-thread", "kill-thread"],
    ["SCMP_ACT_ALLOW", undefined, "allow", "allow"],
    ["SCMP_ACT_TRAP", undefined, "trap", "trap"],
  ])("default %s %s: known calls get %s, newer ones %s", (defaultAction, defaultErrnoRet, known, newer) => {
    const { policy } = valueOf(normalise({ defaultAction, defaultErrnoRet, syscalls: [] }, target()));
    expect([policy.fallback, policy.newer, policy.foreign].map(formatVerdict)).toEqual([
      known,
      newer,
      "kill-process",
    ]);
  });
});

describe("architectures", () => {
  test.each([
    [undefined, ["x86_64"], 0],
    [["SCMP_ARCH_X86_64"], ["x86_64"], 0],
    [["SCMP_ARCH_X86"], ["x86_64", "i386"], 0],
    [["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_X86"], ["x86_64", "x32", "i386"], 0],
    [["SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X"], ["x86_64"], 2],
  ])("%j gives %j", (architectures, abis, notes) => {
    const { policy, notes: said } = valueOf(normalise(allowList([], { architectures }), target()));
    expect(policy.abis.map(({ abi }) => abi)).toEqual(abis);
    expect(said).toHaveLength(notes);
  });

  test("a call of another architecture is left out with a note", () => {
    const spec = allowList([{ names: ["open", "s390_sthyi", "read"], action: ALLOW }]);
    expect(valueOf(normalise(spec, target("aarch64"))).notes).toEqual([
      "left out, as aarch64 has no such calls: open, s390_sthyi",
    ]);
  });
});

describe("Docker's conditions", () => {
  const rule = (more: object) => allowList([{ names: ["mount"], action: ALLOW, ...more }]);
  test.each([
    [{ includes: { caps: ["CAP_SYS_ADMIN"] } }, [], false],
    [{ includes: { caps: ["CAP_SYS_ADMIN"] } }, ["CAP_SYS_ADMIN"], true],
    [{ excludes: { caps: ["CAP_SYS_ADMIN"] } }, ["CAP_SYS_ADMIN"], false],
    [{ excludes: { caps: ["CAP_SYS_ADMIN"] } }, [], true],
    [{ includes: { arches: ["amd64", "x32"] } }, [], true],
    [{ includes: { arches: ["arm64"] } }, [], false],
    [{ excludes: { arches: ["amd64"] } }, [], false],
    [{ includes: { minKernel: "4.8" } }, [], true],
    [{ includes: { minKernel: "6.1" } }, [], true],
    [{ includes: { minKernel: "6.2" } }, [], false],
    [{ includes: { minKernel: "10.0" } }, [], false],
    [{ includes: {}, excludes: {} }, [], true],
  ])("%j with capabilities %j", (more, capabilities, allowed) => {
    expect(rulesOf(rule(more), "mount", target("x86_64", capabilities))).toEqual(
      allowed ? ["allow"] : undefined,
    );
  });
});

describe("mistakes", () => {
  const one = (rule: object) => allowList([{ names: ["read"], action: ALLOW, ...rule }]);
  const arg = (more: object) => one({ args: [{ index: 0, op: "SCMP_CMP_EQ", value: 1, ...more }] });
  test.each([
    [one({ names: ["raed"] }), "seccomp-unknown-syscall", "/seccomp/syscalls/0/names/0", "read"],
    [
      one({ names: ["read", "@file-sytem"] }),
      "seccomp-unknown-syscall",
      "/seccomp/syscalls/0/names/1",
      "@file-system",
    ],
    [one({ names: ["constructor"] }), "seccomp-unknown-syscall", "/seccomp/syscalls/0/names/0", undefined],
    [one({ names: ["@__proto__"] }), "seccomp-unknown-syscall", "/seccomp/syscalls/0/names/0", undefined],
    [one({ action: "SCMP_ACT_ALOW" }), "seccomp-rule", "/seccomp/syscalls/0/action", ALLOW],
    [one({ action: "SCMP_ACT_NOTIFY" }), "seccomp-rule", "/seccomp/syscalls/0/action", undefined],
    [one({ action: "toString" }), "seccomp-rule", "/seccomp/syscalls/0/action", undefined],
    [one({ action: ERRNO, errnoRet: 4096 }), "seccomp-rule", "/seccomp/syscalls/0/action", undefined],
    [arg({ index: 6 }), "seccomp-rule", "/seccomp/syscalls/0/args/0", undefined],
    [arg({ op: "SCMP_CMP_EG" }), "seccomp-rule", "/seccomp/syscalls/0/args/0", "SCMP_CMP_EQ"],
    [arg({ value: -1 }), "seccomp-rule", "/seccomp/syscalls/0/args/0", undefined],
    [arg({ value: "0x10000000000000000" }), "seccomp-rule", "/seccomp/syscalls/0/args/0", undefined],
    [
      arg({ op: "SCMP_CMP_MASKED_EQ", value: 1, valueTwo: 2 }),
      "seccomp-rule",
      "/seccomp/syscalls/0/args/0",
      undefined,
    ],
    [
      one({ includes: { minKernel: "six" } }),
      "seccomp-rule",
      "/seccomp/syscalls/0/includes/minKernel",
      undefined,
    ],
    [allowList([], { architectures: ["x86"] }), "seccomp-rule", "/seccomp/architectures/0", undefined],
    [allowList([], { defaultAction: "deny" }), "seccomp-rule", "/seccomp/defaultAction", undefined],
  ])("%# is located", (spec, kind, pointer, suggestion) => {
    const problems = problemsOf(spec);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ kind, pointer, ...(suggestion === undefined ? {} : { suggestion }) });
  });

  test("all of them are reported together", () => {
    const spec = allowList([
      { names: ["raed", "wirte"], action: "SCMP_ACT_NO" },
      { names: ["@nothing"], action: ALLOW, args: [{ index: 9, op: "?", value: 0 }] },
    ]);
    expect(problemsOf(spec)).toHaveLength(5);
  });

  test("a rule whose condition does not hold is checked all the same", () => {
    const spec = one({ names: ["nosuchcall"], includes: { arches: ["s390x"] } });
    expect(problemsOf(spec)).toHaveLength(1);
  });
});
