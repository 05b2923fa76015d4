/**
 * Finds a call that a filter lets through among those of a question. An answer of none is a proof: the filter is taken as a function of every bit
 * of a call (src/prove), not tried on some.
 */
import type { Abi } from "../compile/seccomp/abi.ts";
import { AUDIT_ARCH } from "../compile/seccomp/abi.ts";
import { type Call, type Condition, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { exampleOf } from "../prove/call-bits.ts";
import { type Meaning, type Prover, permission } from "../prove/prover.ts";
import { meaningOfCondition } from "../prove/rules.ts";

/** Whether a verdict lets the call happen, or leaves it to somebody who may. */
export const lets = (verdict: Verdict): boolean => permission(verdict) > 0;

/** The call with the smallest arguments, or null when there is none. Throws Undecided where the diagrams grow past their limit. */
export function findAllowed(
  prover: Prover,
  meaning: Meaning,
  abi: Abi,
  nr: number,
  question: readonly Condition[],
): Call | null {
  const d = prover.diagrams;
  const rest = prover.ofCall(meaning, abi, nr);
  const allowed = d.where(rest, rest, lets);
  const words = exampleOf(
    d,
    question.reduce((all, condition) => d.and(all, meaningOfCondition(d, condition)), allowed),
  );
  if (words === null) return null;
  words[WORD.arch] = AUDIT_ARCH[abi];
  words[WORD.nr] = nr;
  return words;
}
