/**
 * Workflow commands of GitHub Actions, printed to the log of a step. GitHub shows ten annotations of each level a step and drops the rest
 * without a word: the tenth of a level says here how many more there are, and those are plain lines of the log.
 */
import { type Finding, isNew, type Report } from "../finding.ts";
import type { Level } from "../rule.ts";
import { failureLines, formatPlaceOf, problemPlace, shownPlace, summarise } from "./shared.ts";

/** Annotations of one level that a step may have. */
export const MAX_ANNOTATIONS = 10;

const COMMAND: Readonly<Record<Level, string>> = { error: "error", warning: "warning", note: "notice" };

const data = (text: string): string =>
  text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
const property = (text: string): string => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

interface Annotation {
  readonly level: Level;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly title: string;
  readonly text: string;
}

const toCommand = ({ level, file, line, column, title, text }: Annotation): string => {
  const where = [
    `file=${property(file)}`,
    ...(line > 0 ? [`line=${line}`] : []),
    ...(column > 0 ? [`col=${column}`] : []),
  ];
  return `::${COMMAND[level]} ${[...where, `title=${property(title)}`].join(",")}::${data(text)}`;
};

/** A line that no runner takes for a command: those begin with "::". */
const toLine = ({ level, text, title, ...place }: Annotation): string =>
  `${level}: ${formatPlaceOf(place)}: ${text} (${title})`.replaceAll(/[\r\n]/g, " ");

export function toGithub(report: Report): string {
  const annotations: readonly Annotation[] = [
    ...report.failures.flatMap((failure) =>
      failure.problems.map((problem, index) => ({
        level: "error" as const,
        ...problemPlace(problem, failure.file),
        title: `${failure.subject} could not be analysed`,
        text: failureLines(failure)[index] ?? "",
      })),
    ),
    ...report.findings.filter(isNew).map((finding) => annotate(finding, report)),
  ];
  const lines = (["error", "warning", "note"] as const).flatMap((level) => {
    const ofLevel = annotations.filter((annotation) => annotation.level === level);
    if (ofLevel.length <= MAX_ANNOTATIONS) return ofLevel.map(toCommand);
    const shown = ofLevel.slice(0, MAX_ANNOTATIONS - 1);
    const rest = ofLevel.slice(MAX_ANNOTATIONS - 1);
    return [
      ...shown.map(toCommand),
      `::${COMMAND[level]} title=${property(report.tool.name)}::${data(`${rest.length} more of this level: they are in the log of this step`)}`,
      ...rest.map(toLine),
    ];
  });
  return [...lines, `policy ${report.policy.name}: ${summarise(report)}`].join("\n");
}

function annotate(finding: Finding, report: Report): Annotation {
  const { severity, message, subject, rule } = finding;
  return {
    level: severity,
    ...shownPlace(finding, report),
    title: `${rule.title} (${rule.id})`,
    text: `${subject}: ${message}. ${rule.remediation}`,
  };
}
