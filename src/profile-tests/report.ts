/** Results of profile tests as TAP 14 (testanything.org) and JUnit XML. Pure. */
import { escapeXml } from "../gate/formats/junit.ts";
import { formatPlaceOf } from "../gate/formats/shared.ts";
import { printable } from "../printable.ts";
import { formatProblem, type Problem } from "../problems.ts";
import type { CaseResult } from "./run.ts";

export interface FileResult {
  readonly file: string;
  readonly results: readonly CaseResult[];
  /** Why the tests could not be run; empty: they were. */
  readonly problems: readonly Problem[];
}

const why = ({ failure, decided }: CaseResult): string =>
  `${failure}${decided.length === 0 ? "" : ` (${decided.map(formatPlaceOf).join(", from ")})`}`;

/** A test that could not be run is a failure: it did not pass. */
export function toTap(files: readonly FileResult[]): string {
  const lines: string[] = [];
  let number = 0;
  // A description ends at a #, which begins a directive.
  const text = (words: string): string => printable(words).replaceAll("\\", "\\\\").replaceAll("#", "\\#");
  for (const { file, results, problems } of files) {
    for (const problem of problems) {
      number += 1;
      lines.push(
        `not ok ${number} - ${text(file)}: could not be run`,
        `  # ${printable(formatProblem(problem))}`,
      );
    }
    for (const result of results) {
      number += 1;
      const passed = result.failure === "";
      lines.push(`${passed ? "ok" : "not ok"} ${number} - ${text(file)}: ${text(result.test.name)}`);
      if (!passed)
        lines.push(`  # at ${formatPlaceOf(result.test.place)}`, `  # got: ${printable(why(result))}`);
    }
  }
  return ["TAP version 14", `1..${number}`, ...lines].join("\n");
}

export function toJunitTests(files: readonly FileResult[]): string {
  const suites = files.map(({ file, results, problems }) => {
    const failed = results.filter(({ failure }) => failure !== "").length;
    const cases = [
      ...problems.map(
        (problem) =>
          `    <testcase classname="${escapeXml(file)}" name="profile"><error message="${escapeXml(formatProblem(problem))}"/></testcase>`,
      ),
      ...results.map((result) => {
        const open = `    <testcase classname="${escapeXml(file)}" name="${escapeXml(result.test.name)}"`;
        return result.failure === ""
          ? `${open}/>`
          : `${open}><failure message="${escapeXml(why(result))}">${escapeXml(formatPlaceOf(result.test.place))}</failure></testcase>`;
      }),
    ];
    return [
      `  <testsuite name="${escapeXml(file)}" tests="${cases.length}" failures="${failed}" errors="${problems.length}">`,
      ...cases,
      "  </testsuite>",
    ].join("\n");
  });
  return ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", ...suites, "</testsuites>"].join("\n");
}
