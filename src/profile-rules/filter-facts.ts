/**
 * What a profile's system-call filter lets through: questions to the filter that is emitted, not to the rules as they are written. A
 * question is about calls of some names with conditions on their arguments; the answer is one such call that gets through, with the rule
 * that let it, or null when there is none. Pure: our own emitter, no libseccomp.
 */
import { type Abi, AUDIT_ARCH, SERVED } from "../compile/seccomp/abi.ts";
import { generate } from "../compile/seccomp/codegen.ts";
import { decode } from "../compile/seccomp/decode.ts";
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
import type { FilterTarget } from "../compile/seccomp/target.ts";
import type { Arch } from "../host/facts.ts";
import { bug, type Checked } from "../problems.ts";
import type { SeccompSpec } from "../profile/spec.ts";
import { Prover } from "../prove/prover.ts";
import { Asked } from "./ask.ts";

/** A kernel that has everything: rules for newer kernels count. */
export const NEWEST_KERNEL = { major: 99, minor: 0 };

/** Architectures that profiles are judged for; a question is answered by the worst of them. */
export const ARCHES: readonly Arch[] = ["x86_64", "aarch64"];

export interface FilterFacts {
  readonly arch: Arch;
  readonly spec: SeccompSpec;
  readonly target: FilterTarget;
  readonly policy: FilterPolicy;
  /** The emitted filter, which is proved to do what the rules say. */
  readonly asked: Asked;
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
): Checked<readonly FilterFacts[]> {
  const filters: FilterFacts[] = [];
  for (const arch of ARCHES) {
    const target: FilterTarget = { arch, capabilities, kernel: NEWEST_KERNEL, locate };
    const meant = normalise(spec, target);
    if (!meant.ok) return meant;
    const { policy } = meant.value;
    const bytes = generate(policy);
    if (bytes === undefined) {
      const message = `the filter for ${arch} needs more than 4096 instructions`;
      const where = locate("/seccomp");
      return { ok: false, problems: [{ kind: "seccomp-rule", where, pointer: "/seccomp", message }] };
    }
    const decoded = decode(bytes);
    if (!decoded.ok) return bug(`the emitter made a filter that does not decode: ${decoded.reason}`);
    const prover = new Prover();
    const meaning = prover.filter(decoded.bpf);
    const equal = prover.equal(meaning, prover.rules(policy));
    if ("reason" in meaning || equal.kind !== "proved")
      return bug(`the filter of ${arch} is not proved: ${JSON.stringify(equal)}`);
    filters.push({ arch, spec, target, policy, asked: new Asked(prover, meaning) });
  }
  return { ok: true, value: filters };
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

/** What the rules answer to a call, and the pointer of the rule, name or default that decides it. */
export function deciding(
  { spec, target, policy }: FilterFacts,
  abi: Abi,
  name: string,
  words: Call,
): { readonly verdict: Verdict; readonly pointer: string } {
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
