/**
 * GitLab's code quality report: an array of issues, each with a fingerprint of its own (GitLab keeps one of several equal ones) and a path
 * relative to the repository without "./". Waived and known findings are left out: the format has no word for them.
 */
import { type Finding, fingerprintOf, isNew, type Report } from "../finding.ts";
import type { Level } from "../rule.ts";
import { failureLines, problemPlace, shownPlace } from "./shared.ts";

const SEVERITY: Readonly<Record<Level, string>> = { error: "critical", warning: "major", note: "info" };

export function toGitlab(report: Report): string {
  const found = report.findings.filter(isNew).map((finding) => toIssue(finding, report));
  const failed = report.failures.flatMap((failure) =>
    failure.problems.map((problem, index) => ({
      description: `${failure.subject} could not be analysed: ${failureLines(failure)[index] ?? ""}`,
      check_name: "analysis",
      fingerprint: fingerprintOf("analysis", failure.subject, problem.kind, index),
      severity: "blocker",
      location: locationOf(problemPlace(problem, failure.file)),
    })),
  );
  return JSON.stringify([...failed, ...found], null, 2);
}

function toIssue(finding: Finding, report: Report) {
  return {
    description: `${finding.subject}: ${finding.message}. ${finding.rule.remediation}`,
    check_name: finding.rule.id,
    fingerprint: finding.fingerprint,
    severity: SEVERITY[finding.severity],
    location: locationOf(shownPlace(finding, report)),
  };
}

const locationOf = ({ file, line }: { readonly file: string; readonly line: number }) => ({
  path: file,
  lines: { begin: Math.max(line, 1) },
});
