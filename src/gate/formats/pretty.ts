/** For people at a terminal: by subject, worst first, with what to do. */
import { type Finding, isNew, type Report } from "../finding.ts";
import type { Level } from "../rule.ts";
import { countCovered, countFound, failureLines, formatPlaceOf, RULE_PAGES, summarise } from "./shared.ts";

type Paint = (text: string) => string;

/** The colours used; meaning never depends on them. */
export interface ReportPalette {
  readonly strong: Paint;
  readonly good: Paint;
  readonly warning: Paint;
  readonly bad: Paint;
  readonly faint: Paint;
}

const plain: Paint = (text) => text;
export const PLAIN: ReportPalette = { strong: plain, good: plain, warning: plain, bad: plain, faint: plain };

export function toPretty(report: Report, palette: ReportPalette): string {
  const paint: Readonly<Record<Level, Paint>> = {
    error: palette.bad,
    warning: palette.warning,
    note: palette.faint,
  };
  const lines: string[] = [];
  const explained = new Set<string>();
  const show = (finding: Finding): void => {
    const { rule, severity, message, places, because } = finding;
    lines.push(`  ${paint[severity](severity.padEnd(7))} ${message}  ${palette.faint(rule.id)}`);
    const [first, ...others] = places.map(formatPlaceOf);
    if (first !== undefined) lines.push(palette.faint(`          at ${first}`));
    for (const other of others) lines.push(palette.faint(`          from ${other}`));
    if (!isNew(finding)) lines.push(palette.faint(`          ${because}`));
    else if (!explained.has(`${rule.id} ${rule.remediation}`)) {
      lines.push(`          ${rule.remediation}`);
      explained.add(`${rule.id} ${rule.remediation}`);
    }
  };
  const subjects = [...new Set([...report.subjects, ...report.findings].map(({ subject }) => subject))];
  for (const subject of subjects) {
    const findings = report.findings.filter((finding) => finding.subject === subject);
    const counted = findings.filter(isNew);
    const covered = findings.length - counted.length;
    const verdict = counted.length === 0 ? palette.good("clean") : countFound(counted);
    const rest = covered === 0 ? "" : `, ${countCovered(findings)}`;
    lines.push(`${palette.strong(subject)}: ${verdict}${rest}`);
    for (const { notes } of report.subjects.filter((candidate) => candidate.subject === subject))
      for (const note of notes) lines.push(`  ${note}`);
    for (const finding of findings) show(finding);
  }
  for (const failure of report.failures) {
    lines.push(`${palette.strong(failure.subject)}: ${palette.bad("could not be analysed")}`);
    for (const line of failureLines(failure)) lines.push(`  ${line}`);
  }
  lines.push(`policy ${report.policy.name}: ${summarise(report)}; each rule has a page in ${RULE_PAGES}`);
  return lines.join("\n");
}
