/** Filters that a compiler got slightly wrong: each is refused, with a call on which evaluator and rules differ. */
import { describe, expect, test } from "vitest";
import { AUDIT_ARCH, X32_BIT } from "../../src/compile/seccomp/abi.ts";
import { generate } from "../../src/compile/seccomp/codegen.ts";
import { type Backend, compileSeccomp, OWN_BACKEND } from "../../src/compile/seccomp/compile.ts";
import { decode, isJump, OP } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { type Call, call, type FilterPolicy, judge } from "../../src/compile/seccomp/ir.ts";
import { normalise } from "../../src/compile/seccomp/normalise.ts";
import { verify } from "../../src/compile/seccomp/verify.ts";
import type { SeccompSpec } from "../../src/profile/spec.ts";
import { allowList, target, valueOf } from "../seccomp/support.ts";
import { assemble, type Instruction, program } from "./programs.ts";

const OPERATORS = ["EQ", "NE", "LT", "LE", "GT", "GE"] as const;
const lseek = (op: string, value: string) => ({
  names: ["lseek"],
  action: "SCMP_ACT_ALLOW",
  args: [{ index: 1, op: `SCMP_CMP_${op}`, value }],
});
const SPEC = allowList([
  { names: ["read", "write", "exit_group"], action: "SCMP_ACT_ALLOW" },
  lseek("GE", "0x500000007"),
  { ...lseek("EQ", "0x300000009"), names: ["mmap"] },
  { ...lseek("LT", "0x500000007"), names: ["mprotect"], action: "SCMP_ACT_ERRNO", errnoRet: 13 },
  {
    names: ["socket"],
    action: "SCMP_ACT_ALLOW",
    args: [
      { index: 0, op: "SCMP_CMP_EQ", value: 2 },
      { index: 1, op: "SCMP_CMP_MASKED_EQ", value: "0xf", valueTwo: 1 },
    ],
  },
]);
const policyOf = (spec: SeccompSpec): FilterPolicy => valueOf(normalise(spec, target())).policy;
const POLICY = policyOf(SPEC);
const GOOD = generate(POLICY) as Uint8Array;

/** Calls at and around everything that the rules and the program compare with. */
const NEAR: readonly Call[] = (() => {
  const values = [
    0n,
    1n,
    2n,
    3n,
    7n,
    9n,
    0x11n,
    0x500000006n,
    0x500000007n,
    0x500000008n,
    0x400000007n,
    0x600000000n,
  ].concat([
    0x300000008n,
    0x300000009n,
    0x30000000an,
    0x100000002n,
    0xffffffffffffffffn,
    0x300000000n,
    0x500000000n,
  ]);
  const numbers = [0, 1, 2, 8, 9, 10, 11, 40, 41, 42, 231, 470, 471, X32_BIT, X32_BIT | 1, 0xffffffff];
  return Object.values(AUDIT_ARCH).flatMap((arch) =>
    numbers.flatMap((nr) =>
      values.flatMap((first) => values.map((second) => call(arch, nr, [first, second]))),
    ),
  );
})();

/** What verify says of a program, held against trying NEAR. */
function judgeMutant(bytes: Uint8Array): "refused" | "the same" {
  const proof = verify(bytes, POLICY, target());
  if (!proof.ok) {
    const said = /the policy says .*, the filter |instruction \d+ of the emitted filter/;
    const odd = proof.problems.find(
      ({ kind, message }) => kind !== "seccomp-miscompiled" || !said.test(message),
    );
    if (odd !== undefined) throw new Error(odd.message);
    return "refused";
  }
  const bpf = program(bytes);
  const wrong = NEAR.find((words) => evaluate(bpf, words) !== judge(POLICY, words));
  if (wrong !== undefined) throw new Error(`proved, but wrong: ${wrong.join()}`);
  return "the same";
}

const instructions = (): readonly Required<Instruction>[] => {
  const { code, jt, jf, k } = program(GOOD);
  return [...code.keys()].map((i) => ({
    code: code[i] as number,
    jt: jt[i] as number,
    jf: jf[i] as number,
    k: k[i] as number,
  }));
};

/** Every program that differs in one instruction in a way; null: not here. */
function mutants(change: (at: Required<Instruction>) => Instruction | null): readonly Uint8Array[] {
  const good = instructions();
  return good.flatMap((instruction, i) => {
    const changed = change(instruction);
    return changed === null ? [] : [assemble(good.with(i, { ...instruction, ...changed }))];
  });
}
const jumps = (change: (at: Required<Instruction>) => Instruction) =>
  mutants((at) => (isJump(at.code) && at.jt !== at.jf ? change(at) : null));

test("the right program is proved, and the calls tried agree", () => {
  expect(judgeMutant(GOOD)).toBe("the same");
});

describe("every program with one fault is refused", () => {
  const good = instructions();
  const kinds: Readonly<Record<string, readonly Uint8Array[]>> = {
    "an instruction dropped": good.map((_, i) => assemble(good.toSpliced(i, 1))),
    "the branches of a jump swapped": jumps((at) => ({ ...at, jt: at.jf, jf: at.jt })),
    "a jump one too far": jumps((at) => ({ ...at, jt: at.jt + 1 })),
    "the other branch one too far": jumps((at) => ({ ...at, jf: at.jf + 1 })),
    "a comparison that includes its limit": mutants((at) =>
      at.code === OP.jgt ? { ...at, code: OP.jge } : null,
    ),
    "a comparison that excludes its limit": mutants((at) =>
      at.code === OP.jge ? { ...at, code: OP.jgt } : null,
    ),
    "a constant off by one": jumps((at) => ({ ...at, k: (at.k + 1) >>> 0 })),
    "a constant with its highest bit turned": jumps((at) => ({ ...at, k: (at.k ^ 0x80000000) >>> 0 })),
    "a high word taken for zero": mutants((at) =>
      at.code === OP.ld && at.k >= 16 && at.k % 8 === 4 ? { code: OP.ldImm, k: 0 } : null,
    ),
    "high and low word exchanged": mutants((at) =>
      at.code === OP.ld && at.k >= 16 ? { ...at, k: at.k ^ 4 } : null,
    ),
    "the neighbouring argument": mutants((at) =>
      at.code === OP.ld && at.k >= 16 ? { ...at, k: at.k ^ 8 } : null,
    ),
    "a mask one bit too wide": mutants((at) => (at.code === OP.and ? { ...at, k: at.k | 0x10 } : null)),
    "another architecture": mutants((at) =>
      at.k === AUDIT_ARCH.x86_64 ? { ...at, k: AUDIT_ARCH.aarch64 } : null,
    ),
    "a verdict with another error": mutants((at) =>
      at.code === OP.ret && at.k >>> 16 === 5 ? { ...at, k: at.k + 1 } : null,
    ),
  };
  test.each(Object.keys(kinds))("%s", (kind) => {
    const all = kinds[kind] as readonly Uint8Array[];
    expect(all.length).toBeGreaterThan(0);
    const same = all.filter((bytes) => judgeMutant(bytes) === "the same").length;
    // A fault may be none: swapping what is compared twice, or a bound that no number between needs.
    expect(same, `${same} of ${all.length}`).toBeLessThanOrEqual(Math.floor(all.length / 8));
  });

  test("numbers of x32 taken for those of x86-64", () => {
    const without = jumps((at) =>
      at.code === OP.jge && at.k === X32_BIT ? { ...at, jt: at.jf, jf: at.jf } : at,
    );
    expect(without.some((bytes) => judgeMutant(bytes) === "refused")).toBe(true);
  });
});

describe("rules compiled into other rules are refused", () => {
  const wrong: readonly [string, (rules: FilterPolicy) => FilterPolicy][] = [
    [
      "values cut to 32 bits",
      (policy) => conditions(policy, (each) => ({ ...each, value: each.value & 0xffffffffn })),
    ],
    ["a mask forgotten", (policy) => conditions(policy, (each) => ({ ...each, mask: 0xffffffffffffffffn }))],
    [
      "strict comparisons for others",
      (policy) =>
        conditions(policy, (each) => ({ ...each, operator: each.operator === "ge" ? "gt" : each.operator })),
    ],
    [
      "conditions taken for alternatives",
      (policy) =>
        rules(policy, (list) =>
          list.flatMap((rule) =>
            rule.conditions.length < 2
              ? [rule]
              : rule.conditions.map((each) => ({ ...rule, conditions: [each] })),
          ),
        ),
    ],
    ["a rule forgotten", (policy) => rules(policy, (list) => list.slice(1))],
    ["another architecture let in", (policy) => ({ ...policy, foreign: policy.fallback })],
    ["EPERM for calls newer than known", (policy) => ({ ...policy, newer: policy.fallback })],
  ];
  test.each(wrong)("%s", (_, change) => {
    expect(judgeMutant(generate(change(POLICY)) as Uint8Array)).toBe("refused");
  });

  test.each(OPERATORS)("the high words of two %s rules on one argument merged into one", (op) => {
    const meant = policyOf(allowList([lseek(op, "0x500000007"), { ...lseek("EQ", "0x300000009") }]));
    const merged = policyOf(allowList([lseek(op, "0x500000007"), { ...lseek("EQ", "0x500000009") }]));
    // All but one value are allowed by NE alone.
    expect(verify(generate(merged) as Uint8Array, meant, target()).ok).toBe(op === "NE");
  });
});

test("a compiler that is wrong is passed over, and said; alone, it gives no filter", () => {
  const wrong: Backend = {
    name: "wrong",
    emit: (policy) => (generate(policy) as Uint8Array).slice(0, -8),
  };
  const worse: Backend = {
    name: "worse",
    emit: () => Uint8Array.from([6, 0, 0, 0, 0, 0, 0xff, 0x7f]),
  };
  const compiled = valueOf(compileSeccomp(SPEC, target(), [wrong, worse, OWN_BACKEND]));
  expect(compiled.backend).toBe(OWN_BACKEND.name);
  expect(compiled.bytes).toEqual(GOOD);
  expect(compiled.notes.filter((note) => note.includes("got the policy wrong"))).toHaveLength(2);
  const refused = compileSeccomp(SPEC, target(), [wrong, worse]);
  expect(refused.ok).toBe(false);
  expect(decode(GOOD).ok).toBe(true);
});

function rules(policy: FilterPolicy, change: (list: readonly Rule[]) => readonly Rule[]): FilterPolicy {
  return {
    ...policy,
    abis: policy.abis.map((abi) => ({
      ...abi,
      calls: new Map([...abi.calls].map(([nr, list]) => [nr, change(list)])),
    })),
  };
}
type Rule =
  FilterPolicy["abis"][number]["calls"] extends ReadonlyMap<number, readonly (infer R)[]> ? R : never;
function conditions(
  policy: FilterPolicy,
  change: (each: Rule["conditions"][number]) => Rule["conditions"][number],
): FilterPolicy {
  return rules(policy, (list) => list.map((rule) => ({ ...rule, conditions: rule.conditions.map(change) })));
}
