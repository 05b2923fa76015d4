/**
 * libseccomp up to 2.6.0 on two rules for one call that compare the same 64-bit argument by order, one of them from above (GHSA-4q85-33p6-j5g6). A filter compares
 * in 32-bit words: the upper one, and where it is equal the lower one. Where the first rule ends with its lower word, the second goes on
 * as if the upper one were still loaded, and compares the lower word in its place. Found by comparing the library's programs with what was asked of
 * it; a test holds this model to the library, call by call: parts of programs that the library shares between calls may carry the mistake
 * on to rules of the same shape for another call, which is not followed. Pure.
 */
import type { Abi } from "../compile/seccomp/abi.ts";
import { ALL_ONES, type Condition, type Rule } from "../compile/seccomp/ir.ts";
import { strictestFirst } from "../compile/seccomp/normalise.ts";

/** ABIs whose arguments have two words. */
const WIDE: readonly Abi[] = ["x86_64", "aarch64"];

const WORD_BITS = 32n;
const LOW = 0xffffffffn;

const isFromAbove = ({ operator }: Condition): boolean => operator === "lt" || operator === "le";
const isOrdered = ({ operator, mask }: Condition): boolean =>
  mask === ALL_ONES && operator !== "eq" && operator !== "ne";
const high = ({ value }: Condition): bigint => value >> WORD_BITS;
const low = ({ value }: Condition): bigint => value & LOW;

/** Whether the library mistakes one of these for the other: ordered, one from above, with different upper words. */
export function areMistaken(one: Condition, other: Condition): boolean {
  return (
    one.index === other.index &&
    isOrdered(one) &&
    isOrdered(other) &&
    (isFromAbove(one) || isFromAbove(other)) &&
    high(one) !== high(other)
  );
}

/** `merged`: what is loaded of a call's rules is known. `unsure`: there are such comparisons among more than the model covers. */
export function judgeComparisons(abi: Abi, rules: readonly Rule[]): "sound" | "merged" | "unsure" {
  // A rule without conditions replaces the others, and with them the mistake.
  if (!WIDE.includes(abi) || rules.some(({ conditions }) => conditions.length === 0)) return "sound";
  const all = rules.flatMap(({ conditions }, at) => conditions.map((condition) => ({ condition, at })));
  const mistaken = all.some((one) =>
    all.some((other) => one.at < other.at && areMistaken(one.condition, other.condition)),
  );
  if (!mistaken) return "sound";
  const [first, second] = rules;
  const covered = rules.length === 2 && all.length === 2 && first?.verdict === second?.verdict;
  return covered ? "merged" : "unsure";
}

/** The rules of a call as the library loads them; those that it does not mistake, strictest first. */
export function mergedAsLoaded(abi: Abi, rules: readonly Rule[]): readonly Rule[] {
  const verdict = rules[0]?.verdict;
  if (judgeComparisons(abi, rules) !== "merged" || verdict === undefined) return strictestFirst(rules);
  const pair = rules.flatMap(({ conditions }) => conditions).toSorted(inTreeOrder);
  const index = pair[0]?.index ?? 0;
  return intervals(pair).map(([from, to]) => ({
    verdict,
    conditions: [
      { index, operator: "ge", mask: ALL_ONES, value: from },
      { index, operator: "le", mask: ALL_ONES, value: to },
    ],
  }));
}

/** From above before from below; the former ascending. */
function inTreeOrder(a: Condition, b: Condition): number {
  if (isFromAbove(a) !== isFromAbove(b)) return isFromAbove(a) ? -1 : 1;
  return high(a) < high(b) ? -1 : 1;
}

/** What the program that the library makes of both answers to an argument. */
function lets(pair: readonly Condition[], value: bigint): boolean {
  const lower = value & LOW;
  // The word in the accumulator, which the second rule takes for the upper one.
  let word = value >> WORD_BITS;
  for (const condition of pair) {
    const ends = isFromAbove(condition) ? word < high(condition) : word > high(condition);
    if (ends) return true;
    if (word !== high(condition)) continue;
    const { operator } = condition;
    const reached =
      operator === "lt"
        ? lower < low(condition)
        : operator === "le"
          ? lower <= low(condition)
          : operator === "gt"
            ? lower > low(condition)
            : lower >= low(condition);
    if (reached) return true;
    word = lower;
  }
  return false;
}

type Interval = readonly [from: bigint, to: bigint];

/** All arguments that get through, as ranges: the answer changes only beside a word of one of the conditions. */
function intervals(pair: readonly Condition[]): readonly Interval[] {
  const words = pair.flatMap((condition) => [high(condition), low(condition)]);
  const cuts = [...new Set([0n, ...words.flatMap((word) => [word, word + 1n])])]
    .filter((word) => word <= LOW)
    .toSorted((a, b) => (a < b ? -1 : 1));
  const found: [bigint, bigint][] = [];
  const add = (from: bigint, to: bigint): void => {
    const last = found.at(-1);
    if (last !== undefined && last[1] + 1n === from) last[1] = to;
    else found.push([from, to]);
  };
  for (const [at, upper] of cuts.entries()) {
    const end = (cuts[at + 1] ?? LOW + 1n) - 1n;
    // Between two cuts the upper word decides alone; on one that is a condition's the lower word is looked at.
    if (!pair.some((condition) => high(condition) === upper)) {
      if (lets(pair, upper << WORD_BITS)) add(upper << WORD_BITS, (end << WORD_BITS) | LOW);
      continue;
    }
    for (const [next, lower] of cuts.entries())
      if (lets(pair, (upper << WORD_BITS) | lower))
        add((upper << WORD_BITS) | lower, (upper << WORD_BITS) | ((cuts[next + 1] ?? LOW + 1n) - 1n));
  }
  return found;
}
