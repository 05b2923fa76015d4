/**
 * JUnit XML as Jenkins, GitLab and others read it: a suite for each subject, a case for each rule, so that what passed is seen too.
 * Failures are findings that count and are errors or warnings; notes are in the output of the case.
 */
import { type Finding, isNew, type Report } from "../finding.ts";
import { failureLines, formatPlaceOf } from "./shared.ts";

/** XML 1.0 has no way to write most control characters (section 2.2): they become U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll(/[\n\r\t]/g, (space) => `&#${space.charCodeAt(0)};`);
}

const describe = ({ message, places, because, rule }: Finding): string =>
  `${places.map(formatPlaceOf).join(" < ")}: ${message}${because === "" ? `. ${rule.remediation}` : ` (${because})`}`;

const body = (lines: readonly string[]): string => lines.map((line) => escapeXml(line)).join("\n");

export function toJunit(report: Report): string {
  const suites = report.subjects.map(({ subject }) => suiteOf(subject, report));
  // Findings about waivers and baselines belong to their files.
  const named = new Set(report.subjects.map(({ subject }) => subject));
  const others = [...new Set(report.findings.map(({ subject }) => subject))].filter(
    (name) => !named.has(name),
  );
  const failures = report.failures.map((failure) => {
    const [first = ""] = failureLines(failure);
    return suite(failure.subject, [
      {
        kind: "error",
        xml: `    <testcase classname="${escapeXml(failure.subject)}" name="analysis">\n      <error message="${escapeXml(first)}">${body(failureLines(failure))}</error>\n    </testcase>`,
      },
    ]);
  });
  const all = [...suites, ...others.map((subject) => suiteOf(subject, report)), ...failures];
  const sum = (kind: keyof Counts): number => all.reduce((total, { counts }) => total + counts[kind], 0);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${escapeXml(report.policy.name)}" tests="${sum("tests")}" failures="${sum("failures")}" errors="${sum("errors")}" skipped="${sum("skipped")}">`,
    ...all.map(({ xml }) => xml),
    "</testsuites>",
  ].join("\n");
}

interface Counts {
  readonly tests: number;
  readonly failures: number;
  readonly errors: number;
  readonly skipped: number;
}

interface Case {
  readonly kind: "passed" | "failure" | "error" | "skipped";
  readonly xml: string;
}

function suite(name: string, cases: readonly Case[]): { readonly xml: string; readonly counts: Counts } {
  const count = (kind: Case["kind"]): number => cases.filter((one) => one.kind === kind).length;
  const counts = {
    tests: cases.length,
    failures: count("failure"),
    errors: count("error"),
    skipped: count("skipped"),
  };
  const head = `  <testsuite name="${escapeXml(name)}" tests="${counts.tests}" failures="${counts.failures}" errors="${counts.errors}" skipped="${counts.skipped}">`;
  return { xml: [head, ...cases.map(({ xml }) => xml), "  </testsuite>"].join("\n"), counts };
}

function suiteOf(subject: string, report: Report): ReturnType<typeof suite> {
  const checked = report.subjects.some((candidate) => candidate.subject === subject);
  const findings = report.findings.filter((finding) => finding.subject === subject);
  const rules = report.rules.filter(
    ({ rule }) => findings.some((finding) => finding.rule.id === rule.id) || checked,
  );
  return suite(
    subject,
    rules.map(({ rule }) =>
      toCase(
        subject,
        rule.id,
        findings.filter((finding) => finding.rule.id === rule.id),
      ),
    ),
  );
}

function toCase(subject: string, rule: string, findings: readonly Finding[]): Case {
  const open = `    <testcase classname="${escapeXml(subject)}" name="${escapeXml(rule)}"`;
  const counted = findings.filter((finding) => isNew(finding) && finding.severity !== "note");
  const [first] = counted;
  if (first !== undefined) {
    const inner = `      <failure type="${first.severity}" message="${escapeXml(first.message)}">${body(counted.map(describe))}</failure>`;
    return { kind: "failure", xml: `${open}>\n${inner}\n    </testcase>` };
  }
  const [covered] = findings.filter((finding) => !isNew(finding));
  if (covered !== undefined)
    return {
      kind: "skipped",
      xml: `${open}>\n      <skipped message="${escapeXml(covered.because)}"/>\n    </testcase>`,
    };
  if (findings.length > 0)
    return {
      kind: "passed",
      xml: `${open}>\n      <system-out>${body(findings.map(describe))}</system-out>\n    </testcase>`,
    };
  return { kind: "passed", xml: `${open}/>` };
}
