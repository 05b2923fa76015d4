/**
 * Finds a call that a filter lets through among those of a question, by running the filter. Tries the boundary values of every condition that
 * the rules put on the call and of the question itself.
 */
import { type Abi, AUDIT_ARCH } from "../compile/seccomp/abi.ts";
import type { Bpf } from "../compile/seccomp/decode.ts";
import { evaluate } from "../compile/seccomp/evaluate.ts";
import {
  ALL_ONES,
  type Call,
  type Condition,
  call,
  type FilterPolicy,
  holds,
  RET,
  strictness,
  type Verdict,
  WORD,
} from "../compile/seccomp/ir.ts";

/** Whether a verdict lets the call happen. */
export const lets = (verdict: Verdict): boolean => strictness(verdict) >= strictness(RET.log);

export function findAllowed(
  policy: FilterPolicy,
  bpf: Bpf,
  abi: Abi,
  nr: number,
  question: readonly Condition[],
): Call | null {
  const rules = policy.abis.find((one) => one.abi === abi)?.calls.get(nr) ?? [];
  const conditions = [...rules.flatMap((rule) => rule.conditions), ...question];
  const used = [...new Set(conditions.map(({ index }) => index))];
  const candidates = used.map((index) => valuesOf(conditions.filter((c) => c.index === index)));
  const asked = (words: Call): boolean =>
    question.every((c) => {
      const at = WORD.args + 2 * c.index;
      return holds(c, words[at] as number, words[at + 1] as number);
    });
  const args = [0n, 0n, 0n, 0n, 0n, 0n];
  const search = (depth: number): Call | null => {
    const index = used[depth];
    if (index === undefined) {
      const words = call(AUDIT_ARCH[abi], nr, args);
      return asked(words) && lets(evaluate(bpf, words)) ? words : null;
    }
    for (const value of candidates[depth] ?? []) {
      args[index] = value;
      const found = search(depth + 1);
      if (found !== null) return found;
    }
    return null;
  };
  return search(0);
}

function valuesOf(conditions: readonly Condition[]): readonly bigint[] {
  const values = new Set<bigint>([0n]);
  for (const { mask, value } of conditions) {
    for (const near of [value, value - 1n, value + 1n, ~mask & ALL_ONES & 0xffffffffn])
      if (near >= 0n && near <= ALL_ONES) values.add(near);
  }
  const more = [...values].flatMap((a) => conditions.map(({ value }) => a | value));
  return [...new Set([...values, ...more])];
}
