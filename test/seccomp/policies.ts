/** Random small policies and calls near their boundaries, and the plainest statement of what a policy means. */
import fc from "fast-check";
import { AUDIT_ARCH, NEWEST_OF, SKIPPED, X32_BIT } from "../../src/compile/seccomp/abi.ts";
import {
  ALL_ONES,
  type Condition,
  type FilterPolicy,
  type Operator,
  RET,
  type Rule,
} from "../../src/compile/seccomp/ir.ts";

/** Calls that exist by number only: always ENOSYS when they reach the kernel, so a test may really make them. */
export const HARMLESS = [180, 181, 182, 183, 184, 185];

const words = fc.constantFrom(0n, 1n, 2n, 0x7fffffffn, 0x80000000n, 0xfffffffen, 0xffffffffn);
export const value64 = fc.oneof(
  fc.tuple(words, words).map(([high, low]) => (high << 32n) | low),
  fc.bigInt({ min: 0n, max: ALL_ONES }),
);
const masked = fc
  .tuple(fc.oneof(value64, fc.constant(0xffffffffn), fc.constant(0xffffffff00000000n)), value64)
  .map(
    ([mask, value]): Pick<Condition, "operator" | "mask" | "value"> => ({
      operator: "eq",
      mask,
      value: value & mask,
    }),
  );
const compared = fc
  .tuple(fc.constantFrom<Operator>("eq", "ne", "lt", "le", "gt", "ge"), value64)
  .map(([operator, value]) => ({ operator, mask: ALL_ONES, value }));
const condition = fc
  .tuple(fc.integer({ min: 0, max: 5 }), fc.oneof(compared, masked))
  .map(([index, rest]): Condition => ({ index, ...rest }));
const verdicts = fc.constantFrom(RET.allow, RET.log, RET.errno | 101, RET.errno | 102);
const rule = (verdict: fc.Arbitrary<number>) =>
  fc.record<Rule>({ conditions: fc.array(condition, { maxLength: 3 }), verdict });

/** Mostly one verdict per call, which libseccomp can say; sometimes several, which it cannot. */
const rules = fc.oneof(
  verdicts.chain((verdict) => fc.array(rule(fc.constant(verdict)), { minLength: 1, maxLength: 4 })),
  fc.array(rule(verdicts), { minLength: 1, maxLength: 4 }),
);

export const policies = fc
  .tuple(
    fc.uniqueArray(fc.tuple(fc.constantFrom(...HARMLESS), rules), { selector: ([nr]) => nr, maxLength: 5 }),
    fc.constantFrom(RET.errno | 1, RET.allow, RET.killProcess),
  )
  .map(
    ([calls, fallback]): FilterPolicy => ({
      abis: [{ abi: "x86_64", calls: new Map(calls) }],
      fallback,
      newer: fallback === (RET.errno | 1) ? RET.errno | 38 : fallback,
      foreign: RET.killProcess,
    }),
  );

export interface PlainCall {
  readonly arch: number;
  readonly nr: number;
  readonly args: readonly bigint[];
}

/** Arguments at, next to and with swapped halves of the values in the policy, besides any. */
export function callsNear(policy: FilterPolicy): fc.Arbitrary<PlainCall> {
  const calls = policy.abis[0]?.calls ?? new Map<number, readonly Rule[]>();
  const values = [...calls.values()].flat().flatMap((each) => each.conditions.map(({ value }) => value));
  const near = values.flatMap((value) => [
    value,
    value - 1n,
    value + 1n,
    value ^ (1n << 32n),
    ((value << 32n) | (value >> 32n)) & ALL_ONES,
  ]);
  const arg =
    near.length === 0 ? value64 : fc.oneof(fc.constantFrom(...near.map((v) => v & ALL_ONES)), value64);
  return fc.record({
    arch: fc.oneof(
      { weight: 20, arbitrary: fc.constant(AUDIT_ARCH.x86_64) },
      { weight: 1, arbitrary: fc.constantFrom(AUDIT_ARCH.i386, AUDIT_ARCH.aarch64, 0) },
    ),
    nr: fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...HARMLESS) },
      { weight: 1, arbitrary: fc.constantFrom(0, 470, 471, X32_BIT - 1, X32_BIT, X32_BIT | 183, SKIPPED) },
    ),
    args: fc.array(arg, { minLength: 6, maxLength: 6 }),
  });
}

/** The meaning again, in other words than src/compile/seccomp/ir.ts: big integers, no sharing, x86-64 only. */
export function meaning(policy: FilterPolicy, { arch, nr, args }: PlainCall): number {
  if (arch !== AUDIT_ARCH.x86_64) return policy.foreign;
  if (nr >= X32_BIT && nr !== SKIPPED) return policy.foreign;
  const found = policy.abis[0]?.calls.get(nr)?.find((each) =>
    each.conditions.every(({ index, operator, mask, value }) => {
      const a = (args[index] as bigint) & mask;
      return {
        eq: a === value,
        ne: a !== value,
        lt: a < value,
        le: a <= value,
        gt: a > value,
        ge: a >= value,
      }[operator];
    }),
  );
  if (found !== undefined) return found.verdict;
  return nr > NEWEST_OF.x86_64 ? policy.newer : policy.fallback;
}
