/** For a comment on a pull request or a job summary: a table for each subject, what is waived folded away. */
import { plural } from "../../amounts.ts";
import { type Finding, isNew, type Report } from "../finding.ts";
import { countCovered, countFound, failureLines, formatPlaceOf, shownPlace, summarise } from "./shared.ts";

/** Nothing that is seen: code hosts look for mentions, issues and links in the text that is left after all escapes. */
const NOTHING = "&#8203;";

/** Text in a table cell: no markup, no HTML, no new row, no link, no mention of anybody. */
export function escapeMarkdown(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll(/[\r\n]+/g, " ")
    .replaceAll(/[\\`*_[\]|~#]/g, "\\$&")
    .replaceAll("@", `&#64;${NOTHING}`)
    .replaceAll("\\#", `\\#${NOTHING}`)
    .replaceAll("://", `:${NOTHING}//`)
    .replaceAll(/\bwww\./gi, `$&${NOTHING}`);
}

const code = (text: string): string => {
  const flat = text.replaceAll(/[\r\n]+/g, " ").replaceAll("|", "\\|");
  // Longer than any run of them inside.
  const fence = "`".repeat(Math.max(0, ...(flat.match(/`+/g) ?? []).map((run) => run.length)) + 1);
  return fence === "`" ? `\`${flat}\`` : `${fence} ${flat} ${fence}`;
};

/** Bytes of rows. GitHub takes no summary of a step beyond 1 MiB, and shows nothing of it then. */
const MOST_BYTES = 900_000;

export function toMarkdown(report: Report): string {
  const lines = [`### ${escapeMarkdown(report.policy.name)}: ${summarise(report)}`, ""];
  const encoder = new TextEncoder();
  let left = MOST_BYTES;
  /** As many rows as there is room for, and how many there are beyond. */
  const rows = (findings: readonly Finding[], write: (finding: Finding) => string): readonly string[] => {
    const shown: string[] = [];
    for (const finding of findings) {
      const text = write(finding);
      left -= encoder.encode(text).length;
      if (left < 0) break;
      shown.push(text);
    }
    const more = findings.length - shown.length;
    return more === 0
      ? shown
      : [...shown, "", `${plural(more, "further row")} left out: see another format of the report.`];
  };
  const subjects = [...new Set([...report.subjects, ...report.findings].map(({ subject }) => subject))];
  for (const subject of subjects) {
    const findings = report.findings.filter((finding) => finding.subject === subject);
    const notes = report.subjects.find((candidate) => candidate.subject === subject)?.notes ?? [];
    const counted = findings.filter(isNew);
    const covered = findings.filter((finding) => !isNew(finding));
    lines.push(`**${escapeMarkdown(subject)}**: ${counted.length === 0 ? "clean" : countFound(counted)}`, "");
    for (const note of notes) lines.push(escapeMarkdown(note), "");
    if (counted.length > 0) {
      lines.push("| | rule | finding | where | what to do |", "|---|---|---|---|---|");
      lines.push(rows(counted, row(report)).join("\n"), "");
    }
    if (covered.length > 0) {
      lines.push(`<details><summary>${countCovered(findings)}</summary>`, "");
      lines.push("| rule | finding | why it does not count |", "|---|---|---|");
      const write = ({ rule, message, because }: Finding): string =>
        `| ${code(rule.id)} | ${escapeMarkdown(message)} | ${escapeMarkdown(because)} |`;
      lines.push(rows(covered, write).join("\n"), "", "</details>", "");
    }
  }
  for (const failure of report.failures) {
    lines.push(`**${escapeMarkdown(failure.subject)}**: could not be analysed`, "");
    for (const line of failureLines(failure)) lines.push(`- ${escapeMarkdown(line)}`);
    lines.push("");
  }
  return lines.join("\n").trimEnd();
}

const row =
  (report: Report) =>
  (finding: Finding): string => {
    const { severity, rule, message } = finding;
    const where = code(formatPlaceOf(shownPlace(finding, report)));
    return `| ${severity} | ${code(rule.id)} | ${escapeMarkdown(message)} | ${where} | ${escapeMarkdown(rule.remediation)} |`;
  };
