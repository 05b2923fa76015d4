/**
 * OCI `linux.seccomp` -> filter policy for one machine: groups expanded, conditions on capabilities, architecture and kernel
 * decided, names turned into numbers, every mistake located and none skipped. Pure; loads the system-call tables.
 *
 * As written is as loaded: conditions of one rule are all required, also on the same argument (container runtimes make those
 * alternatives), a rule that repeats the default is kept, a name that no kernel knows is a mistake and not ignored.
 */
import type { Checked, Problem } from "../../problems.ts";
import { nearest as nearestOf } from "../../profile/nearest.ts";
import type { SeccompArg, SeccompCondition, SeccompRule, SeccompSpec } from "../../profile/spec.ts";
import { type Abi, GO_ARCH, NEWEST_OF, SCMP_ARCH, SERVED } from "./abi.ts";
import { FOREIGN_SYSCALLS, GROUPS } from "./groups.ts";
import {
  type AbiPolicy,
  ALL_ONES,
  type Condition,
  ENOSYS,
  EPERM,
  errno,
  type FilterPolicy,
  MAX_ERRNO,
  type Operator,
  RET,
  type Rule,
  strictness,
  type Verdict,
} from "./ir.ts";
import { allSyscalls, isSyscall, syscallTable } from "./tables.ts";
import { type FilterTarget, locate } from "./target.ts";

export interface Normalised {
  readonly policy: FilterPolicy;
  /** What was left out or is worth knowing, one sentence each. */
  readonly notes: readonly string[];
}

/** What several rules for one call become: a list of which the first that holds answers. */
export type Combine = (
  rules: readonly Rule[],
  call: { readonly abi: Abi; readonly nr: number },
) => readonly Rule[];

/**
 * The policy that a spec means on a target, or every mistake in it. `combine` is for the meaning that other programs give to the same rules; ours is that
 * the strictest answers.
 */
export function normalise(
  spec: SeccompSpec,
  target: FilterTarget,
  combine: Combine = strictestFirst,
): Checked<Normalised> {
  const problems: Problem[] = [];
  const notes: string[] = [];
  const report: Report = (kind, pointer, message, more = {}) => {
    problems.push({ kind, where: locate(target, pointer), pointer, message, ...more });
  };

  const abis = readAbis(spec, target, notes, report);
  const absent = new Set<string>();
  const unheardOf = new Set<string>();
  const reading: Reading = { target, abis, absent, unheardOf, report };
  const { defaultAction, defaultErrnoRet } = spec;
  const fallback = readVerdict(defaultAction, defaultErrnoRet, "/seccomp/defaultAction", reading);
  const rules = spec.syscalls.map((rule, i) => readRule(rule, i, reading));
  if (absent.size > 0)
    notes.push(`left out, as ${abis.join(" and ")} has no such calls: ${[...absent].toSorted().join(", ")}`);
  if (unheardOf.size > 0)
    notes.push(`left out, as no kernel has such calls: ${[...unheardOf].toSorted().join(", ")}`);
  if (problems.length > 0 || fallback === null) return { ok: false, problems };

  const isErrno = (fallback & 0xffff0000) >>> 0 === RET.errno;
  const policy: FilterPolicy = {
    abis: abis.map((abi) => tabulate(abi, rules.flat(), fallback, combine)),
    fallback,
    newer: isErrno ? errno(ENOSYS) : fallback,
    foreign: RET.killProcess,
  };
  return { ok: true, value: { policy, notes } };
}

type Report = (
  kind: "seccomp-unknown-syscall" | "seccomp-rule",
  pointer: string,
  message: string,
  more?: Pick<Problem, "expected" | "suggestion" | "hint">,
) => void;

const ACTIONS: Readonly<Record<string, Verdict>> = {
  SCMP_ACT_KILL: RET.killThread,
  SCMP_ACT_KILL_THREAD: RET.killThread,
  SCMP_ACT_KILL_PROCESS: RET.killProcess,
  SCMP_ACT_TRAP: RET.trap,
  SCMP_ACT_ERRNO: RET.errno,
  SCMP_ACT_LOG: RET.log,
  SCMP_ACT_ALLOW: RET.allow,
};
/** Actions that hand the call to somebody else, of which a sandbox of ours has none. */
const SERVED_ACTIONS: Readonly<Record<string, Verdict>> = {
  SCMP_ACT_NOTIFY: RET.notify,
  SCMP_ACT_TRACE: RET.trace,
};

function readVerdict(
  action: string,
  errnoRet: number | undefined,
  pointer: string,
  { target, report }: Reading,
): Verdict | null {
  const served = Object.hasOwn(SERVED_ACTIONS, action) ? SERVED_ACTIONS[action] : undefined;
  const ours = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  const base = ours ?? (target.foreign === true ? served : undefined);
  if (base === undefined) {
    report(
      "seccomp-rule",
      pointer,
      served !== undefined
        ? `${action} needs a supervisor that answers, which there is none of`
        : `${action} is not a seccomp action`,
      { expected: `one of ${Object.keys(ACTIONS).join(", ")}`, ...nearest(action, Object.keys(ACTIONS)) },
    );
    return null;
  }
  // What a tracer is told; of no matter to what is permitted.
  if (base === RET.trace) return (base | (errnoRet ?? 0)) >>> 0;
  if (base !== RET.errno) return base;
  const number = errnoRet ?? EPERM;
  if (!Number.isInteger(number) || number < 0 || number > MAX_ERRNO) {
    report("seccomp-rule", pointer, `error number ${number} does not exist`, {
      expected: `an integer from 0 to ${MAX_ERRNO}`,
    });
    return null;
  }
  return errno(number);
}

/** The native ABI always; others that this kernel may serve, only when asked for. */
function readAbis(
  spec: SeccompSpec,
  target: FilterTarget,
  notes: string[],
  report: Report,
): readonly [Abi, ...Abi[]] {
  const served = SERVED[target.arch];
  const native = served[0] as Abi;
  const asked = new Set<Abi>();
  for (const [i, name] of (spec.architectures ?? []).entries()) {
    const abi = served.find((candidate) => SCMP_ARCH[candidate] === name);
    if (abi !== undefined) asked.add(abi);
    else if (/^SCMP_ARCH_[A-Z0-9_]+$/.test(name))
      notes.push(`${name} is not an ABI of ${target.arch} kernels: left out`);
    else
      report("seccomp-rule", `/seccomp/architectures/${i}`, `${name} is not an architecture`, {
        ...nearest(name, Object.values(SCMP_ARCH)),
      });
  }
  return [native, ...served.filter((abi) => abi !== native && asked.has(abi))];
}

interface Reading {
  readonly target: FilterTarget;
  readonly abis: readonly Abi[];
  /** Gets the names that no enabled ABI has. */
  readonly absent: Set<string>;
  /** Gets the names that nobody has, where those are no mistake. */
  readonly unheardOf: Set<string>;
  readonly report: Report;
}

interface NamedRule extends Rule {
  readonly names: readonly string[];
}

function readRule(rule: SeccompRule, i: number, reading: Reading): readonly NamedRule[] {
  const { target, report } = reading;
  const at = `/seccomp/syscalls/${i}`;
  const names = rule.names.flatMap((name, n) => expand(name, `${at}/names/${n}`, reading));
  const verdict = readVerdict(rule.action, rule.errnoRet, `${at}/action`, reading);
  const conditions = (rule.args ?? []).map((arg, n) => readCondition(arg, `${at}/args/${n}`, report));
  const included = applies(rule.includes, `${at}/includes`, target, report);
  const excluded = rule.excludes !== undefined && excludes(rule.excludes, `${at}/excludes`, target, report);
  if (verdict === null || conditions.includes(null) || !included || excluded) return [];
  return [{ names, verdict, conditions: conditions.filter((condition) => condition !== null) }];
}

/** A group's members, the name itself, or nothing for a call of an architecture without a table. */
function expand(name: string, pointer: string, reading: Reading): readonly string[] {
  const { target, abis, absent, unheardOf, report } = reading;
  if (name.startsWith("@")) {
    const members = Object.hasOwn(GROUPS, name) ? GROUPS[name] : undefined;
    if (members !== undefined) return members.calls;
    report("seccomp-unknown-syscall", pointer, `${name} is not a group of system calls`, {
      ...nearest(name, Object.keys(GROUPS)),
    });
    return [];
  }
  if (isSyscall(name)) {
    if (!abis.some((abi) => syscallTable(abi).numbers.has(name))) absent.add(name);
    return [name];
  }
  if (FOREIGN_SYSCALLS.has(name)) {
    absent.add(name);
    return [];
  }
  if (target.foreign === true) {
    unheardOf.add(name);
    return [];
  }
  report("seccomp-unknown-syscall", pointer, `${name} is not a system call of any architecture`, {
    ...nearest(name, allSyscalls()),
  });
  return [];
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  SCMP_CMP_EQ: "eq",
  SCMP_CMP_NE: "ne",
  SCMP_CMP_LT: "lt",
  SCMP_CMP_LE: "le",
  SCMP_CMP_GT: "gt",
  SCMP_CMP_GE: "ge",
};

function readCondition(arg: SeccompArg, pointer: string, report: Report): Condition | null {
  const { index, value, valueTwo } = arg;
  if (!Number.isInteger(index) || index < 0 || index > 5) {
    report("seccomp-rule", pointer, `system calls have no argument ${index}`, { expected: "0 to 5" });
    return null;
  }
  if (value < 0n || value > ALL_ONES || valueTwo < 0n || valueTwo > ALL_ONES) {
    report("seccomp-rule", pointer, "a value does not fit into 64 bits");
    return null;
  }
  if (arg.op === "SCMP_CMP_MASKED_EQ") {
    if ((valueTwo & ~value) !== 0n) {
      report(
        "seccomp-rule",
        pointer,
        "the condition can never hold: valueTwo has bits that the mask removes",
        {
          hint: "value is the mask, valueTwo what must remain",
        },
      );
      return null;
    }
    return { index, operator: "eq", mask: value, value: valueTwo };
  }
  const operator = Object.hasOwn(OPERATORS, arg.op) ? OPERATORS[arg.op] : undefined;
  if (operator === undefined) {
    const known = [...Object.keys(OPERATORS), "SCMP_CMP_MASKED_EQ"];
    report("seccomp-rule", pointer, `${arg.op} is not a comparison`, {
      expected: `one of ${known.join(", ")}`,
      ...nearest(arg.op, known),
    });
    return null;
  }
  return { index, operator, mask: ALL_ONES, value };
}

/** Docker's `includes`: everything named must be so. */
function applies(
  condition: SeccompCondition | undefined,
  pointer: string,
  target: FilterTarget,
  report: Report,
): boolean {
  if (condition === undefined) return true;
  const { caps = [], arches = [] } = condition;
  const kernel = readKernel(condition, pointer, report);
  return (
    caps.every((name) => target.capabilities.includes(name)) &&
    (arches.length === 0 || arches.includes(GO_ARCH[target.arch])) &&
    (kernel === null || atLeast(target, kernel))
  );
}

/** Docker's `excludes`: anything named is enough to drop the rule. */
function excludes(
  condition: SeccompCondition,
  pointer: string,
  target: FilterTarget,
  report: Report,
): boolean {
  const { caps = [], arches = [] } = condition;
  const kernel = readKernel(condition, pointer, report);
  return (
    caps.some((name) => target.capabilities.includes(name)) ||
    arches.includes(GO_ARCH[target.arch]) ||
    (kernel !== null && atLeast(target, kernel))
  );
}

function readKernel(
  condition: SeccompCondition,
  pointer: string,
  report: Report,
): readonly [number, number] | null {
  if (condition.minKernel === undefined) return null;
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(condition.minKernel);
  if (match === null) {
    report("seccomp-rule", `${pointer}/minKernel`, `${condition.minKernel} is not a kernel version`, {
      expected: "MAJOR.MINOR, such as 4.8",
    });
    return null;
  }
  return [Number(match[1]), Number(match[2])];
}

function atLeast({ kernel }: FilterTarget, [major, minor]: readonly [number, number]): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

/** Rules by number, in the order in which they are asked, without those that can never be reached. */
function tabulate(abi: Abi, rules: readonly NamedRule[], fallback: Verdict, combine: Combine): AbiPolicy {
  const { numbers } = syscallTable(abi);
  const calls = new Map<number, Rule[]>();
  for (const { names, conditions, verdict } of rules) {
    for (const name of names) {
      const nr = numbers.get(name);
      if (nr === undefined) continue;
      const list = calls.get(nr) ?? [];
      list.push({ conditions, verdict });
      calls.set(nr, list);
    }
  }
  const ordered = [...calls]
    .toSorted((a, b) => a[0] - b[0])
    .map(([nr, list]) => [nr, combine(list, { abi, nr })] as const);
  // Above the newest known number the answer without a rule is not the fallback.
  const says = ([nr, list]: readonly [number, readonly Rule[]]) =>
    nr > NEWEST_OF[abi] || list.some((rule) => rule.verdict !== fallback);
  return { abi, calls: new Map(ordered.filter(says)) };
}

/** Our own: what is written first stays first among equals. */
export function strictestFirst(rules: readonly Rule[]): readonly Rule[] {
  // Sorting is stable.
  const sorted = rules.toSorted((a, b) => strictness(a.verdict) - strictness(b.verdict));
  const always = sorted.findIndex((rule) => rule.conditions.length === 0);
  if (always === -1) return sorted;
  const reachable = sorted.slice(0, always + 1);
  // Conditions before an unconditional rule with the same verdict change nothing.
  const verdict = (reachable[always] as Rule).verdict;
  while (reachable.length > 1 && (reachable.at(-2) as Rule).verdict === verdict) reachable.splice(-2, 1);
  return reachable;
}

/** The nearest valid value when it is near enough to be what was meant. */
function nearest(name: string, known: Iterable<string>): { suggestion?: string } {
  const suggestion = nearestOf(name, known);
  return suggestion === undefined ? {} : { suggestion };
}
