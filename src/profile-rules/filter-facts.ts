/**
 * What a system-call filter lets through: questions to the filter that is emitted, not to the rules as they are written. A
 * question is about calls of some names with conditions on their arguments; the answer is one such call that gets through, with the rule
 * that let it, or null when there is none. A program that somebody else made is asked in the same way; it has no rules to point at.
 * Pure: our own emitter, no libseccomp.
 */
import { type Abi, AUDIT_ARCH, SERVED } from "../compile/seccomp/abi.ts";
import { generate } from "../compile/seccomp/codegen.ts";
import { type Bpf, decode } from "../compile/seccomp/decode.ts";
import { GROUPS } from "../compile/seccomp/groups.ts";
import {
  type Call,
  type Condition,
  call,
  type FilterPolicy,
  judge,
  strictness,
  type Verdict,
} from "../compile/seccomp/ir.ts";
import { normalise } from "../compile/seccomp/normalise.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import { type FilterTarget, NEWEST_KERNEL } from "../compile/seccomp/target.ts";
import type { Arch } from "../host/facts.ts";
import { bug, type Checked, type ProblemKind, type Provenance } from "../problems.ts";
import type { SeccompSpec } from "../profile/spec.ts";
import { Prover } from "../prove/prover.ts";
import { Asked } from "./ask.ts";

/** Architectures that profiles are judged for; a question is answered by the worst of them. */
export const ARCHES: readonly Arch[] = ["x86_64", "aarch64"];

/** What a filter was made of. */
export interface FilterRules {
  readonly spec: SeccompSpec;
  readonly target: FilterTarget;
  readonly policy: FilterPolicy;
}

/** The filter of one architecture. */
export interface FilterFacts {
  readonly arch: Arch;
  /** The filter that a kernel gets; of rules, the emitted one, which is proved to do what they say. */
  readonly asked: Asked;
  /** null: it is a program, and nobody knows what it was made of. */
  readonly rules: FilterRules | null;
}

export interface CompiledFilter extends FilterFacts {
  readonly rules: FilterRules;
}

/** Which calls are meant. */
export interface Question {
  readonly names: readonly string[];
  /** All must hold; none: any arguments. */
  readonly conditions?: readonly Condition[];
  /** Through these ABIs only; default: all that the architecture serves. */
  readonly abis?: readonly Abi[];
}

/** A call that gets through. */
export interface Allowed {
  readonly abi: Abi;
  readonly name: string;
  readonly words: Call;
  readonly verdict: Verdict;
  /** JSON pointer of what let it. */
  readonly pointer: string;
}

/** The filter of a profile on each architecture, or every mistake in its rules. */
export function filterFacts(
  spec: SeccompSpec,
  capabilities: readonly string[],
  locate: NonNullable<FilterTarget["locate"]>,
  { machines = ARCHES, kernel = NEWEST_KERNEL }: Partial<FilterCircumstances> = {},
): Checked<readonly CompiledFilter[]> {
  const filters: CompiledFilter[] = [];
  for (const arch of machines) {
    const target: FilterTarget = { arch, capabilities, kernel, locate };
    const meant = normalise(spec, target);
    if (!meant.ok) return meant;
    const filter = compiledFilter({ spec, target, policy: meant.value.policy });
    if (!filter.ok) return filter;
    filters.push(filter.value);
  }
  return { ok: true, value: filters };
}

/** For what a filter is judged. */
export interface FilterCircumstances {
  readonly machines: readonly Arch[];
  readonly kernel: FilterTarget["kernel"];
}

/** The filter that rules become. */
export function compiledFilter(rules: FilterRules): Checked<CompiledFilter> {
  const { policy, target } = rules;
  const { arch } = target;
  const bytes = generate(policy);
  if (bytes === undefined)
    return undecided(target, "seccomp-rule", `the filter for ${arch} needs more than 4096 instructions`);
  const decoded = decode(bytes);
  if (!decoded.ok) return bug(`the emitter made a filter that does not decode: ${decoded.reason}`);
  const prover = new Prover();
  const meaning = prover.filter(decoded.bpf);
  const equal = prover.equal(meaning, prover.rules(policy));
  if (equal.kind === "unknown")
    return undecided(target, "filter-undecided", `the filter for ${arch} cannot be judged: ${equal.reason}`);
  if ("reason" in meaning || equal.kind !== "proved")
    return bug(`the filter of ${arch} is not proved: ${JSON.stringify(equal)}`);
  return { ok: true, value: { arch, rules, asked: new Asked(prover, meaning) } };
}

/** The filter that a program is, on one architecture. */
export function programFilter(bpf: Bpf, arch: Arch, where: Provenance): Checked<FilterFacts> {
  const prover = new Prover();
  const meaning = prover.filter(bpf);
  if (!("reason" in meaning))
    return { ok: true, value: { arch, rules: null, asked: new Asked(prover, meaning) } };
  const message = `the program cannot be judged: ${meaning.reason}`;
  return { ok: false, problems: [{ kind: "filter-undecided", where, pointer: "", message }] };
}

function undecided(target: FilterTarget, kind: ProblemKind, message: string): Checked<never> {
  const where = target.locate?.("/seccomp") ?? { kind: "default" };
  return { ok: false, problems: [{ kind, where, pointer: "/seccomp", message }] };
}

/** The conventions through which any call gets through, by the filter's word and not by its list; native first. */
export function openConventions(filter: FilterFacts): readonly Abi[] {
  if (filter.rules !== null) return filter.rules.policy.abis.map(({ abi }) => abi);
  return SERVED[filter.arch].filter((abi) =>
    [...syscallTable(abi).numbers.values()].some((nr) => filter.asked.findAllowed(abi, nr, []) !== null),
  );
}

/** A call of the question that some architecture's filter lets through; null: none does. */
export function whatIsAllowed(filters: readonly FilterFacts[], question: Question): Allowed | null {
  for (const filter of filters) {
    for (const abi of question.abis ?? SERVED[filter.arch]) {
      if (!SERVED[filter.arch].includes(abi)) continue;
      for (const name of question.names) {
        const nr = syscallTable(abi).numbers.get(name);
        if (nr === undefined) continue;
        const words = filter.asked.findAllowed(abi, nr, question.conditions ?? []);
        if (words === null) continue;
        const { verdict, pointer } = deciding(filter, abi, name, words);
        return { abi, name, words, verdict, pointer };
      }
    }
  }
  return null;
}

/** What a filter answers to a call, and the pointer of the rule, name or default that decides it. */
export function deciding(
  { rules, asked }: FilterFacts,
  abi: Abi,
  name: string,
  words: Call,
): { readonly verdict: Verdict; readonly pointer: string } {
  if (rules === null) return { verdict: asked.meaning.ask(words), pointer: "/seccomp" };
  const { spec, target, policy } = rules;
  const verdict = judge(policy, words);
  let best: { readonly strict: number; readonly pointer: string } | null = null;
  for (const [i, rule] of spec.syscalls.entries()) {
    const names = rule.names.flatMap((written, n) => (mentions(written, name) ? [n] : []));
    if (names[0] === undefined) continue;
    // A policy of this rule alone, over a default that it cannot be mistaken for: does it hold for the call?
    const defaultAction =
      rule.action === "SCMP_ACT_KILL_PROCESS" ? "SCMP_ACT_ALLOW" : "SCMP_ACT_KILL_PROCESS";
    const alone = normalise({ ...spec, defaultAction, defaultErrnoRet: undefined, syscalls: [rule] }, target);
    if (!alone.ok || !alone.value.policy.abis.some((one) => one.abi === abi)) continue;
    const answer = judge(alone.value.policy, words);
    if (answer === alone.value.policy.fallback) continue;
    const strict = strictness(answer);
    if (best === null || strict < best.strict)
      best = { strict, pointer: `/seccomp/syscalls/${i}/names/${names[0]}` };
  }
  if (best !== null && best.strict === strictness(verdict)) return { verdict, pointer: best.pointer };
  const listed = policy.abis.some((one) => one.abi === abi);
  return { verdict, pointer: listed ? "/seccomp/defaultAction" : "/seccomp/architectures" };
}

const mentions = (written: string, name: string): boolean =>
  written === name || (Object.hasOwn(GROUPS, written) && GROUPS[written]?.calls.includes(name) === true);

/** The call with no arguments, as a filter sees it. */
export const bareCall = (abi: Abi, nr: number): Call => call(AUDIT_ARCH[abi], nr);
