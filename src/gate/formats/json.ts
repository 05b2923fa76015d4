/** For programs: everything in the report, in a shape that only grows. */
import { countNew, type Report } from "../finding.ts";

export function toJsonReport(report: Report): string {
  const { tool, policy, rules, subjects, findings, failures } = report;
  return JSON.stringify(
    {
      version: 1,
      tool,
      policy,
      summary: { new: countNew(report), failures: failures.length },
      subjects,
      failures,
      findings: findings.map(({ rule, ...finding }) => ({ rule: rule.id, ...finding })),
      rules: rules.map(({ rule, severity }) => ({
        id: rule.id,
        severity,
        title: rule.title,
        rationale: rule.rationale,
        remediation: rule.remediation,
        references: rule.references,
      })),
    },
    null,
    2,
  );
}
