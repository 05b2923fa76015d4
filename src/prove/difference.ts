/**
 * How two meanings differ, call by call: in what direction, for which arguments, with an example of each change. Takes two meanings of one prover;
 * every call of the ABIs asked for is either in a difference or answered alike.
 */
import { ABIS, type Abi, AUDIT_ARCH } from "../compile/seccomp/abi.ts";
import { type Call, strictness, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { ARCH_LEVEL, exampleOf, NUMBER_LEVEL, ranges, withWord } from "./call-bits.ts";
import { type Alternatives, describeCondition } from "./conditions.ts";
import type { Diagram } from "./diagram.ts";
import { attempt, type Meaning, type Prover, type Unknown } from "./prover.ts";
import { type Numbers, namedNumbers } from "./reachable.ts";

/** Of the second seen from the first, by the kernel's order of actions. */
export type Direction = "stricter" | "looser" | "incomparable" | "only-errno";

export interface Change {
  readonly from: Verdict;
  readonly to: Verdict;
  readonly direction: Exclude<Direction, "incomparable">;
  readonly when: Alternatives;
  readonly example: Call;
}

export interface CallDifference extends Numbers {
  readonly direction: Direction;
  readonly changes: readonly Change[];
}

/** Every difference on some ABIs, in the order of their numbers; none when both are equal there. */
export function differencesOf(
  prover: Prover,
  a: Meaning | Unknown,
  b: Meaning | Unknown,
  abis: readonly Abi[] = ABIS,
): readonly CallDifference[] | Unknown {
  if ("kind" in a) return a;
  if ("kind" in b) return b;
  return attempt(() => {
    const d = prover.diagrams;
    const pairs: (readonly [Verdict, Verdict])[] = [];
    const numbers = new Map<string, number>();
    const pairOf = (from: Verdict, to: Verdict): number => {
      const key = `${from},${to}`;
      const known = numbers.get(key) ?? pairs.push([from, to]) - 1;
      numbers.set(key, known);
      return known;
    };
    const both = d.combine(a.root, b.root, pairOf);
    const known = new Map<Diagram, readonly Change[]>();
    const changesOf = (rest: Diagram): readonly Change[] => {
      const found = known.get(rest);
      if (found !== undefined) return found;
      const made = d.answers(rest).flatMap((pair): readonly Change[] => {
        const [from, to] = pairs[pair] as readonly [Verdict, Verdict];
        if (from === to) return [];
        const where = d.where(rest, rest, (each) => each === pair);
        const example = exampleOf(d, where) as Call;
        return [{ from, to, direction: directionOf(from, to), when: describeCondition(d, where), example }];
      });
      known.set(rest, made);
      return made;
    };
    return abis.flatMap((abi) =>
      ranges(d, withWord(d, both, ARCH_LEVEL, AUDIT_ARCH[abi]), NUMBER_LEVEL).flatMap(
        ({ first, last, rest }) => {
          const changes = changesOf(rest);
          if (changes.length === 0) return [];
          const direction = overall(changes.map((change) => change.direction)) as Direction;
          return namedNumbers(abi, first, last).map((each) => ({
            ...each,
            direction,
            changes: changes.map((change) => ({ ...change, example: numbered(change.example, each) })),
          }));
        },
      ),
    );
  });
}

function numbered(example: Call, { abi, first }: Numbers): Call {
  const words = example.slice();
  words[WORD.arch] = AUDIT_ARCH[abi];
  words[WORD.nr] = first;
  return words;
}

function directionOf(from: Verdict, to: Verdict): Change["direction"] {
  const step = strictness(to) - strictness(from);
  return step === 0 ? "only-errno" : step > 0 ? "looser" : "stricter";
}

/** Of several differences together; null when there is none. */
export function overall(directions: readonly Direction[]): Direction | null {
  const looser = directions.includes("looser");
  const stricter = directions.includes("stricter");
  if (directions.includes("incomparable") || (looser && stricter)) return "incomparable";
  if (looser) return "looser";
  if (stricter) return "stricter";
  return directions.length === 0 ? null : "only-errno";
}
