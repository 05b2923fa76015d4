/**
 * Filter policy -> its meaning: the diagram of what `judge` answers to every call. Built from the conditions as they are written, over the 64 bits
 * of an argument at once, so nothing here resembles the comparisons of two halves in an emitted program.
 */
import { AUDIT_ARCH, NEWEST_OF, SKIPPED, X32_BIT } from "../compile/seccomp/abi.ts";
import {
  type AbiPolicy,
  type Condition,
  effective,
  type FilterPolicy,
  type Rule,
  WORD,
} from "../compile/seccomp/ir.ts";
import { ARCH_LEVEL, fromRanges, NUMBER_LEVEL, type Range, wordBits } from "./call-bits.ts";
import { type Diagram, type Diagrams, FALSE, TRUE } from "./diagram.ts";

const LAST = 0xffffffff;

/** The meaning of a policy. */
export function meaningOfRules(d: Diagrams, policy: FilterPolicy): Diagram {
  const foreign = d.answer(effective(policy.foreign));
  const byArch = new Map<number, Range[]>();
  for (const abi of policy.abis) {
    const arch = AUDIT_ARCH[abi.abi];
    byArch.set(arch, [...(byArch.get(arch) ?? []), ...numbersOf(d, policy, abi)]);
  }
  const spans = [...byArch].map(([arch, numbers]) => ({
    first: arch,
    last: arch,
    rest: fromRanges(d, NUMBER_LEVEL, filled(numbers, foreign)),
  }));
  return fromRanges(d, ARCH_LEVEL, filled(spans, foreign));
}

/** Ascending, and what lies between gets `hole`. */
function filled(spans: readonly Range[], hole: Diagram): readonly Range[] {
  const whole: Range[] = [];
  let next = 0;
  for (const span of spans.toSorted((a, b) => a.first - b.first)) {
    if (span.first > next) whole.push({ first: next, last: span.first - 1, rest: hole });
    whole.push(span);
    next = span.last + 1;
  }
  if (next <= LAST) whole.push({ first: next, last: LAST, rest: hole });
  return whole;
}

/** The numbers that belong to an ABI: those with rules, and what the policy says of the others, known and newer. */
function numbersOf(d: Diagrams, policy: FilterPolicy, { abi, calls }: AbiPolicy): readonly Range[] {
  const known = d.answer(effective(policy.fallback));
  const newer = d.answer(effective(policy.newer));
  const newest = NEWEST_OF[abi];
  const [low, high] =
    abi === "x86_64" ? [0, X32_BIT - 1] : abi === "x32" ? [X32_BIT, SKIPPED - 1] : [0, LAST];
  const found: Range[] = [];
  let next = low;
  const upTo = (last: number) => {
    if (next <= Math.min(last, newest))
      found.push({ first: next, last: Math.min(last, newest), rest: known });
    if (last > newest && next <= last) found.push({ first: Math.max(next, newest + 1), last, rest: newer });
    next = last + 1;
  };
  for (const [nr, rules] of [...calls].toSorted((a, b) => a[0] - b[0])) {
    if (nr < low || nr > high) continue;
    upTo(nr - 1);
    found.push({ first: nr, last: nr, rest: firstThatHolds(d, rules, nr > newest ? newer : known) });
    next = nr + 1;
  }
  upTo(high);
  // The number with which a tracer skips a call has bit 30, but is no call of x32.
  if (abi === "x86_64") {
    const rules = calls.get(SKIPPED) ?? [];
    found.push({ first: SKIPPED, last: SKIPPED, rest: firstThatHolds(d, rules, newer) });
  }
  return found;
}

function firstThatHolds(d: Diagrams, rules: readonly Rule[], otherwise: Diagram): Diagram {
  return rules.reduceRight((rest, { conditions, verdict }) => {
    const holds = conditions.reduce((all, condition) => d.and(all, meaningOfCondition(d, condition)), TRUE);
    return d.choose(holds, d.answer(effective(verdict)), rest);
  }, otherwise);
}

/** Where a condition holds. */
export function meaningOfCondition(d: Diagrams, { index, operator, mask, value }: Condition): Diagram {
  const low = WORD.args + 2 * index;
  const argument = [...wordBits(d, low), ...wordBits(d, low + 1)];
  // From the lowest bit: equal so far, and less so far.
  let equal = TRUE;
  let less = FALSE;
  for (const [i, whole] of argument.entries()) {
    const bit = (mask >> BigInt(i)) & 1n ? whole : FALSE;
    const wanted = (value >> BigInt(i)) & 1n;
    equal = d.and(wanted ? bit : d.not(bit), equal);
    less = wanted ? d.or(d.not(bit), less) : d.and(d.not(bit), less);
  }
  switch (operator) {
    case "eq":
      return equal;
    case "ne":
      return d.not(equal);
    case "lt":
      return less;
    case "ge":
      return d.not(less);
    case "le":
      return d.or(less, equal);
    case "gt":
      return d.not(d.or(less, equal));
  }
}
