/**
 * The check that every filter passes before use, whoever emitted it: program and policy must answer alike on every known and many
 * unknown numbers of every ABI, and on the boundary values of every condition and of every constant the program itself compares
 * arguments with. Takes bytes and a policy; trusts neither an emitter nor a library (libseccomp up to 2.6.0 could merge 64-bit
 * comparisons wrongly, GHSA-4q85-33p6-j5g6).
 */
import type { Checked, Problem } from "../../problems.ts";
import { ABIS, AUDIT_ARCH, NEWEST_OF, SKIPPED, X32_BIT } from "./abi.ts";
import { type Bpf, decode, isJump, OP } from "./decode.ts";
import { evaluate } from "./evaluate.ts";
import {
  type AbiPolicy,
  CALL_WORDS,
  type Call,
  type FilterPolicy,
  formatVerdict,
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
const MAX_COMBINATIONS = 4096;

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

  const arches = new Set<number>([0, SKIPPED]);
  for (const arch of Object.values(AUDIT_ARCH)) {
    for (const bit of [0, 0x80000000, 0x40000000, 1]) arches.add((arch ^ bit) >>> 0);
  }
  const served = new Set<number>(Object.values(AUDIT_ARCH));
  const words = new Uint32Array(CALL_WORDS);
  for (const arch of arches) {
    words[WORD.arch] = arch;
    for (const nr of numbers) {
      words[WORD.nr] = nr;
      for (const filling of served.has(arch) ? [0, 0xffffffff] : [0]) {
        words.fill(filling, WORD.ip);
        check(words);
      }
    }
  }
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

/** For each call with conditions: boundary values of every argument that matters, combined. */
function tryArguments(
  { abi, calls }: AbiPolicy,
  constants: ReadonlyMap<number, ReadonlySet<number>>,
  check: (words: Call) => void,
): void {
  const words = new Uint32Array(CALL_WORDS);
  words[WORD.arch] = AUDIT_ARCH[abi];
  for (const [nr, rules] of calls) {
    const conditions = rules.flatMap((rule) => rule.conditions);
    if (conditions.length === 0) continue;
    words[WORD.nr] = nr;

    const indexes = [...new Set(conditions.map((condition) => condition.index))];
    const candidates = indexes.map((index) => {
      const ours = conditions.filter((condition) => condition.index === index);
      const values = new Set<bigint>([0n, 2n ** 64n - 1n]);
      for (const condition of ours) {
        addBoundaries(values, condition.value);
        if (condition.mask !== 2n ** 64n - 1n) {
          values.add(condition.value | (~condition.mask & (2n ** 64n - 1n)));
          values.add(condition.mask);
          for (let bit = 0n; bit < 64n; bit++) values.add(condition.value ^ (1n << bit));
        }
      }
      const low = [...(constants.get(WORD.args + 2 * index) ?? [])].map(BigInt);
      const high = [...(constants.get(WORD.args + 2 * index + 1) ?? [])].map(BigInt);
      for (const value of low) addBoundaries(values, value);
      for (const value of high) {
        values.add(value << 32n);
        values.add((value << 32n) | 0xffffffffn);
      }
      return [...values].map((value) => [Number(value & 0xffffffffn), Number(value >> 32n)] as const);
    });

    const total = candidates.reduce((product, values) => product * values.length, 1);
    // An odd stride through the mixed-radix count visits different values of every argument.
    const stride = total <= MAX_COMBINATIONS ? 1 : Math.floor(total / MAX_COMBINATIONS) | 1;
    for (const background of [0, 0xffffffff]) {
      words.fill(background, WORD.ip);
      for (let combination = 0; combination < total; combination += stride) {
        let rest = combination;
        for (const [i, values] of candidates.entries()) {
          const [low, high] = values[rest % values.length] as readonly [number, number];
          rest = Math.floor(rest / values.length);
          const at = WORD.args + 2 * (indexes[i] as number);
          words[at] = low;
          words[at + 1] = high;
        }
        check(words);
      }
    }
  }
}

/** The value, its neighbours, and what a comparison of only one half, or of swapped halves, would take for it. */
function addBoundaries(values: Set<bigint>, value: bigint): void {
  const all = 2n ** 64n - 1n;
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
    all ^ value,
  ])
    values.add(near & all);
}
