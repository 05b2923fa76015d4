/** What the gate says: findings with stable identities, and the report of a run. Data, and the order in which it is shown. */
import { hash } from "node:crypto";
import type { Problem } from "../problems.ts";
import type { Policy } from "./policy.ts";
import type { Level, RuleText, Violation } from "./rule.ts";

/** `new` counts; `known` is in the baseline; `waived` was accepted until a date; `inherited` is the base's, and those were not to count. */
export type State = "new" | "known" | "waived" | "inherited";

export interface Finding extends Violation {
  readonly rule: RuleText;
  readonly severity: Level;
  /** What was checked, as it was named. */
  readonly subject: string;
  readonly state: State;
  /** Why it does not count; "" when it does. */
  readonly because: string;
  /** SHA-256, lower-case hex, of rule, subject and object: the same wherever the lines move, unlike for any other finding. */
  readonly fingerprint: string;
}

/** One thing that was checked. */
export interface CheckedSubject {
  readonly subject: string;
  /** The file that its findings are shown in when they have no better place. */
  readonly file: string;
  /** Facts worth a line in a report, such as an exposure score. */
  readonly notes: readonly string[];
}

/** What could not be checked, and why: never a pass. */
export interface Failure {
  readonly subject: string;
  readonly file: string;
  readonly problems: readonly Problem[];
}

export interface ActiveRule {
  readonly rule: RuleText;
  readonly severity: Level;
}

export interface Report {
  readonly tool: { readonly name: string; readonly version: string };
  readonly policy: Pick<Policy, "name" | "description">;
  readonly rules: readonly ActiveRule[];
  readonly subjects: readonly CheckedSubject[];
  /** By subject in the order asked, worst first, then as the rules are listed. */
  readonly findings: readonly Finding[];
  readonly failures: readonly Failure[];
}

/** The identity of a finding; `ordinal` tells apart violations of one rule by one object, in their order. */
export function fingerprintOf(rule: string, subject: string, object: string, ordinal = 0): string {
  return hash("sha256", [rule, subject, object, ...(ordinal === 0 ? [] : [ordinal])].join("\0"), "hex");
}

/** How many new findings are in what a subject was built on. */
export const countInherited = (findings: readonly Finding[]): number =>
  findings.filter((finding) => isNew(finding) && finding.origin === "base").length;

export const isNew = ({ state }: Finding): boolean => state === "new";

const LEVELS: readonly Level[] = ["error", "warning", "note"];

/** 0 is worst. */
export function rank(severity: Level): number {
  return LEVELS.indexOf(severity);
}

/** How many new findings there are of each severity. */
export function countNew(report: Report): Readonly<Record<Level, number>> {
  const count = { error: 0, warning: 0, note: 0 };
  for (const finding of report.findings) if (isNew(finding)) count[finding.severity] += 1;
  return count;
}

/** Exit status of a check: 3 something could not be analysed or judged, 1 a new finding at least as bad as `failOn`, 0 clean. */
export function exitStatusOf(report: Report, failOn: Level): 0 | 1 | 3 {
  if (report.failures.length > 0 || report.subjects.length === 0) return 3;
  const bad = report.findings.filter((finding) => isNew(finding) && rank(finding.severity) <= rank(failOn));
  if (bad.some(({ undecided }) => undecided === true)) return 3;
  return bad.length > 0 ? 1 : 0;
}
