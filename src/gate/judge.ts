/**
 * The gate: facts of each subject, a policy, waivers and a baseline → the report. Pure but for the hash of a fingerprint. What could not
 * be analysed stays in the report as a failure: a subject is never left out silently.
 */
import { printable } from "../printable.ts";
import { type Baseline, type Entry, isAbout, knows } from "./baseline.ts";
import {
  type ActiveRule,
  type CheckedSubject,
  type Failure,
  type Finding,
  fingerprintOf,
  type Report,
  rank,
} from "./finding.ts";
import type { Inherited } from "./inherited.ts";
import { BASELINE_STALE, type OwnRule, WAIVER_EXPIRED, WAIVER_UNUSED } from "./own-rules.ts";
import { matchesPattern, relativeTo } from "./paths.ts";
import type { Policy } from "./policy.ts";
import type { Level, Place, Registry, RuleText, Violation } from "./rule.ts";
import { covers, isExpired, type Waiver } from "./waivers.ts";

export interface Subject<F> extends CheckedSubject {
  readonly facts: F;
}

export interface Judgement<F> {
  readonly tool: Report["tool"];
  readonly registry: Registry<F>;
  readonly policy: Policy;
  readonly subjects: readonly Subject<F>[];
  readonly failures: readonly Failure[];
  readonly waivers: readonly Waiver[];
  readonly baseline: Baseline | null;
  /** Waivers are judged as of this day, YYYY-MM-DD. */
  readonly today: string;
  /** Whether findings count that are proved to be in what a subject was built on. */
  readonly inherited?: Inherited;
  /** The directory that places are relative to. */
  readonly base: string;
}

export function judge<F>(judgement: Judgement<F>): Report {
  const { policy, registry, subjects, failures, tool } = judgement;
  const found = subjects.flatMap((subject) => askAll(subject, judgement));
  const active = registry.rules.flatMap((rule): readonly ActiveRule[] => {
    const severity = policy.settings.get(rule.id)?.severity ?? "off";
    return severity === "off" ? [] : [{ rule, severity }];
  });
  const own = [WAIVER_EXPIRED, WAIVER_UNUSED, BASELINE_STALE].flatMap((rule): readonly ActiveRule[] => {
    const severity = policy.settings.get(rule.id)?.severity ?? rule.severity;
    return severity === "off" ? [] : [{ rule, severity }];
  });
  const entries = new Map<string, readonly Entry[]>();
  for (const entry of judgement.baseline?.entries ?? [])
    entries.set(entry.fingerprint, [...(entries.get(entry.fingerprint) ?? []), entry]);
  const settled = found.map((finding) => settle(finding, judgement, entries.get(finding.fingerprint) ?? []));
  return {
    tool,
    policy: { name: printable(policy.name), description: printable(policy.description) },
    rules: [...active, ...own],
    subjects: subjects.map(({ subject, file, notes }) => ({
      subject,
      file: relativeTo(judgement.base, file),
      notes,
    })),
    findings: [...settled, ...judgeExceptions(found, active, judgement)],
    failures: failures.map((failure) => ({ ...failure, file: relativeTo(judgement.base, failure.file) })),
  };
}

/** Findings of one rule about one subject; what is beyond is one more finding, with their number. Nobody reads more, and files of CI have bounds. */
export const MOST_LISTED = 2_000;
const FURTHER = "further findings";

/** Every active rule on one subject, worst first. */
function askAll<F>(subject: Subject<F>, { registry, policy, base }: Judgement<F>): readonly Finding[] {
  const findings = registry.rules.flatMap((rule) => {
    const setting = policy.settings.get(rule.id);
    if (setting === undefined || setting.severity === "off") return [];
    const seen = new Map<string, number>();
    const listed: Finding[] = [];
    let rest = 0;
    let undecided = false;
    const add = (violation: Violation): void => {
      // As it is shown and waived: names that differ only in what is not shown are told apart as well.
      const object = printable(violation.object);
      const ordinal = seen.get(object) ?? 0;
      seen.set(object, ordinal + 1);
      listed.push(toFinding(rule, setting.severity as Level, subject, violation, ordinal, base));
    };
    for (const violation of rule.check(subject.facts, setting.options)) {
      if (listed.length < MOST_LISTED) add(violation);
      else {
        rest++;
        undecided ||= violation.undecided === true;
      }
    }
    if (rest === 0) return listed;
    const message = `${rest} further findings of this rule are not listed one by one`;
    const more = { object: FURTHER, message, places: [], amount: rest };
    add(undecided ? { ...more, undecided } : more);
    return listed;
  });
  return findings.toSorted((a, b) => rank(a.severity) - rank(b.severity));
}

const NEWER_BASE = "The base image has it: build on a newer one, or on one without it. Or here:";

/** What to do about a rule that could not be judged. */
const ASK_ELSEWHERE =
  "Check what does say it, such as the config.json of a container or the tar file of an image, or use a policy without this rule.";

function remedyFor({ remediation }: RuleText, { undecided, origin }: Violation): string {
  if (undecided === true) return ASK_ELSEWHERE;
  return origin === "base" ? `${NEWER_BASE} ${remediation}` : remediation;
}

function toFinding(
  rule: RuleText,
  severity: Level,
  { subject, file }: CheckedSubject,
  violation: Violation,
  ordinal: number,
  base: string,
): Finding {
  const { id, title, rationale, references } = rule;
  const remediation = remedyFor(rule, violation);
  const places = violation.places.length > 0 ? violation.places : [{ file, line: 0, column: 0 }];
  return {
    ...violation,
    // Names of files and variables come from whoever wrote them: none writes to a terminal or starts a line of a log.
    object: printable(violation.object),
    message: printable(violation.message),
    rule: { id, title, rationale, remediation, references },
    severity,
    subject,
    state: "new",
    because: "",
    places: places.map((place): Place => ({ ...place, file: printable(relativeTo(base, place.file)) })),
    fingerprint: fingerprintOf(id, subject, printable(violation.object), ordinal),
  };
}

/** `entries`: those of the baseline with its fingerprint. */
function settle<F>(
  finding: Finding,
  { waivers, today, inherited }: Judgement<F>,
  entries: readonly Entry[],
): Finding {
  const waiver = waivers.find((candidate) => !isExpired(candidate, today) && covers(candidate, finding));
  if (waiver !== undefined) {
    const because = `waived by ${waiver.owner} until ${waiver.expires}: ${waiver.reason}`;
    return { ...finding, state: "waived", because: printable(because) };
  }
  if (inherited === "apart" && finding.origin === "base")
    return { ...finding, state: "inherited", because: "inherited: the base image has it as well" };
  const entry = entries.find((candidate) => isAbout(candidate, finding));
  if (entry === undefined) return finding;
  if (knows(entry, finding)) return { ...finding, state: "known", because: "known: it is in the baseline" };
  const more = `${finding.message} (the baseline knows ${entry.amount ?? "no amount"}, now it is ${finding.amount ?? 0})`;
  return { ...finding, message: more };
}

/** Waivers past their date or without a use, and baseline entries without a finding: for rules that are asked and subjects that were checked. */
function judgeExceptions<F>(
  found: readonly Finding[],
  active: readonly ActiveRule[],
  { policy, subjects, waivers, baseline, today, base }: Judgement<F>,
): readonly Finding[] {
  const asked = new Set(active.map(({ rule }) => rule.id));
  const about = (rule: OwnRule, subject: string, object: string, message: string, place: Place) => {
    const severity = policy.settings.get(rule.id)?.severity ?? rule.severity;
    if (severity === "off") return [];
    const file = { subject, file: place.file, notes: [] };
    return [toFinding(rule, severity, file, { object, message, places: [place] }, 0, base)];
  };
  const ofWaivers = waivers.flatMap((waiver) => {
    const object = `${waiver.rule} ${waiver.subject} ${waiver.object}`;
    const matching = subjects.filter(({ subject }) => matchesPattern(waiver.subject, subject));
    if (!asked.has(waiver.rule) || matching.length === 0) return [];
    const used = found.some((finding) => covers(waiver, finding));
    if (isExpired(waiver, today)) {
      const what = `the waiver of ${waiver.rule} for ${waiver.object} ended on ${waiver.expires}; its owner is ${waiver.owner}`;
      return about(WAIVER_EXPIRED, relativeTo(base, waiver.place.file), object, what, waiver.place);
    }
    if (used) return [];
    const what = `the waiver of ${waiver.rule} for ${waiver.object} covers no finding in ${matching.map(({ subject }) => subject).join(", ")}`;
    return about(WAIVER_UNUSED, relativeTo(base, waiver.place.file), object, what, waiver.place);
  });
  const present = new Map(found.map((finding) => [finding.fingerprint, finding]));
  const isPresent = (entry: Entry): boolean => {
    const finding = present.get(entry.fingerprint);
    return finding !== undefined && isAbout(entry, finding);
  };
  const isStale = (entry: Entry): boolean =>
    asked.has(entry.rule) && subjects.some(({ subject }) => subject === entry.subject) && !isPresent(entry);
  const ofBaseline = (baseline?.entries ?? []).filter(isStale).flatMap((entry) => {
    const what = `${entry.rule} no longer finds ${entry.object} in ${entry.subject}, but the baseline still has it`;
    return about(
      BASELINE_STALE,
      relativeTo(base, entry.place.file),
      `${entry.rule} ${entry.subject} ${entry.object}`,
      what,
      entry.place,
    );
  });
  return [...ofWaivers, ...ofBaseline];
}
