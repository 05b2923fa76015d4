/**
 * The filter policy: what a seccomp filter must answer, stated without saying how. `judge` below is its meaning, and the
 * yardstick that emitted programs are held against; it must stay too simple to be wrong, so it knows no shortcuts.
 *
 * Precedence. For one call, of all rules whose conditions hold the strictest answer wins, in the kernel's own order for
 * several filters (kill-process, kill-thread, trap, errno, notify, trace, log, allow; seccomp(2)); between equally strict ones the rule
 * written first. The order of the rules otherwise does not matter, so joining two lists can only tighten what both name.
 */
import { type Abi, AUDIT_ARCH, NEWEST_OF, SKIPPED, X32_BIT } from "./abi.ts";

/** A SECCOMP_RET_* value with its data in the low 16 bits, unsigned. */
export type Verdict = number;

export const RET = {
  killProcess: 0x80000000,
  killThread: 0x00000000,
  trap: 0x00030000,
  errno: 0x00050000,
  notify: 0x7fc00000,
  trace: 0x7ff00000,
  log: 0x7ffc0000,
  allow: 0x7fff0000,
} as const;

/** linux/err.h: the kernel caps larger error numbers silently. */
export const MAX_ERRNO = 4095;
export const EPERM = 1;
export const ENOSYS = 38;

/** Fail with this error number, 0 to 4095. */
export function errno(number: number): Verdict {
  return RET.errno | number;
}

const STRICTNESS = new Map<number, number>([
  [RET.killProcess, 0],
  [RET.killThread, 1],
  [RET.trap, 2],
  [RET.errno, 3],
  [RET.notify, 4],
  [RET.trace, 5],
  [RET.log, 6],
  [RET.allow, 7],
]);

/** 0 is strictest; the order in which the kernel combines several filters. What is no action kills (kernel/seccomp.c). */
export function strictness(verdict: Verdict): number {
  return STRICTNESS.get(actionOf(verdict)) ?? 0;
}

/** A verdict without its data. */
export function actionOf(verdict: Verdict): Verdict {
  return (verdict & 0xffff0000) >>> 0;
}

/**
 * What the kernel makes of a verdict: an action that does not exist kills the process, only trap, errno and trace carry data, and an error
 * number is at most 4095 (__seccomp_filter in kernel/seccomp.c).
 */
export function effective(verdict: Verdict): Verdict {
  const action = actionOf(verdict);
  const data = verdict & 0xffff;
  switch (action) {
    case RET.trap:
    case RET.trace:
      return (action | data) >>> 0;
    case RET.errno:
      return action | Math.min(data, MAX_ERRNO);
    default:
      return STRICTNESS.has(action) ? action : RET.killProcess;
  }
}

/** `allow`, `errno(1)`, `kill-process`. */
export function formatVerdict(verdict: Verdict): string {
  switch (actionOf(verdict)) {
    case RET.killProcess:
      return "kill-process";
    case RET.killThread:
      return "kill-thread";
    case RET.trap:
      return "trap";
    case RET.errno:
      return `errno(${verdict & 0xffff})`;
    case RET.notify:
      return "notify";
    case RET.trace:
      return `trace(${verdict & 0xffff})`;
    case RET.log:
      return "log";
    case RET.allow:
      return "allow";
    default:
      return `0x${verdict.toString(16)}`;
  }
}

export type Operator = "eq" | "ne" | "lt" | "le" | "gt" | "ge";

/** `(argument & mask) OPERATOR value`, unsigned, over all 64 bits; a mask other than all ones only with `eq`. */
export interface Condition {
  /** 0 to 5 */
  readonly index: number;
  readonly operator: Operator;
  readonly mask: bigint;
  readonly value: bigint;
}

/** All conditions must hold; none: always. */
export interface Rule {
  readonly conditions: readonly Condition[];
  readonly verdict: Verdict;
}

export interface AbiPolicy {
  readonly abi: Abi;
  /** By number; strictest first, then as written. */
  readonly calls: ReadonlyMap<number, readonly Rule[]>;
}

export interface FilterPolicy {
  /** Native first. */
  readonly abis: readonly AbiPolicy[];
  /** A known call that no rule matches. */
  readonly fallback: Verdict;
  /** A call newer than the tables that no rule matches: ENOSYS where the fallback is an error, else the fallback. */
  readonly newer: Verdict;
  /** A call through an ABI that is not listed. */
  readonly foreign: Verdict;
}

/**
 * One system call as a filter sees it: struct seccomp_data (linux/seccomp.h) as sixteen 32-bit words:
 * nr, arch, instruction pointer low and high, then each argument's low and high word (little-endian machines).
 */
export type Call = Uint32Array;

export const WORD = { nr: 0, arch: 1, ip: 2, args: 4 } as const;
export const CALL_WORDS = 16;

/** The same from plain values. */
export function call(arch: number, nr: number, args: readonly bigint[] = [], ip = 0n): Call {
  const words = new Uint32Array(CALL_WORDS);
  words[WORD.nr] = nr;
  words[WORD.arch] = arch;
  const put = (at: number, value: bigint) => {
    words[at] = Number(value & 0xffffffffn);
    words[at + 1] = Number((value >> 32n) & 0xffffffffn);
  };
  put(WORD.ip, ip);
  for (const [i, value] of args.entries()) put(WORD.args + 2 * i, value);
  return words;
}

/** Which ABI a call comes through; null: none that the policy lists. */
export function abiOf(policy: FilterPolicy, arch: number, nr: number): AbiPolicy | null {
  for (const candidate of policy.abis) {
    if (AUDIT_ARCH[candidate.abi] !== arch) continue;
    if (candidate.abi === "x86_64" && nr >= X32_BIT && nr !== SKIPPED) continue;
    if (candidate.abi === "x32" && (nr < X32_BIT || nr === SKIPPED)) continue;
    return candidate;
  }
  return null;
}

/** What the policy answers to a call. */
export function judge(policy: FilterPolicy, words: Call): Verdict {
  const nr = words[WORD.nr] as number;
  const abi = abiOf(policy, words[WORD.arch] as number, nr);
  if (abi === null) return policy.foreign;
  const rules = abi.calls.get(nr);
  if (rules !== undefined) {
    for (const rule of rules) if (matches(rule, words)) return rule.verdict;
  }
  return nr > NEWEST_OF[abi.abi] ? policy.newer : policy.fallback;
}

function matches(rule: Rule, words: Call): boolean {
  for (const condition of rule.conditions) {
    const at = WORD.args + 2 * condition.index;
    if (!holds(condition, words[at] as number, words[at + 1] as number)) return false;
  }
  return true;
}

/** Mask and value as words, low and high: the check of one filter asks for them tens of thousands of times. */
const split = new WeakMap<Condition, readonly [number, number, number, number]>();

function wordsOf(condition: Condition): readonly [number, number, number, number] {
  const known = split.get(condition);
  if (known !== undefined) return known;
  const words = [condition.mask, condition.value].flatMap((value) => [
    Number(value & 0xffffffffn),
    Number(value >> 32n),
  ]);
  const made = words as unknown as readonly [number, number, number, number];
  split.set(condition, made);
  return made;
}

/** Whether a condition holds for an argument given as two words. */
export function holds(condition: Condition, wordLow: number, wordHigh: number): boolean {
  const [maskLow, maskHigh, low, high] = wordsOf(condition);
  const argumentLow = (wordLow & maskLow) >>> 0;
  const argumentHigh = (wordHigh & maskHigh) >>> 0;
  const order = argumentHigh === high ? argumentLow - low : argumentHigh - high;
  switch (condition.operator) {
    case "eq":
      return order === 0;
    case "ne":
      return order !== 0;
    case "lt":
      return order < 0;
    case "le":
      return order <= 0;
    case "gt":
      return order > 0;
    case "ge":
      return order >= 0;
  }
}

/** A rule as C would write it: `arg1 & 0xffffffff == 0x5412 -> errno(1)`. */
export function formatRule(rule: Rule): string {
  const symbol = { eq: "==", ne: "!=", lt: "<", le: "<=", gt: ">", ge: ">=" } as const;
  const conditions = rule.conditions.map((condition) => {
    const mask = condition.mask === ALL_ONES ? "" : ` & 0x${condition.mask.toString(16)}`;
    return `arg${condition.index}${mask} ${symbol[condition.operator]} 0x${condition.value.toString(16)}`;
  });
  return `${conditions.length === 0 ? "" : `${conditions.join(" && ")} -> `}${formatVerdict(rule.verdict)}`;
}

export const ALL_ONES = 0xffffffffffffffffn;
