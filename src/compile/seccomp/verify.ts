/**
 * The check that every filter passes before use, whoever emitted it: program and policy must answer alike on every known and many
 * unknown numbers of every ABI, and on the boundary values of every condition and of every constant the program itself compares
 * arguments with. Takes bytes and a policy; trusts neither an emitter nor a library (libseccomp up to 2.6.0 could merge 64-bit
 * comparisons wrongly, GHSA-4q85-33p6-j5g6).
 */
import type { Checked, Problem } from "../../problems.ts";
import { ABIS, AUDIT_ARCH, NEWEST, NEWEST_OF, SKIPPED, X32_BIT } from "./abi.ts";
import { type Bpf, decode, isJump, OP } from "./decode.ts";
import { evaluate } from "./evaluate.ts";
import {
  type AbiPolicy,
  ALL_ONES,
  CALL_WORDS,
  type Call,
  type Condition,
  type FilterPolicy,
  formatVerdict,
  holds,
  judge,
  WORD,
} from "./ir.ts";
import { syscallTable } from "./tables.ts";
import { type FilterTarget, locate } from "./target.ts";

/** Part of every cache key: raise it whenever what passes here changes. */
export const VERIFIER_VERSION = 1;

export interface Verified {
  readonly instructions: number;
  /** Calls tried. */
  readonly cases: number;
  /** Instructions that no tried call reached. */
  readonly unreached: readonly number[];
}

/** Reported at most; one is enough to refuse the filter. */
const MAX_PROBLEMS = 8;
/** Per call; above it, combinations are thinned out evenly. */
const MAX_COMBINATIONS = 1024;

/** Nothing but the truth about `bytes`, or where they differ from the policy. */
export function verify(bytes: Uint8Array, policy: FilterPolicy, target: FilterTarget): Checked<Verified> {
  const problems: Problem[] = [];
  const report = (message: string) =>
    problems.push({
      kind: "seccomp-miscompiled",
      where: locate(target, "/seccomp"),
      pointer: "/seccomp",
      message,
    });

  const decoded = decode(bytes);
  if (!decoded.ok) {
    report(`instruction ${decoded.instruction} of the emitted filter: ${decoded.reason}`);
    return { ok: false, problems };
  }
  const { bpf } = decoded;
  const seen = new Uint8Array(bpf.length);
  let cases = 0;
  const check = (words: Call) => {
    cases += 1;
    const expected = judge(policy, words);
    const actual = evaluate(bpf, words, seen);
    if (expected !== actual && problems.length < MAX_PROBLEMS) report(mismatch(words, expected, actual));
  };

  tryNumbers(bpf, check);
  const constants = comparedConstants(bpf);
  for (const abi of policy.abis) tryArguments(abi, constants, check);

  if (problems.length > 0) return { ok: false, problems };
  const unreached = [...seen.keys()].filter((i) => seen[i] === 0);
  return { ok: true, value: { instructions: bpf.length, cases, unreached } };
}

function mismatch(words: Call, expected: number, actual: number): string {
  const hex = (value: bigint | number) => `0x${value.toString(16)}`;
  const nr = words[WORD.nr] as number;
  const arch = words[WORD.arch] as number;
  const abi = ABIS.find((each) => AUDIT_ARCH[each] === arch && syscallTable(each).names.has(nr));
  const name = abi === undefined ? `number ${hex(nr)}` : `${syscallTable(abi).names.get(nr)} (${abi})`;
  const args = [0, 1, 2, 3, 4, 5].map((i) => {
    const at = WORD.args + 2 * i;
    return hex((BigInt(words[at + 1] as number) << 32n) | BigInt(words[at] as number));
  });
  return (
    `${name} of architecture ${hex(arch)} with arguments ${args.join(", ")}: ` +
    `the policy says ${formatVerdict(expected)}, the filter ${formatVerdict(actual)}`
  );
}

/** Every number that is known anywhere or may be an edge, through every ABI and some that are none. */
function tryNumbers(bpf: Bpf, check: (words: Call) => void): void {
  const numbers = new Set<number>([SKIPPED, SKIPPED - 1, 0x7fffffff, 0x80000000]);
  const around = (nr: number) => {
    for (const near of [nr - 1, nr, nr + 1]) {
      numbers.add(near >>> 0);
      numbers.add((near ^ X32_BIT) >>> 0);
    }
  };
  for (const abi of ABIS) {
    for (const nr of syscallTable(abi).names.keys()) around(nr);
    for (let nr = 0; nr <= (NEWEST_OF[abi] & ~X32_BIT) + 64; nr++) around(nr);
  }
  for (let bit = 0; bit < 32; bit++) around(2 ** bit);
  for (let i = 0; i < bpf.length; i++) if (isJump(bpf.code[i] as number)) around(bpf.k[i] as number);

  const words = new Uint32Array(CALL_WORDS);
  const sweep = (arch: number, tried: Iterable<number>) => {
    words[WORD.arch] = arch;
    for (const filling of [0, SKIPPED]) {
      words.fill(filling, WORD.ip);
      for (const nr of tried) {
        words[WORD.nr] = nr;
        check(words);
      }
    }
  };
  const known = new Set<number>(Object.values(AUDIT_ARCH));
  for (const arch of known) sweep(arch, numbers);
  // An architecture that does not exist is told by its word alone: a few numbers show that the word is compared whole.
  const few = [0, 1, 59, 221, NEWEST, NEWEST + 1, X32_BIT, X32_BIT | 59, SKIPPED];
  for (const arch of known) {
    for (let bit = 0; bit < 32; bit++) {
      const other = (arch ^ (1 << bit)) >>> 0;
      if (!known.has(other)) sweep(other, few);
    }
  }
  sweep(0, few);
  sweep(SKIPPED, few);
}

/** Constants that the program compares words of each argument with: index of the word in the call -> values. */
function comparedConstants(bpf: Bpf): ReadonlyMap<number, ReadonlySet<number>> {
  const constants = new Map<number, Set<number>>();
  for (let i = 0; i < bpf.length; i++) {
    const word = (bpf.k[i] as number) >>> 2;
    if (bpf.code[i] !== OP.ld || word < WORD.args) continue;
    const values = constants.get(word) ?? new Set<number>();
    constants.set(word, values);
    // A run of masks and comparisons follows the load, up to the next load or return.
    for (let next = i + 1; next < bpf.length; next++) {
      const code = bpf.code[next] as number;
      if (!isJump(code) && code !== OP.and) break;
      values.add(bpf.k[next] as number);
    }
  }
  return constants;
}

/** An argument as its low and high word. */
type Argument = readonly [low: number, high: number];

/**
 * For each call with conditions: from calls that satisfy a rule, every boundary value of every argument in turn; then combinations
 * of boundary values over all arguments that matter, evenly thinned where there are too many.
 */
function tryArguments(
  { abi, calls }: AbiPolicy,
  constants: ReadonlyMap<number, ReadonlySet<number>>,
  check: (words: Call) => void,
): void {
  const words = new Uint32Array(CALL_WORDS);
  words[WORD.arch] = AUDIT_ARCH[abi];
  const set = (index: number, [low, high]: Argument) => {
    words[WORD.args + 2 * index] = low;
    words[WORD.args + 2 * index + 1] = high;
  };
  for (const [nr, rules] of calls) {
    const conditions = rules.flatMap((rule) => rule.conditions);
    if (conditions.length === 0) continue;
    words[WORD.nr] = nr;
    const indexes = [...new Set(conditions.map((condition) => condition.index))];
    const candidates = new Map(
      indexes.map((index) => {
        const ours = conditions.filter((condition) => condition.index === index);
        return [index, boundaries(index, ours, constants)] as const;
      }),
    );
    for (const background of [0, SKIPPED]) {
      words.fill(background, WORD.ip);
      // With one argument, every rule starts the same series.
      for (const rule of indexes.length === 1 ? rules.slice(0, 1) : rules) {
        const satisfying = new Map(
          indexes.map((index) => {
            const ours = rule.conditions.filter((condition) => condition.index === index);
            const fit = (candidates.get(index) ?? []).find(([low, high]) =>
              ours.every((condition) => holds(condition, low, high)),
            );
            return [index, fit ?? ([background, background] as const)] as const;
          }),
        );
        for (const [index, value] of satisfying) set(index, value);
        for (const [index, value] of satisfying) {
          for (const other of candidates.get(index) ?? []) {
            set(index, other);
            check(words);
          }
          set(index, value);
        }
      }
      if (indexes.length > 1)
        combine(
          candidates,
          (index, value) => set(index, value),
          () => check(words),
        );
    }
  }
}

function combine(
  candidates: ReadonlyMap<number, readonly Argument[]>,
  set: (index: number, value: Argument) => void,
  done: () => void,
): void {
  const total = [...candidates.values()].reduce((product, values) => product * values.length, 1);
  // An odd stride through the mixed-radix count visits different values of every argument.
  const stride = total <= MAX_COMBINATIONS ? 1 : Math.floor(total / MAX_COMBINATIONS) | 1;
  for (let combination = 0; combination < total; combination += stride) {
    let rest = combination;
    for (const [index, values] of candidates) {
      set(index, values[rest % values.length] as Argument);
      rest = Math.floor(rest / values.length);
    }
    done();
  }
}

/** Values of one argument at which an answer might change: those of its conditions, and those that the program compares it with. */
function boundaries(
  index: number,
  conditions: readonly Condition[],
  constants: ReadonlyMap<number, ReadonlySet<number>>,
): readonly Argument[] {
  const values = new Set<bigint>([0n, ALL_ONES]);
  for (const { value, mask } of conditions) {
    addBoundaries(values, value);
    if (mask === ALL_ONES) continue;
    values.add(value | (~mask & ALL_ONES));
    values.add(mask);
    for (let bit = 0n; bit < 64n; bit++) values.add(value ^ (1n << bit));
  }
  for (const low of constants.get(WORD.args + 2 * index) ?? []) {
    const value = BigInt(low);
    for (const near of [value - 1n, value, value + 1n, value | (1n << 32n)]) values.add(near & ALL_ONES);
  }
  for (const high of constants.get(WORD.args + 2 * index + 1) ?? []) {
    values.add(BigInt(high) << 32n);
    values.add((BigInt(high) << 32n) | 0xffffffffn);
  }
  return [...values].map((value) => [Number(value & 0xffffffffn), Number(value >> 32n)] as const);
}

/** The value, its neighbours, and what a comparison of only one half, or of swapped halves, would take for it. */
function addBoundaries(values: Set<bigint>, value: bigint): void {
  const low = value & 0xffffffffn;
  const high = value >> 32n;
  for (const near of [
    value - 1n,
    value,
    value + 1n,
    value + (1n << 32n),
    value - (1n << 32n),
    value ^ (1n << 63n),
    low,
    high << 32n,
    (low << 32n) | high,
    (high << 32n) | 0xffffffffn,
    ALL_ONES ^ value,
  ])
    values.add(near & ALL_ONES);
}
