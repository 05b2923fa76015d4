/**
 * How container runtimes load a seccomp document otherwise than it reads: each case as a change of the rules or of how rules are combined. Takes the
 * document's rules; gives, for every place that a case concerns, the rules as they are loaded. Facts about runc, crun and libseccomp; which of them does it
 * stands with each case, and a test holds libseccomp's own to the library.
 */
import { NEWEST_OF, SCMP_ARCH } from "../compile/seccomp/abi.ts";
import { FOREIGN_SYSCALLS, GROUPS } from "../compile/seccomp/groups.ts";
import { type AbiPolicy, ENOSYS, EPERM, errno, type FilterPolicy, type Rule } from "../compile/seccomp/ir.ts";
import { type Combine, normalise, strictestFirst } from "../compile/seccomp/normalise.ts";
import { isSyscall, syscallTable } from "../compile/seccomp/tables.ts";
import type { FilterTarget } from "../compile/seccomp/target.ts";
import type { Checked } from "../problems.ts";
import type { SeccompArg, SeccompRule, SeccompSpec } from "../profile/spec.ts";
import { judgeComparisons, mergedAsLoaded } from "./merged-comparisons.ts";

export const CASES = {
  "same-argument": {
    by: "runc, crun, youki",
    about: "two conditions on one argument make every condition of the rule an alternative",
  },
  "equal-to-default": {
    by: "runc, crun",
    about: "a rule with the action of the default is left out, and does not refuse what another rule allows",
  },
  "unconditional-wins": {
    by: "libseccomp",
    about: "a rule without conditions replaces the conditional rules for the same call",
  },
  "unknown-name": {
    by: "runc, crun",
    about: "a name that no kernel has is skipped, and the rule does nothing",
  },
  "name-too-new": {
    by: "libseccomp 2.5",
    about:
      "a name that the library does not know is skipped: the default answers, or the stub that runc adds",
  },
  "enosys-stub": {
    by: "runc",
    about:
      "on the architectures that the document lists, calls with a higher number than any that it names get ENOSYS, whatever its default says",
  },
  "merged-comparisons": {
    by: "libseccomp up to 2.6.0",
    about:
      "of two rules that compare one argument by order, with values beyond 32 bits, the second is asked of the wrong half of the argument",
  },
  multiplexer: {
    by: "libseccomp",
    about:
      "on 32-bit x86, a rule for a socket or System V call is also one for socketcall or ipc, without its conditions",
  },
} as const satisfies Readonly<Record<string, { readonly by: string; readonly about: string }>>;

export type DivergenceCase = keyof typeof CASES;

/** One place in a document, and what is loaded instead of what stands there. */
export interface Deviation {
  readonly case: DivergenceCase;
  /** JSON pointer below `/seccomp`. */
  readonly pointer: string;
  /** The rules as they are loaded; null: nothing is loaded that could be compared. */
  readonly loaded: ((target: FilterTarget) => Checked<FilterPolicy>) | null;
  /** Why nobody knows what is loaded; it then holds for no target. */
  readonly unsure?: (target: FilterTarget) => string | null;
  /** The calls it is about, where that is not all. */
  readonly names: readonly string[];
}

/** Every place of a document that a case concerns. Whether it changes an answer is for the prover to say. */
export function deviations(spec: SeccompSpec): readonly Deviation[] {
  return [...spec.syscalls.flatMap((rule, i) => ofRule(spec, rule, i)), ...stubbed(spec), ...compared(spec)];
}

function ofRule(spec: SeccompSpec, rule: SeccompRule, i: number): readonly Deviation[] {
  const found: Deviation[] = [];
  const args = rule.args ?? [];
  const pointer = `/seccomp/syscalls/${i}`;
  const replaced = (...rules: readonly SeccompRule[]): SeccompSpec => ({
    ...spec,
    syscalls: spec.syscalls.toSpliced(i, 1, ...rules),
  });
  const instead = (...rules: readonly SeccompRule[]) => meant(replaced(...rules), strictestFirst);
  if (new Set(args.map(({ index }) => index)).size < args.length) {
    const alternatives = args.map((arg) => ({ ...rule, args: [arg] }));
    found.push({
      case: "same-argument",
      pointer: `${pointer}/args`,
      loaded: instead(...alternatives),
      names: [],
    });
  }
  if (rule.action === spec.defaultAction && errnoOf(rule.errnoRet) === errnoOf(spec.defaultErrnoRet))
    found.push({ case: "equal-to-default", pointer, loaded: instead(), names: [] });
  if (args.length > 0) {
    const always = spec.syscalls.flatMap((other) =>
      (other.args ?? []).length === 0 ? expanded(other.names) : [],
    );
    const names = expanded(rule.names).filter((name) => always.includes(name));
    const loaded = meant(spec, unconditionalWins);
    if (names.length > 0) found.push({ case: "unconditional-wins", pointer, loaded, names });
  }
  const named = rule.names.filter((name) => !name.startsWith("@") && !FOREIGN_SYSCALLS.has(name));
  const at = (name: string | undefined) => `${pointer}/names/${rule.names.indexOf(name ?? "")}`;
  const unknown = named.filter((name) => !isSyscall(name));
  if (unknown.length > 0)
    found.push({ case: "unknown-name", pointer: at(unknown[0]), loaded: null, names: unknown });
  const tooNew = named.filter((name) => isSyscall(name) && isTooNew(name));
  if (tooNew.length > 0) {
    const known = rule.names.filter((name) => !tooNew.includes(name));
    const loaded = instead({ ...rule, names: known });
    found.push({ case: "name-too-new", pointer: at(tooNew[0]), loaded, names: tooNew });
  }
  const multiplexed = rule.names.flatMap((name) => multiplexers(name));
  if (multiplexed.length > 0) {
    const companions = multiplexed.map(({ name, arg }) => ({ ...rule, names: [name], args: [arg] }));
    found.push({
      case: "multiplexer",
      pointer,
      loaded: meant(replaced(rule, ...companions), multiplexersAsLoaded),
      names: ["socketcall", "ipc"],
    });
  }
  return found;
}

/** What a document would mean if it were written so and its rules were combined so. */
function meant(spec: SeccompSpec, combine: Combine): NonNullable<Deviation["loaded"]> {
  return (target) => {
    const made = normalise(spec, target, combine);
    return made.ok ? { ok: true, value: made.value.policy } : made;
  };
}

/** Comparisons by order of the same argument in two rules for one call: at the later of the two. */
function compared(spec: SeccompSpec): readonly Deviation[] {
  const asLoaded: Combine = (rules, { abi }) => mergedAsLoaded(abi, rules);
  return spec.syscalls.flatMap((rule, i): readonly Deviation[] => {
    const ordered = orderedArguments(rule);
    const before = spec.syscalls
      .slice(0, i)
      .filter((other) => orderedArguments(other).some((each) => ordered.includes(each)));
    const earlier = expanded(before.flatMap((other) => other.names));
    const names = expanded(rule.names).filter((name) => earlier.includes(name));
    if (names.length === 0) return [];
    const unsure = (target: FilterTarget): string | null => {
      const hard = new Set<string>();
      const looked = normalise(spec, target, (rules, { abi, nr }) => {
        const name = syscallTable(abi).names.get(nr) ?? "";
        if (names.includes(name) && judgeComparisons(abi, rules) === "unsure") hard.add(name);
        return strictestFirst(rules);
      });
      if (!looked.ok || hard.size === 0) return null;
      return `what the library makes of more than two such conditions is not modelled: ${[...hard].join(", ")}`;
    };
    return [
      {
        case: "merged-comparisons",
        pointer: `/seccomp/syscalls/${i}/args`,
        loaded: meant(spec, asLoaded),
        unsure,
        names,
      },
    ];
  });
}

const ORDERED = ["SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE"];

const orderedArguments = ({ args = [] }: SeccompRule): readonly number[] =>
  args.flatMap(({ op, index }) => (ORDERED.includes(op) ? [index] : []));

const errnoOf = (value: number | undefined): number => value ?? EPERM;

const expanded = (names: readonly string[]): readonly string[] =>
  names.flatMap((name) => (Object.hasOwn(GROUPS, name) ? (GROUPS[name]?.calls ?? []) : [name]));

/** What libseccomp keeps of several rules for one call: the first without conditions alone, else all. */
function unconditionalWins(rules: readonly Rule[]): readonly Rule[] {
  const unconditional = rules.find(({ conditions }) => conditions.length === 0);
  return unconditional === undefined ? strictestFirst(rules) : [unconditional];
}

/** Companions of other rules meet those for the call itself in the library, where one without conditions wins. */
const multiplexersAsLoaded: Combine = (rules, { abi, nr }) => {
  const name = abi === "i386" ? syscallTable(abi).names.get(nr) : undefined;
  return name === "socketcall" || name === "ipc" ? unconditionalWins(rules) : strictestFirst(rules);
};

/** The last call that libseccomp 2.5.5 has a name for: futex_requeue of Linux 6.7. Later ones have one number everywhere. */
const LAST_NAMED = 456;

function isTooNew(name: string): boolean {
  const number = syscallTable("aarch64").numbers.get(name) ?? syscallTable("x86_64").numbers.get(name);
  return number !== undefined && number > LAST_NAMED;
}

/** runc's stub: on every ABI that the document lists, whatever comes behind the highest number that it names gets ENOSYS. */
function stubbed(spec: SeccompSpec): readonly Deviation[] {
  const permissive = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"].includes(spec.defaultAction);
  const redundant = spec.defaultErrnoRet === ENOSYS;
  const listed = spec.architectures ?? [];
  if (permissive || redundant || listed.length === 0) return [];
  const names = expanded(spec.syscalls.flatMap((rule) => rule.names)).filter((name) => !isTooNew(name));
  const loaded: NonNullable<Deviation["loaded"]> = (target) => {
    const written = normalise(spec, target);
    if (!written.ok) return written;
    const { policy } = written.value;
    const abis = policy.abis.map((each) =>
      listed.includes(SCMP_ARCH[each.abi]) ? withStub(each, names) : each,
    );
    return { ok: true, value: { ...policy, abis, newer: errno(ENOSYS) } };
  };
  return [{ case: "enosys-stub", pointer: "/seccomp/defaultAction", loaded, names: [] }];
}

function withStub({ abi, calls }: AbiPolicy, names: readonly string[]): AbiPolicy {
  const { numbers } = syscallTable(abi);
  const last = names.reduce((most, name) => Math.max(most, numbers.get(name) ?? -1), -1);
  const stub = [{ conditions: [], verdict: errno(ENOSYS) }];
  const behind = new Map(calls);
  // No number of the ABI is named: there is nothing that a stub could stand behind.
  if (last === -1) return { abi, calls };
  for (let nr = last + 1; nr <= NEWEST_OF[abi]; nr++) behind.set(nr, stub);
  return { abi, calls: behind };
}

/** Sub-calls of socketcall(2) and ipc(2), linux/net.h and linux/ipc.h. */
const SOCKETCALL = [
  "socket",
  "bind",
  "connect",
  "listen",
  "accept",
  "getsockname",
  "getpeername",
  "socketpair",
  "send",
  "recv",
  "sendto",
  "recvfrom",
  "shutdown",
  "setsockopt",
  "getsockopt",
  "sendmsg",
  "recvmsg",
  "accept4",
  "recvmmsg",
  "sendmmsg",
];
const IPC: Readonly<Record<string, number>> = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
};

function multiplexers(name: string): readonly { readonly name: string; readonly arg: SeccompArg }[] {
  const condition = (number: number): SeccompArg => ({
    index: 0,
    op: "SCMP_CMP_EQ",
    value: BigInt(number),
    valueTwo: 0n,
  });
  const socket = SOCKETCALL.indexOf(name);
  if (socket !== -1) return [{ name: "socketcall", arg: condition(socket + 1) }];
  const ipc = Object.hasOwn(IPC, name) ? IPC[name] : undefined;
  return ipc === undefined ? [] : [{ name: "ipc", arg: condition(ipc) }];
}
