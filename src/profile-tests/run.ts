/**
 * Runs tests of a profile without running anything: calls are decided by the emitted filter for every value of the arguments that a test leaves open,
 * with a call that differs as a witness. Pure.
 */
import { type Abi, AUDIT_ARCH, SERVED } from "../compile/seccomp/abi.ts";
import { formatVerdict, RET, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import type { Place } from "../gate/rule.ts";
import { NotStated, stated } from "../profile/stated.ts";
import { explainPath } from "../profile-explain/path.ts";
import { lets } from "../profile-rules/ask.ts";
import type { ProfileFacts } from "../profile-rules/facts.ts";
import { deciding, type FilterFacts } from "../profile-rules/filter-facts.ts";
import { holdsAnywhere, PROPERTIES } from "../profile-rules/properties.ts";
import { ERRNO } from "../program/errno.ts";
import { exampleOf } from "../prove/call-bits.ts";
import { formatCall } from "../prove/format-call.ts";
import { meaningOfCondition } from "../prove/rules.ts";
import { type Case, type Expected, isPathSubject, type Subject } from "./cases.ts";

export interface CaseResult {
  readonly test: Case;
  /** "" when it passed: else what came out instead. */
  readonly failure: string;
  /** The line that decides what came out instead. */
  readonly decided: readonly Place[];
}

export function runCase(facts: ProfileFacts, test: Case): CaseResult {
  const { subject, expected } = test;
  const answer = stated(() => judge(facts, subject, expected));
  if (!(answer instanceof NotStated)) return { test, ...answer };
  return { test, failure: answer.message, decided: facts.at(answer.pointer) };
}

/** What came out otherwise; throws NotStated where the document does not say. */
function judge(facts: ProfileFacts, subject: Subject, expected: Expected): Omit<CaseResult, "test"> {
  const result = (failure: string, pointer = "") => ({
    failure,
    decided: failure === "" ? [] : facts.at(pointer),
  });
  if (subject.kind === "call") return runCall(facts, subject, expected);
  if (subject.kind === "capability") {
    const pointer = facts.capabilities.get(subject.name);
    if ((pointer !== undefined) === (expected === "allow")) return result("");
    return pointer === undefined
      ? result("it cannot be had", "/capabilities/bounding")
      : result("it can be had", pointer);
  }
  if (isPathSubject(subject)) {
    const answer = explainPath(facts, subject.path);
    const possible = {
      read: answer.readable,
      write: answer.writable,
      execute: answer.readable && answer.executable,
    }[subject.kind];
    if (possible === (expected === "allow")) return result("");
    return result(`${answer.path} is ${answer.shown}`, answer.pointer);
  }
  const layers = PROPERTIES[subject.id].layers(facts);
  const unsaid = layers.find(({ undecided }) => undecided === true);
  if (unsaid !== undefined && !holdsAnywhere(layers)) return result(unsaid.says, unsaid.pointer);
  // The property says what is impossible: denied is that it holds.
  if (holdsAnywhere(layers) === (expected === "deny")) return result("");
  const open = layers.find(({ holds }) => !holds) ?? layers[0];
  const held = layers.filter(({ holds }) => holds).map(({ layer }) => layer);
  return result(
    expected === "deny" ? `${open?.layer}: ${open?.says}` : `held by ${held.join(", ")}`,
    open?.pointer ?? "",
  );
}

type CallSubject = Extract<Subject, { kind: "call" }>;

function runCall(facts: ProfileFacts, subject: CallSubject, expected: Expected): Omit<CaseResult, "test"> {
  if (facts.filters.length === 0)
    return expected === "allow"
      ? { failure: "", decided: [] }
      : { failure: "there is no filter: every call gets through", decided: facts.at("/seccomp") };
  let asked = 0;
  for (const filter of facts.filters) {
    // Without an architecture: the native conventions that have the call.
    const abis = subject.abi === null ? [SERVED[filter.arch][0] as Abi] : [subject.abi];
    for (const abi of abis) {
      const nr = syscallTable(abi).numbers.get(subject.name);
      if (nr === undefined || !SERVED[filter.arch].includes(abi)) continue;
      asked += 1;
      const failure = differs(filter, abi, nr, subject, expected);
      if (failure === null) continue;
      const { pointer } = deciding(filter, abi, subject.name, failure.words);
      return { failure: failure.text, decided: facts.at(pointer) };
    }
  }
  if (asked > 0) return { failure: "", decided: [] };
  const where =
    subject.abi === null
      ? 'neither x86_64 nor aarch64 has it: name its "arch"'
      : `${subject.abi} has no such call`;
  return { failure: where, decided: [] };
}

/** A call of the test that is not answered as expected; null: there is none, for any value of what is open. */
function differs(filter: FilterFacts, abi: Abi, nr: number, subject: CallSubject, expected: Expected) {
  return filter.asked.decide(() => differing(filter, abi, nr, subject, expected));
}

function differing(filter: FilterFacts, abi: Abi, nr: number, subject: CallSubject, expected: Expected) {
  const { asked } = filter;
  const d = asked.prover.diagrams;
  const rest = asked.ofCall(abi, nr);
  const wrong = d.where(rest, rest, (verdict) => !isAs(verdict, expected));
  const inside = subject.args.reduce<number>(
    (all, value, index) =>
      value === null
        ? all
        : d.and(all, meaningOfCondition(d, { index, operator: "eq", mask: 0xffffffffffffffffn, value })),
    wrong,
  );
  const words = exampleOf(d, inside);
  if (words === null) return null;
  words[WORD.arch] = AUDIT_ARCH[abi];
  words[WORD.nr] = nr;
  return { words, text: `${formatCall(words)}: ${formatVerdict(asked.meaning.ask(words))}` };
}

function isAs(verdict: Verdict, expected: Expected): boolean {
  const base = (verdict & 0xffff0000) >>> 0;
  if (expected === "allow") return lets(verdict);
  if (expected === "deny") return !lets(verdict);
  if (expected === "kill") return base === RET.killProcess || base === RET.killThread;
  return base === RET.errno && (verdict & 0xffff) === ERRNO[expected];
}
