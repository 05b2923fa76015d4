/**
 * The prover: filters and rules in, conclusions about every call out. `proved` and `refuted` are facts: a proof is the identity of two canonical
 * graphs, a refutation a call on which both sides were also run by the evaluator. What cannot be decided is `unknown`, never one of the two.
 *
 *     const prover = new Prover();
 *     prover.atMost(prover.filter(bpf), prover.rules(policy))
 */
import { type Abi, AUDIT_ARCH, SERVED } from "../compile/seccomp/abi.ts";
import type { Bpf } from "../compile/seccomp/decode.ts";
import { evaluate } from "../compile/seccomp/evaluate.ts";
import {
  actionOf,
  type Call,
  effective,
  type FilterPolicy,
  judge,
  RET,
  type Verdict,
  WORD,
} from "../compile/seccomp/ir.ts";
import type { Arch } from "../host/facts.ts";
import { bug } from "../problems.ts";
import * as bits from "./bits.ts";
import { ARCH_LEVEL, answerTo, NUMBER_LEVEL, namedCall, withWord, wordBits } from "./call-bits.ts";
import { type Diagram, Diagrams, FALSE, TRUE, Undecided } from "./diagram.ts";
import { meaningOfProgram } from "./program.ts";
import { type Region, regionsOf } from "./regions.ts";
import { meaningOfRules } from "./rules.ts";

/** Raise it with every change that may alter what is proved. */
export const ENGINE = "sandbox-prove/1";

/** What a filter or a list of rules answers to every call; of use only to the prover that made it. */
export interface Meaning {
  readonly root: Diagram;
  /** The same for one call, by a way that shares nothing with the diagram. */
  readonly ask: (words: Call) => Verdict;
}

export interface Unknown {
  readonly kind: "unknown";
  /** Why, for people: "it takes more than ... steps". */
  readonly reason: string;
}

/** A call, and what both sides answer to it. */
export interface Witness {
  readonly call: Call;
  readonly first: Verdict;
  readonly second: Verdict;
}

/** Of the answers of two sides to one call. */
export type Relation = (first: Verdict, second: Verdict) => boolean;

export type Conclusion =
  | { readonly kind: "proved" }
  | { readonly kind: "refuted"; readonly witness: Witness }
  | Unknown;

/** How much a verdict lets happen: the call (2), what somebody else decides (1), nothing (0). */
export function permission(verdict: Verdict): 0 | 1 | 2 {
  switch (actionOf(effective(verdict))) {
    case RET.allow:
    case RET.log:
      return 2;
    // A supervisor or tracer may let the call through.
    case RET.notify:
    case RET.trace:
      return 1;
    default:
      return 0;
  }
}

export class Prover {
  readonly diagrams = new Diagrams();

  /** The meaning of a filter, or why it has none that can be computed here. */
  filter(bpf: Bpf): Meaning | Unknown {
    return attempt(() => ({
      root: meaningOfProgram(this.diagrams, bpf),
      ask: (words: Call) => effective(evaluate(bpf, words)),
    }));
  }

  /** The meaning of rules. */
  rules(policy: FilterPolicy): Meaning | Unknown {
    return attempt(() => ({
      root: meaningOfRules(this.diagrams, policy),
      ask: (words: Call) => effective(judge(policy, words)),
    }));
  }

  /** Whether both make the kernel do the same on every call. */
  equal(a: Meaning | Unknown, b: Meaning | Unknown, among?: Diagram): Conclusion {
    return this.never(a, b, (one, other) => one !== other, among);
  }

  /** Whether `a` permits nothing that `b` forbids. */
  atMost(a: Meaning | Unknown, b: Meaning | Unknown, among?: Diagram): Conclusion {
    return this.never(a, b, (one, other) => permission(one) > permission(other), among);
  }

  /** Whether there is no call, or none among some, whose two answers are as said. */
  never(a: Meaning | Unknown, b: Meaning | Unknown, bad: Relation, among?: Diagram): Conclusion {
    const found = this.examples(a, b, bad, 1, among);
    if ("kind" in found) return found;
    const [witness] = found;
    return witness === undefined ? { kind: "proved" } : { kind: "refuted", witness };
  }

  /** Calls to which the answers differ: of each number at most one, and `most` in all; none when there is no such call. */
  differences(a: Meaning | Unknown, b: Meaning | Unknown, most: number): readonly Witness[] | Unknown {
    return this.examples(a, b, (one, other) => one !== other, most);
  }

  /** The same for any relation between two answers. */
  examples(
    a: Meaning | Unknown,
    b: Meaning | Unknown,
    bad: Relation,
    most: number,
    among: Diagram = TRUE,
  ): readonly Witness[] | Unknown {
    if ("kind" in a) return a;
    if ("kind" in b) return b;
    return attempt(() => {
      const d = this.diagrams;
      const found: Witness[] = [];
      let where = d.and(among, d.where(a.root, b.root, bad));
      while (found.length < most) {
        const call = namedCall(d, where);
        if (call === null) break;
        found.push(this.#confirmed(a, b, call, bad));
        where = d.and(where, d.not(identity(d, call)));
      }
      return found;
    });
  }

  /** The calls that a machine can make: through the ABIs that its kernel may serve. */
  callsOn(arch: Arch): Diagram {
    const d = this.diagrams;
    return SERVED[arch].reduce(
      (any, abi) => d.or(any, bits.equal(d, wordBits(d, WORD.arch), bits.constant(AUDIT_ARCH[abi]))),
      FALSE,
    );
  }

  /** Every call there is, in regions that have one answer each. */
  regions(a: Meaning | Unknown): readonly Region[] | Unknown {
    return "kind" in a ? a : attempt(() => regionsOf(this.diagrams, a.root));
  }

  /** The meaning as bytes that depend on nothing else. */
  canonical(a: Meaning): Uint8Array {
    return this.diagrams.canonical(a.root);
  }

  /** The meaning where only one ABI's numbers are looked at: a function of number and arguments. Of x32 and x86-64, both. */
  through(a: Meaning, abi: Abi): Diagram {
    return withWord(this.diagrams, a.root, ARCH_LEVEL, AUDIT_ARCH[abi]);
  }

  /** What is left for one system call: a function of its arguments. */
  ofCall(a: Meaning, abi: Abi, nr: number): Diagram {
    return withWord(this.diagrams, this.through(a, abi), NUMBER_LEVEL, nr);
  }

  /** Whether a meaning lets some call with these words happen; a supervisor's or tracer's leave does not count. */
  permits(a: Meaning, words: Call): boolean {
    return permission(answerTo(this.diagrams, a.root, words)) === 2;
  }

  #confirmed(a: Meaning, b: Meaning, call: Call, bad: Relation): Witness {
    const first = a.ask(call);
    const second = b.ask(call);
    // Two ways to the same answer: if they part, one of them is wrong, and neither can be trusted.
    if (
      first !== answerTo(this.diagrams, a.root, call) ||
      second !== answerTo(this.diagrams, b.root, call) ||
      !bad(first, second)
    )
      bug("the prover and the evaluator disagree about a call");
    return { call, first, second };
  }
}

/** Where architecture and number are those of a call. */
function identity(d: Diagrams, call: Call): Diagram {
  return d.and(
    bits.equal(d, wordBits(d, WORD.arch), bits.constant(call[WORD.arch] as number)),
    bits.equal(d, wordBits(d, WORD.nr), bits.constant(call[WORD.nr] as number)),
  );
}

/** What the work gives, or that it cannot be decided. */
export function attempt<T>(work: () => T): T | Unknown {
  try {
    return work();
  } catch (error) {
    if (error instanceof Undecided) return { kind: "unknown", reason: error.message };
    throw error;
  }
}
