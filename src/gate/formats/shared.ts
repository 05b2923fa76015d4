/** What several formats say in the same way. */
import { plural } from "../../amounts.ts";
import { formatProblem, type Problem } from "../../problems.ts";
import { countInherited, countNew, type Failure, type Finding, isNew, type Report } from "../finding.ts";
import { isInside } from "../paths.ts";
import type { Place } from "../rule.ts";

/** The page of a rule, on the web and in the documents. */
export const RULE_PAGES = "docs/rules";

/**
 * The place that a code host can show: the first that lies below the directory of the check (an inherited line of a shipped profile does
 * not), else the checked file, else the first.
 */
export function shownPlace(finding: Finding, report: Report): Place {
  const inside = finding.places.find(({ file }) => isInside(file));
  if (inside !== undefined) return inside;
  const file = report.subjects.find(({ subject }) => subject === finding.subject)?.file;
  if (file !== undefined && isInside(file)) return { file, line: 1, column: 1 };
  return finding.places[0] ?? { file: file ?? finding.subject, line: 0, column: 0 };
}

/** `file:line:column`, as far as it is known. */
export function formatPlaceOf({ file, line, column }: Place): string {
  return line === 0 ? file : column === 0 ? `${file}:${line}` : `${file}:${line}:${column}`;
}

/** "2 errors, 1 warning" of what counts, or "clean". */
export function summarise(report: Report): string {
  const count = countNew(report);
  const parts = [
    ...(["error", "warning", "note"] as const).map((level) => amount(count[level], level)),
    amount(report.failures.length, "subject", " that could not be analysed"),
  ].filter((part) => part !== "");
  return parts.length === 0 ? "clean" : parts.join(", ");
}

/** "7 found", and whose they are when that is known. */
export function countFound(findings: readonly Finding[]): string {
  const inherited = countInherited(findings);
  const whose = findings.some(({ origin }) => origin !== undefined)
    ? ` (${inherited} of the base image)`
    : "";
  return `${findings.length} found${whose}`;
}

/** "2 waived or known", "3 inherited": what does not count. */
export function countCovered(findings: readonly Finding[]): string {
  const inherited = findings.filter(({ state }) => state === "inherited").length;
  const others = findings.filter((finding) => !isNew(finding)).length - inherited;
  return [
    ...(others === 0 ? [] : [`${others} waived or known`]),
    ...(inherited === 0 ? [] : [`${inherited} inherited from the base image`]),
  ].join(", ");
}

function amount(count: number, word: string, rest = ""): string {
  return count === 0 ? "" : `${plural(count, word)}${rest}`;
}

/** Each problem of a failure, as one line. */
export const failureLines = ({ problems }: Failure): readonly string[] => problems.map(formatProblem);

/** Where a problem is, for formats that want a file and a line. */
export function problemPlace({ where }: Problem, file: string): Place {
  return where.kind === "profile"
    ? { file: where.file, line: where.line, column: where.column }
    : { file, line: 0, column: 0 };
}
