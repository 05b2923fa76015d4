/** What a filter answers to one system call: for which arguments it gets through, and which rule decides each answer. Pure. */
import { type Abi, AUDIT_ARCH, SERVED } from "../compile/seccomp/abi.ts";
import { formatVerdict, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import type { Place } from "../gate/rule.ts";
import { lets } from "../profile-rules/ask.ts";
import type { ProfileFacts } from "../profile-rules/facts.ts";
import { deciding, type FilterFacts, openConventions } from "../profile-rules/filter-facts.ts";
import { exampleOf } from "../prove/call-bits.ts";
import { describeCondition, formatAlternatives } from "../prove/conditions.ts";
import { answersOf } from "../prove/reachable.ts";

/** Whether and when a call gets through. */
export interface CallAnswer {
  readonly allowed: "always" | "sometimes" | "never";
  /** The arguments with which it does; "" unless sometimes. */
  readonly when: string;
}

/** Throws bug() for a name that the convention does not have. */
export function answersTo({ asked }: FilterFacts, abi: Abi, name: string): CallAnswer {
  const nr = syscallTable(abi).numbers.get(name);
  if (nr === undefined) return { allowed: "never", when: "" };
  const d = asked.prover.diagrams;
  const rest = asked.ofCall(abi, nr);
  const when = asked.decide(() => formatAlternatives(describeCondition(d, d.where(rest, rest, lets))));
  if (when === "always" || when === "never") return { allowed: when, when: "" };
  return { allowed: "sometimes", when };
}

/** One answer of a filter to a call, the arguments that get it, and the line that decides it. */
export interface DecidedAnswer {
  readonly abi: Abi;
  readonly verdict: string;
  readonly lets: boolean;
  readonly when: string;
  /** JSON pointer of what decides it, for the first such call. */
  readonly pointer: string;
  readonly places: readonly Place[];
}

/**
 * Every answer to a call on every convention that the filter lets through, or, where none of them has the call, on those that it refuses; strictest
 * first. Empty only without a filter.
 */
export function explainCall(facts: ProfileFacts, name: string): readonly DecidedAnswer[] {
  const listed = answersOn(facts, name, openConventions);
  return listed.length > 0 ? listed : answersOn(facts, name, ({ arch }) => SERVED[arch]);
}

function answersOn(
  facts: ProfileFacts,
  name: string,
  abisOf: (filter: FilterFacts) => readonly Abi[],
): readonly DecidedAnswer[] {
  return facts.filters.flatMap((filter) =>
    abisOf(filter).flatMap((abi) =>
      filter.asked.decide(() => {
        const nr = syscallTable(abi).numbers.get(name);
        if (nr === undefined) return [];
        const d = filter.asked.prover.diagrams;
        const rest = filter.asked.ofCall(abi, nr);
        return answersOf(filter.asked.prover, rest).map(({ verdict, when }) => {
          const words = exampleOf(
            d,
            d.where(rest, rest, (each: Verdict) => each === verdict),
          );
          if (words !== null) {
            words[WORD.arch] = AUDIT_ARCH[abi];
            words[WORD.nr] = nr;
          }
          const pointer = words === null ? "/seccomp" : deciding(filter, abi, name, words).pointer;
          return {
            abi,
            verdict: formatVerdict(verdict),
            lets: lets(verdict),
            when: formatAlternatives(when),
            pointer,
            places: facts.at(pointer),
          };
        });
      }),
    ),
  );
}
