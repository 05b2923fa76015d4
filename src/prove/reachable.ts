/**
 * What a filter lets through, call by call: computed from its meaning, so that it holds for every argument and not only for those that somebody
 * tried. Numbers that no table knows are here too: a filter speaks of all of them.
 */
import { type Abi, SKIPPED, X32_BIT } from "../compile/seccomp/abi.ts";
import { strictness, type Verdict } from "../compile/seccomp/ir.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import { NUMBER_LEVEL, ranges } from "./call-bits.ts";
import { type Alternatives, describeCondition } from "./conditions.ts";
import type { Diagram } from "./diagram.ts";
import { attempt, type Meaning, type Prover, permission, type Unknown } from "./prover.ts";

/** Numbers that are treated alike: one that has a name, or a range of those that have none. */
export interface Numbers {
  readonly abi: Abi;
  readonly first: number;
  readonly last: number;
  readonly name: string | null;
}

/** Numbers and what a filter makes of their arguments. */
export interface Treated extends Numbers {
  /** A function of the arguments, of use to the prover that made it. */
  readonly rest: Diagram;
}

export interface ReachableCall extends Numbers {
  /** With which arguments. */
  readonly when: Alternatives;
}

export interface Answered extends Numbers {
  /** Each answer and the arguments that get it, strictest first. */
  readonly answers: readonly { readonly verdict: Verdict; readonly when: Alternatives }[];
}

/** Every number of an ABI, ascending, cut where the treatment changes and around each name. */
export function treatedNumbers(prover: Prover, meaning: Meaning, abi: Abi): readonly Treated[] | Unknown {
  return attempt(() =>
    ranges(prover.diagrams, prover.through(meaning, abi), NUMBER_LEVEL).flatMap((range) =>
      namedNumbers(abi, range.first, range.last).map((numbers) => ({ ...numbers, rest: range.rest })),
    ),
  );
}

/** The calls of an ABI that reach the kernel for some arguments; what a supervisor or tracer decides is not among them. */
export function reachableSyscalls(
  prover: Prover,
  meaning: Meaning,
  abi: Abi,
): readonly ReachableCall[] | Unknown {
  const found = everyNumber(prover, meaning, abi, (rest) => ({
    when: whenAnswered(prover, rest, (verdict) => permission(verdict) === 2),
  }));
  return "kind" in found ? found : found.filter(({ when }) => when.any.length > 0);
}

/** Every answer of an ABI. */
export function answeredCalls(prover: Prover, meaning: Meaning, abi: Abi): readonly Answered[] | Unknown {
  return everyNumber(prover, meaning, abi, (rest) => ({ answers: answersOf(prover, rest) }));
}

/** The answers of what is left of a meaning once architecture and number are known. */
export function answersOf(prover: Prover, rest: Diagram): Answered["answers"] {
  return prover.diagrams
    .answers(rest)
    .toSorted((a, b) => strictness(a) - strictness(b))
    .map((verdict) => ({ verdict, when: whenAnswered(prover, rest, (each) => each === verdict) }));
}

function whenAnswered(prover: Prover, rest: Diagram, wanted: (verdict: Verdict) => boolean): Alternatives {
  const { diagrams } = prover;
  return describeCondition(
    diagrams,
    diagrams.where(rest, rest, (verdict) => wanted(verdict)),
  );
}

/** Most numbers are treated as many others are: what is said of them is found out once. */
function everyNumber<T extends object>(
  prover: Prover,
  meaning: Meaning,
  abi: Abi,
  about: (rest: Diagram) => T,
): readonly (Numbers & T)[] | Unknown {
  const numbers = treatedNumbers(prover, meaning, abi);
  if ("kind" in numbers) return numbers;
  const known = new Map<Diagram, T>();
  return attempt(() =>
    numbers.map(({ rest, ...each }) => {
      const found = known.get(rest) ?? about(rest);
      known.set(rest, found);
      return { ...each, ...found };
    }),
  );
}

/** Numbers of an ABI, both inside. x32 and x86-64 share an architecture; the number of a skipped call is no call of x32. */
const NUMBERS_OF: Readonly<Record<Abi, readonly (readonly [number, number])[]>> = {
  x86_64: [
    [0, X32_BIT - 1],
    [SKIPPED, SKIPPED],
  ],
  x32: [[X32_BIT, SKIPPED - 1]],
  i386: [[0, SKIPPED]],
  aarch64: [[0, SKIPPED]],
  arm: [[0, SKIPPED]],
};

/** A range of numbers, cut around those that have a name; without numbers of the other ABI of the architecture. */
export function namedNumbers(abi: Abi, first: number, last: number): readonly Numbers[] {
  const found: Numbers[] = [];
  for (const [low, high] of NUMBERS_OF[abi]) {
    const end = Math.min(last, high);
    let next = Math.max(first, low);
    const gap = (to: number) => {
      if (next <= to) found.push({ abi, first: next, last: to, name: null });
    };
    for (const [nr, name] of syscallTable(abi).names) {
      if (nr < next || nr > end) continue;
      gap(nr - 1);
      found.push({ abi, first: nr, last: nr, name });
      next = nr + 1;
    }
    gap(end);
  }
  return found;
}
