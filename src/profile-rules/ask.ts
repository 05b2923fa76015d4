/**
 * Finds a call that a filter lets through among those of a question. An answer of none is a proof: the filter is taken as a function of every bit
 * of a call (src/prove), not tried on some.
 */
import { type Abi, AUDIT_ARCH } from "../compile/seccomp/abi.ts";
import { type Call, type Condition, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { NotStated } from "../profile/stated.ts";
import { exampleOf, NUMBER_LEVEL, withWord } from "../prove/call-bits.ts";
import { type Diagram, Undecided } from "../prove/diagram.ts";
import { type Meaning, type Prover, permission } from "../prove/prover.ts";
import { meaningOfCondition } from "../prove/rules.ts";

/** Whether a verdict lets the call happen, or leaves it to somebody who may. */
export const lets = (verdict: Verdict): boolean => permission(verdict) > 0;

/** A filter that is asked many questions: what they have in common is computed once. */
export class Asked {
  readonly prover: Prover;
  readonly meaning: Meaning;
  readonly #through = new Map<Abi, Diagram>();
  readonly #allowed = new Map<Diagram, Diagram>();

  constructor(prover: Prover, meaning: Meaning) {
    this.prover = prover;
    this.meaning = meaning;
  }

  /** What is left of the filter for one call: a function of its arguments. Throws NotStated where that cannot be computed, as everything here. */
  ofCall(abi: Abi, nr: number): Diagram {
    return this.decide(() => this.#ofCall(abi, nr));
  }

  /** What `work` gives; NotStated where the diagrams grow past their limit: who asks then has no answer, and never a wrong one. */
  decide<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof Undecided)) throw error;
      throw new NotStated("/seccomp", `what the filter does cannot be decided: ${error.message}`);
    }
  }

  #ofCall(abi: Abi, nr: number): Diagram {
    let through = this.#through.get(abi);
    if (through === undefined) {
      through = this.prover.through(this.meaning, abi);
      this.#through.set(abi, through);
    }
    return withWord(this.prover.diagrams, through, NUMBER_LEVEL, nr);
  }

  /** The call of a question with the smallest arguments, or null when there is none. */
  findAllowed(abi: Abi, nr: number, question: readonly Condition[]): Call | null {
    return this.decide(() => this.#findAllowed(abi, nr, question));
  }

  #findAllowed(abi: Abi, nr: number, question: readonly Condition[]): Call | null {
    const d = this.prover.diagrams;
    const rest = this.#ofCall(abi, nr);
    let allowed = this.#allowed.get(rest);
    if (allowed === undefined) {
      allowed = d.where(rest, rest, lets);
      this.#allowed.set(rest, allowed);
    }
    const words = exampleOf(
      d,
      question.reduce((all, condition) => d.and(all, meaningOfCondition(d, condition)), allowed),
    );
    if (words === null) return null;
    words[WORD.arch] = AUDIT_ARCH[abi];
    words[WORD.nr] = nr;
    return words;
  }
}
