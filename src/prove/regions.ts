/**
 * A meaning cut into regions: an architecture or a range of them, a range of numbers, and one of the answers that calls with these get. Finitely
 * many regions hold every call there is, and each can be shown by example.
 */
import { type Call, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { ARCH_LEVEL, exampleOf, NUMBER_LEVEL, type Range, ranges } from "./call-bits.ts";
import type { Diagram, Diagrams } from "./diagram.ts";

export interface Region {
  /** Both inside. */
  readonly archs: Pick<Range, "first" | "last">;
  readonly numbers: Pick<Range, "first" | "last">;
  readonly answer: Verdict;
  /** Arguments of a call in it: the least in the diagrams' order, and the greatest. The other words are of no matter. */
  readonly examples: readonly [Call, Call];
}

/** All regions, in the order of architectures and numbers. Throws Undecided where numbers do not form ranges. */
export function regionsOf(d: Diagrams, root: Diagram): readonly Region[] {
  const known = new Map<Diagram, readonly Pick<Region, "answer" | "examples">[]>();
  const answersOf = (rest: Diagram) => {
    const found = known.get(rest);
    if (found !== undefined) return found;
    const made = d.answers(rest).map((answer) => {
      const where = d.where(rest, rest, (each) => each === answer);
      return {
        answer,
        examples: [exampleOf(d, where) as Call, exampleOf(d, where, "greatest") as Call] as const,
      };
    });
    known.set(rest, made);
    return made;
  };
  return ranges(d, root, ARCH_LEVEL).flatMap((archs) =>
    ranges(d, archs.rest, NUMBER_LEVEL).flatMap((numbers) =>
      answersOf(numbers.rest).map(({ answer, examples }) => ({
        archs: { first: archs.first, last: archs.last },
        numbers: { first: numbers.first, last: numbers.last },
        answer,
        examples,
      })),
    ),
  );
}

/** Calls of a region: both examples with the first and the last number, of the first and the last architecture. */
export function callsOf({ archs, numbers, examples }: Region): readonly Call[] {
  const corners = new Set([archs.first, archs.last]);
  const edges = new Set([numbers.first, numbers.last]);
  return [...corners].flatMap((arch) =>
    [...edges].flatMap((nr) => examples.map((example) => withIdentity(example, arch, nr))),
  );
}

function withIdentity(example: Call, arch: number, nr: number): Call {
  const words = example.slice();
  words[WORD.arch] = arch;
  words[WORD.nr] = nr;
  return words;
}
