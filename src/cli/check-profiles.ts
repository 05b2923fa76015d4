/**
 * What sandbox check profile and sandbox check rules do: flags to a request, reports to stdout and files, an exit status.
 */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { policyFiles } from "../gate/files.ts";
import { exitStatusOf } from "../gate/finding.ts";
import { formatReport } from "../gate/formats/index.ts";
import { summarise } from "../gate/formats/shared.ts";
import type { Registry } from "../gate/rule.ts";
import { rulePage, tabulateRules } from "../gate/rule-page.ts";
import type { Gated, RunRequest } from "../gate/run.ts";
import { isDay } from "../gate/waivers.ts";
import { type GateRequest, gateProfiles } from "../gate-profiles.ts";
import { IMAGE_RULES } from "../image-rules/registry.ts";
import { type Checked, type Problem, ProfileError, unwrap } from "../problems.ts";
import { nearest } from "../profile/nearest.ts";
import { PROFILE_RULES } from "../profile-rules/registry.ts";
import type { CheckFlags, ReportOptions, WantedReport } from "./check.ts";
import { colorFor, palette } from "./color.ts";
import { complain, print } from "./output.ts";
import { flagProblem, outputFile, refuse } from "./sandbox-options.ts";
import { writeWhole } from "./write-file.ts";

/** Of reports and baselines: they hold nothing secret. */
const FILE_MODE = 0o644;

/** Checks profiles and reports; gives the exit status. */
export async function checkProfiles(
  profiles: readonly string[],
  circumstances: NonNullable<GateRequest["circumstances"]>,
  flags: CheckFlags,
  reports: ReportOptions,
): Promise<number> {
  return await runGate(flags, reports, (request) => gateProfiles({ ...request, profiles, circumstances }));
}

/** Checks whatever `gate` checks, and writes the reports. */
export async function runGate(
  flags: CheckFlags,
  { wanted, problems }: ReportOptions,
  gate: (request: RunRequest) => Checked<Gated> | Promise<Checked<Gated>>,
): Promise<number> {
  const today = flags.today ?? new Date().toISOString().slice(0, 10);
  if (!isDay(today))
    problems.push(flagProblem("--today", `${JSON.stringify(today)} is not a day`, "YYYY-MM-DD"));
  if (flags.updateBaseline === true && flags.baseline === undefined)
    problems.push(flagProblem("--update-baseline", "there is no baseline to update", "--baseline FILE"));
  const onScreen = wanted.filter(({ output }) => output === null);
  if (onScreen.length > 1) {
    const names = onScreen.map(({ format }) => format).join(" and ");
    problems.push(
      flagProblem("--format", `${names} cannot both go to stdout`, "--output FILE after all but one"),
    );
  }
  for (const { output } of wanted) if (output !== null) checkTarget("--output", output, problems);
  if (flags.updateBaseline === true && flags.baseline !== undefined)
    checkTarget("--baseline", flags.baseline, problems);
  refuse(problems);
  const { report, baseline } = unwrap(
    await gate({
      policy: flags.policy,
      waivers: flags.waivers ?? [],
      baseline: flags.baseline ?? null,
      updateBaseline: flags.updateBaseline === true,
      cwd: process.cwd(),
      today,
    }),
  );
  if (baseline !== null && flags.baseline !== undefined)
    await writeWhole(outputFile("--baseline", flags.baseline, problems), baseline, FILE_MODE, "refuse");
  const asked: readonly WantedReport[] = wanted.length === 0 ? [{ format: "pretty", output: null }] : wanted;
  for (const { format, output } of asked) {
    const text = formatReport(report, format, palette(output === null && colorFor(1)));
    if (output === null) print(text);
    else await writeWhole(output, text, FILE_MODE, "write");
  }
  if (asked.every(({ output }) => output !== null))
    complain(`policy ${report.policy.name}: ${summarise(report)}`);
  return exitStatusOf(report, flags.failOn);
}

/** Before minutes are spent on what could not be written. What changes meanwhile is still refused when it is written. */
function checkTarget(name: string, file: string, problems: Problem[]): void {
  const shown = JSON.stringify(file);
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
    problems.push(flagProblem(name, `${shown} is a directory`, "a file name"));
  else if (statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory() !== true)
    problems.push(flagProblem(name, `the directory of ${shown} does not exist`, "a directory that is there"));
}

/** The list of rules, or the page of one. */
export function describeRules(id: string | undefined): string {
  if (id === undefined)
    return [...tableOf(PROFILE_RULES), "", "for images:", "", ...tableOf(IMAGE_RULES)].join("\n");
  const page = pageOf(PROFILE_RULES, id) ?? pageOf(IMAGE_RULES, id);
  if (page !== null) return page;
  const suggestion = nearest(
    id,
    [...PROFILE_RULES.rules, ...IMAGE_RULES.rules].map((candidate) => candidate.id),
  );
  const problem = flagProblem("sandbox check rules", `there is no rule ${JSON.stringify(id)}`);
  throw new ProfileError([
    suggestion === undefined
      ? { ...problem, hint: "sandbox check rules lists them" }
      : { ...problem, suggestion: JSON.stringify(suggestion) },
  ]);
}

function pageOf<F>(registry: Registry<F>, id: string): string | null {
  const rule = registry.rules.find((candidate) => candidate.id === id);
  return rule === undefined ? null : rulePage(rule, registry, policyFiles());
}

function tableOf<F>(registry: Registry<F>): readonly string[] {
  const { policies, rows } = tabulateRules(registry, policyFiles());
  const width = Math.max(...rows.map((row) => row.id.length));
  return rows.flatMap(({ id: name, title, severities }) => {
    const asked = policies.flatMap((policy, index) =>
      severities[index] === "off" ? [] : [`${policy} ${severities[index]}`],
    );
    return [
      `${name.padEnd(width)}  ${title}`,
      ...(asked.length === 0 ? [] : [`${" ".repeat(width)}    ${asked.join(", ")}`]),
    ];
  });
}
