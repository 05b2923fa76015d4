/**
 * SARIF 2.1.0 as GitHub's code scanning takes it: one run, rules with help, relative percent-encoded paths, a stable fingerprint for each
 * result, at most 5000 results (what GitHub shows of a run, worst first) and 10 tags a rule. Waived and known findings are there with a
 * suppression.
 */
import { type ActiveRule, type Finding, type Report, rank } from "../finding.ts";
import type { Level, Place } from "../rule.ts";
import { failureLines, formatPlaceOf, problemPlace, shownPlace } from "./shared.ts";

const SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/** GitHub: results shown of one run. */
const MAX_RESULTS = 5000;

/** GitHub's scale, by which alerts are called high (7.0 and more), medium (4.0) or low. */
const SECURITY_SEVERITY: Readonly<Record<Level, string>> = { error: "8.0", warning: "5.0", note: "2.0" };

/** A path as a relative URI; absolute ones keep their scheme. */
export function toUri(file: string): string {
  const encoded = file.split("/").map(encodeURIComponent).join("/");
  return file.startsWith("/") ? `file://${encoded}` : encoded;
}

const physical = ({ file, line, column }: Place) => ({
  physicalLocation: {
    artifactLocation: { uri: toUri(file) },
    // A result without a line is shown by no code host: the first one stands for the file.
    region: { startLine: Math.max(line, 1), ...(column > 0 ? { startColumn: column } : {}) },
  },
});

function toRule({ rule, severity }: ActiveRule): unknown {
  const { id, title, rationale, remediation, references } = rule;
  const links = references.map((reference) => `- [${reference.title}](${reference.url})`);
  return {
    id,
    name: id.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase()),
    shortDescription: { text: title },
    fullDescription: { text: rationale },
    help: {
      text: `${rationale}\n\n${remediation}`,
      markdown: [
        rationale,
        "",
        `**What to do.** ${remediation}`,
        ...(links.length > 0 ? ["", ...links] : []),
      ].join("\n"),
    },
    ...(references[0] === undefined ? {} : { helpUri: references[0].url }),
    defaultConfiguration: { level: severity },
    properties: {
      tags: ["security"],
      precision: "very-high",
      "security-severity": SECURITY_SEVERITY[severity],
    },
  };
}

function toResult(finding: Finding, report: Report): unknown {
  const { rule, severity, message, state, because, fingerprint, subject, object, origin } = finding;
  const shown = shownPlace(finding, report);
  const others = finding.places.filter((place) => place !== shown);
  return {
    ruleId: rule.id,
    ruleIndex: report.rules.findIndex((active) => active.rule.id === rule.id),
    level: severity,
    message: { text: `${subject}: ${message}. ${rule.remediation}` },
    locations: [{ ...physical(shown), logicalLocations: [{ fullyQualifiedName: `${subject} ${object}` }] }],
    ...(others.length === 0
      ? {}
      : {
          relatedLocations: others.map((place, index) => ({
            id: index + 1,
            message: { text: formatPlaceOf(place) },
            ...physical(place),
          })),
        }),
    partialFingerprints: { "sandboxFinding/v1": fingerprint },
    ...(origin === undefined ? {} : { properties: { origin } }),
    ...(state === "known" ? { baselineState: "unchanged" } : {}),
    // Absent and empty differ: an empty list says that suppressions were looked for (SARIF 2.1.0, 3.27.23).
    suppressions: state === "new" ? [] : [{ kind: "external", status: "accepted", justification: because }],
  };
}

export function toSarif(report: Report): string {
  const worstFirst = report.findings.toSorted(
    (a, b) => Number(a.state !== "new") - Number(b.state !== "new") || rank(a.severity) - rank(b.severity),
  );
  const left = worstFirst.length - MAX_RESULTS;
  const notifications = [
    ...report.failures.flatMap((failure) =>
      failure.problems.map((problem, index) => ({
        level: "error",
        message: { text: `${failure.subject} could not be analysed: ${failureLines(failure)[index] ?? ""}` },
        locations: [physical(problemPlace(problem, failure.file))],
      })),
    ),
    ...(left > 0
      ? [
          {
            level: "warning",
            message: { text: `${left} further findings are left out: ${MAX_RESULTS} are shown` },
          },
        ]
      : []),
  ];
  return JSON.stringify(
    {
      $schema: SCHEMA,
      version: "2.1.0",
      runs: [
        {
          tool: {
            driver: {
              name: report.tool.name,
              version: report.tool.version,
              semanticVersion: report.tool.version,
              rules: report.rules.map(toRule),
            },
          },
          automationDetails: { id: `sandbox/${report.policy.name}/` },
          columnKind: "utf16CodeUnits",
          invocations: [
            {
              executionSuccessful: report.failures.length === 0,
              ...(notifications.length === 0 ? {} : { toolExecutionNotifications: notifications }),
            },
          ],
          results: worstFirst.slice(0, MAX_RESULTS).map((finding) => toResult(finding, report)),
        },
      ],
    },
    null,
    2,
  );
}
