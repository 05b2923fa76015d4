/** What a filter lets through, in words: computed from its meaning, the same whoever emitted it. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Abi, AUDIT_ARCH, X32_BIT } from "../../src/compile/seccomp/abi.ts";
import { generate } from "../../src/compile/seccomp/codegen.ts";
import { call, formatVerdict, RET } from "../../src/compile/seccomp/ir.ts";
import { normalise } from "../../src/compile/seccomp/normalise.ts";
import { libseccompBackend } from "../../src/kernel/libseccomp.ts";
import type { SeccompSpec } from "../../src/profile/spec.ts";
import { type Alternatives, describeCondition, formatAlternatives } from "../../src/prove/conditions.ts";
import { type Meaning, Prover, type Unknown } from "../../src/prove/prover.ts";
import { answeredCalls, reachableSyscalls } from "../../src/prove/reachable.ts";
import { callsNear, meaning, policies } from "../seccomp/policies.ts";
import { allowList, shipped, skipUnless, target, valueOf } from "../seccomp/support.ts";
import { program } from "./programs.ts";

function certain<T extends object>(made: T | Unknown): T {
  if ("kind" in made && made.kind === "unknown") throw new Error(made.reason);
  return made as T;
}

const policyOf = (spec: SeccompSpec) => valueOf(normalise(spec, target())).policy;

function reached(bytes: Uint8Array, abi: Abi = "x86_64"): Record<string, string> {
  const prover = new Prover();
  const calls = certain(reachableSyscalls(prover, certain<Meaning>(prover.filter(program(bytes))), abi));
  return Object.fromEntries(
    calls.map(({ first, last, name, when }) => [name ?? `${first} to ${last}`, formatAlternatives(when)]),
  );
}

const arg = (index: number, op: string, value: string | number, valueTwo: string | number = 0) => ({
  index,
  op: `SCMP_CMP_${op}`,
  value,
  valueTwo,
});
const ALLOW = { names: ["ioctl"], action: "SCMP_ACT_ALLOW" };

describe("conditions are read back as somebody would write them", () => {
  test.each([
    ["always", [ALLOW]],
    ["arg1 == 0x5401", [{ ...ALLOW, args: [arg(1, "EQ", 0x5401)] }]],
    ["arg1 != 0x5401", [{ ...ALLOW, args: [arg(1, "NE", 0x5401)] }]],
    ["arg1 & 0xffffffff == 0x5401", [{ ...ALLOW, args: [arg(1, "MASKED_EQ", 0xffffffff, 0x5401)] }]],
    ["arg1 <= 0x100000005", [{ ...ALLOW, args: [arg(1, "LE", "0x100000005")] }]],
    ["arg1 >= 0x100000005", [{ ...ALLOW, args: [arg(1, "GE", "0x100000005")] }]],
    ["arg1 in {0x5..0x8}", [{ ...ALLOW, args: [arg(1, "GE", 5), arg(1, "LT", 9)] }]],
    ["arg1 in {0x1, 0x3, 0x5}", [5, 1, 3].map((value) => ({ ...ALLOW, args: [arg(1, "EQ", value)] }))],
    ["arg1 not in {0x1, 0x3}", [{ ...ALLOW, args: [arg(1, "NE", 1), arg(1, "NE", 3)] }]],
    ["arg0 & 0x7e020000 == 0x0", [{ ...ALLOW, args: [arg(0, "MASKED_EQ", 0x7e020000)] }]],
    ["arg0 == 0x1 and arg2 == 0x2", [{ ...ALLOW, args: [arg(2, "EQ", 2), arg(0, "EQ", 1)] }]],
    [
      "arg0 == 0x1 and arg2 == 0x2; or arg0 == 0x2",
      [
        { ...ALLOW, args: [arg(0, "EQ", 2)] },
        { ...ALLOW, args: [arg(2, "EQ", 2), arg(0, "EQ", 1)] },
      ],
    ],
  ] as const)("%s", (text, rules) => {
    expect(reached(generate(policyOf(allowList(rules))) as Uint8Array)).toEqual({ ioctl: text });
  });
});

test("what is not allowed for any argument is not reachable, by number, name and ABI", () => {
  const none = generate(policyOf(allowList([]))) as Uint8Array;
  expect(reached(none)).toEqual({});
  const all = Uint8Array.from([6, 0, 0, 0, 0, 0, 0xff, 0x7f]);
  for (const abi of ["x86_64", "x32", "i386", "aarch64", "arm"] as const) {
    const calls = reached(all, abi);
    expect(calls["read"]).toBe("always");
    expect(Object.values(calls).every((when) => when === "always")).toBe(true);
  }
  expect(
    Object.keys(reached(all, "x32")).every(
      (name) => !/^\d+ to/.test(name) || Number.parseInt(name, 10) >= X32_BIT,
    ),
  ).toBe(true);
  const strict = generate(policyOf(shipped("strict"))) as Uint8Array;
  for (const abi of ["x32", "i386", "aarch64", "arm"] as const) expect(reached(strict, abi)).toEqual({});
  const names = Object.keys(reached(strict));
  expect(names).toContain("openat");
  for (const never of ["mount", "bpf", "ptrace", "keyctl", "io_uring_setup"])
    expect(names).not.toContain(never);
  expect(names.every((name) => !/^\d/.test(name))).toBe(true);
});

const library = process.arch === "x64" ? libseccompBackend() : null;
test.skipIf(skipUnless(library !== null, "libseccomp is not installed or this is not x86-64"))(
  "libseccomp's filter is described in the same words as ours, and has the same canonical form",
  () => {
    for (const name of ["strict", "standard"]) {
      const policy = policyOf(shipped(name));
      const theirs = library?.emit(policy) as Uint8Array;
      const ours = generate(policy) as Uint8Array;
      expect(theirs).not.toEqual(ours);
      expect(reached(theirs)).toEqual(reached(ours));
      const canonical = [theirs, ours].map((bytes) => {
        const prover = new Prover();
        return prover.canonical(certain<Meaning>(prover.filter(program(bytes))));
      });
      expect(canonical[0]).toEqual(canonical[1]);
    }
  },
);

/** Whether a description holds for arguments. */
function holds({ any }: Alternatives, args: readonly bigint[]): boolean {
  return any.some((all) =>
    all.every(({ index, mask, ranges, except }) => {
      const value = (args[index] ?? 0n) & mask;
      return (ranges ?? []).some(([low, high]) => low <= value && value <= high) !== except;
    }),
  );
}

test("a description holds exactly where the answer is given", { timeout: 60_000 }, () => {
  const cases = policies.chain((policy) =>
    fc.tuple(fc.constant(policy), fc.array(callsNear(policy), { minLength: 20, maxLength: 20 })),
  );
  let described = 0;
  fc.assert(
    fc.property(cases, ([policy, calls]) => {
      const prover = new Prover();
      const rules = certain<Meaning>(prover.rules(policy));
      const answered = certain(answeredCalls(prover, rules, "x86_64"));
      for (const each of calls) {
        if (each.arch !== AUDIT_ARCH.x86_64) continue;
        const answers = answered.find(({ first, last }) => first <= each.nr && each.nr <= last)?.answers;
        if (answers === undefined) continue;
        const whole = answers.every(
          ({ when }) => when.complete && when.any.flat().every(({ ranges }) => ranges !== null),
        );
        if (!whole) continue;
        described += 1;
        const given = answers.filter(({ when }) => holds(when, each.args)).map(({ verdict }) => verdict);
        expect(given).toEqual([meaning(policy, each)]);
        expect(prover.permits(rules, call(each.arch, each.nr, each.args))).toBe(
          ["allow", "log"].includes(formatVerdict(meaning(policy, each))),
        );
      }
    }),
    { numRuns: 300, seed: 31 },
  );
  expect(described).toBeGreaterThan(3000);
});

test("what takes too many words is cut off, and said", () => {
  const prover = new Prover();
  const d = prover.diagrams;
  // Every third bit pattern of a word: no short list of ranges.
  const rule = (value: number) => ({
    conditions: [{ index: 0, operator: "eq" as const, mask: 0xffffn, value: BigInt(value) }],
    verdict: RET.allow,
  });
  const policy = {
    abis: [
      { abi: "x86_64" as const, calls: new Map([[16, Array.from({ length: 300 }, (_, i) => rule(3 * i))]]) },
    ],
    fallback: RET.errno | 1,
    newer: RET.errno | 38,
    foreign: RET.killProcess,
  };
  const rest = prover.ofCall(certain<Meaning>(prover.rules(policy)), "x86_64", 16);
  const when = describeCondition(
    d,
    d.where(rest, rest, (verdict) => verdict === RET.allow),
  );
  expect(formatAlternatives(when)).toBe("arg0 & 0xffff in more than 64 ranges");
});
