/**
 * Conditions on arguments read back from a diagram, for people: alternatives, each of which asks of some arguments that their masked value lies in
 * ranges. They follow from what the filter does and not from how it is written, so two filters of equal meaning are described alike.
 */
import { WORD_BITS } from "./bits.ts";
import { ARGUMENT_BITS, ARGUMENT_LEVEL } from "./call-bits.ts";
import { type Diagram, type Diagrams, FALSE, TRUE } from "./diagram.ts";

/** `argument & mask` is in one of the ranges, or, `except`, in none. */
export interface ArgumentCondition {
  /** 0 to 5; 6 is the instruction pointer, which filters see as well. */
  readonly index: number;
  readonly mask: bigint;
  /** Ascending, both ends inside. Null where there are too many to be of use. */
  readonly ranges: readonly (readonly [bigint, bigint])[] | null;
  readonly except: boolean;
}

export interface Alternatives {
  /** One of these must hold entirely; an empty one always does, no alternative never. */
  readonly any: readonly (readonly ArgumentCondition[])[];
  /** False: there are more. */
  readonly complete: boolean;
}

const MOST_RANGES = 64;
/** Values that may be written down before only the bits that matter are looked at. */
const SHORT = 8;
const MOST_ALTERNATIVES = 64;

/** Where a function of the arguments is true. */
export function describeCondition(d: Diagrams, condition: Diagram): Alternatives {
  const any: (readonly ArgumentCondition[])[] = [];
  let complete = true;
  const visit = (node: Diagram, before: readonly ArgumentCondition[]) => {
    if (node === FALSE) return;
    if (any.length === MOST_ALTERNATIVES) {
      complete = false;
      return;
    }
    if (node === TRUE) {
      any.push(before);
      return;
    }
    const index = Math.floor((d.levelOf(node) - ARGUMENT_LEVEL) / ARGUMENT_BITS);
    const end = ARGUMENT_LEVEL + ARGUMENT_BITS * (index + 1);
    const half = end - WORD_BITS;
    const upTo = (level: number) =>
      exitsOf(d, node, level).map((next) => {
        const values = towards(d, node, level, next);
        return { next, asked: values === TRUE ? [] : [describeValues(d, values, index)] };
      });
    const whole = upTo(end);
    // Some sets of 64-bit values are short to say only one word after the other.
    const inWords = d.levelOf(node) < half && whole.some(({ asked }) => asked[0]?.ranges === null);
    for (const { next, asked } of inWords ? upTo(half) : whole) visit(next, [...before, ...asked]);
  };
  visit(condition, []);
  return { any, complete };
}

/** The nodes at which a walk below a level ends, except FALSE; smallest values first. */
function exitsOf(d: Diagrams, node: Diagram, end: number): readonly Diagram[] {
  const exits = new Set<Diagram>();
  const seen = new Set<Diagram>();
  const visit = (at: Diagram) => {
    if (seen.has(at)) return;
    seen.add(at);
    const level = d.levelOf(at);
    if (level >= end) {
      if (at !== FALSE) exits.add(at);
      return;
    }
    visit(d.branch(at, level, false));
    visit(d.branch(at, level, true));
  };
  visit(node);
  return [...exits];
}

/** Where a walk below a level ends at `exit`. */
function towards(d: Diagrams, node: Diagram, end: number, exit: Diagram): Diagram {
  const known = new Map<Diagram, Diagram>();
  const visit = (at: Diagram): Diagram => {
    const level = d.levelOf(at);
    if (level >= end) return at === exit ? TRUE : FALSE;
    const found = known.get(at);
    if (found !== undefined) return found;
    const made = d.node(level, visit(d.branch(at, level, false)), visit(d.branch(at, level, true)));
    known.set(at, made);
    return made;
  };
  return visit(node);
}

/**
 * A set of values of one argument, by the shorter of what is in it and what is not: of the whole argument or word if that is short, otherwise of the
 * bits that matter alone.
 */
function describeValues(d: Diagrams, values: Diagram, index: number): ArgumentCondition {
  const first = ARGUMENT_LEVEL + ARGUMENT_BITS * index;
  const support = supportOf(d, values);
  const half = first + WORD_BITS;
  const from = (support[0] as number) < half ? first : half;
  const to = (support.at(-1) as number) < half ? half : first + ARGUMENT_BITS;
  const natural = Array.from({ length: to - from }, (_, i) => from + i);
  const inWords = describeBits(d, values, index, natural);
  return inWords.ranges !== null && lengthOf(inWords.ranges) <= SHORT
    ? inWords
    : describeBits(d, values, index, support);
}

function describeBits(
  d: Diagrams,
  values: Diagram,
  index: number,
  levels: readonly number[],
): ArgumentCondition {
  const last = ARGUMENT_LEVEL + ARGUMENT_BITS * (index + 1) - 1;
  const weights = levels.map((level) => 1n << BigInt(last - level));
  const mask = weights.reduce((sum, weight) => sum | weight, 0n);
  const inside = runs(d, values, levels, weights, true);
  const outside = runs(d, values, levels, weights, false);
  const except = outside !== null && (inside === null || lengthOf(outside) < lengthOf(inside));
  return { index, mask, ranges: except ? outside : inside, except };
}

/** Values that have to be written down: one value is shorter than a range. */
function lengthOf(ranges: readonly (readonly [bigint, bigint])[]): number {
  return ranges.reduce((sum, [low, high]) => sum + (low === high ? 1 : 2), 0);
}

/** The bits that a set depends on, highest first. */
function supportOf(d: Diagrams, values: Diagram): readonly number[] {
  const levels = new Set<number>();
  const seen = new Set<Diagram>();
  const visit = (node: Diagram) => {
    if (d.isEnd(node) || seen.has(node)) return;
    seen.add(node);
    const level = d.levelOf(node);
    levels.add(level);
    visit(d.branch(node, level, false));
    visit(d.branch(node, level, true));
  };
  visit(values);
  return [...levels].toSorted((a, b) => a - b);
}

/** Runs of neighbouring masked values that are in the set, or are not; null when there are too many. */
function runs(
  d: Diagrams,
  values: Diagram,
  levels: readonly number[],
  weights: readonly bigint[],
  inside: boolean,
): readonly (readonly [bigint, bigint])[] | null {
  const found: [bigint, bigint][] = [];
  let open = false;
  const visit = (node: Diagram, i: number, value: bigint): boolean => {
    if (d.isEnd(node)) {
      const counts = (node === TRUE) === inside;
      const last = weights.slice(i).reduce((sum, weight) => sum | weight, value);
      const previous = found.at(-1);
      if (counts && open && previous !== undefined) previous[1] = last;
      else if (counts) found.push([value, last]);
      open = counts;
      return found.length <= MOST_RANGES;
    }
    const level = levels[i] as number;
    return (
      visit(d.branch(node, level, false), i + 1, value) &&
      visit(d.branch(node, level, true), i + 1, value | (weights[i] as bigint))
    );
  };
  return visit(values, 0, 0n) ? found : null;
}

const ALL = (1n << BigInt(ARGUMENT_BITS)) - 1n;
const hex = (value: bigint) => `0x${value.toString(16)}`;

/** `arg1 & 0xffffffff not in {0x5412, 0x541c}`; for one value `==` and `!=`, and `<=` and `>=` for one range that reaches an end. */
export function formatCondition({ index, mask, ranges, except }: ArgumentCondition): string {
  const name = index === 6 ? "ip" : `arg${index}`;
  const subject = mask === ALL ? name : `${name} & ${hex(mask)}`;
  if (ranges === null) return `${subject} in more than ${MOST_RANGES} ranges`;
  const [only] = ranges;
  if (only !== undefined && ranges.length === 1) {
    const [low, high] = only;
    if (low === high) return `${subject} ${except ? "!=" : "=="} ${hex(low)}`;
    if (low === 0n) return `${subject} ${except ? ">" : "<="} ${hex(high)}`;
    if (high === mask) return `${subject} ${except ? "<" : ">="} ${hex(low)}`;
  }
  const list = ranges
    .map(([low, high]) => (low === high ? hex(low) : `${hex(low)}..${hex(high)}`))
    .join(", ");
  return `${subject} ${except ? "not in" : "in"} {${list}}`;
}

/** `always`, `never`, or `A and B; or C`. */
export function formatAlternatives({ any, complete }: Alternatives): string {
  if (any.length === 0) return "never";
  const words = any.map((all) => (all.length === 0 ? "always" : all.map(formatCondition).join(" and ")));
  return `${words.join("; or ")}${complete ? "" : "; or more"}`;
}
