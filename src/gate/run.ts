/**
 * What every check has in common, whatever it checks: the policy, waivers and baseline that it is told of, before; the report and the next
 * baseline, after. Knows no subject.
 */
import type { Checked, Provenance } from "../problems.ts";
import { unwrap } from "../problems.ts";
import { nextBaseline, readBaseline } from "./baseline.ts";
import { type ExceptionFiles, readExceptions } from "./exceptions.ts";
import type { Report } from "./finding.ts";
import { type Judgement, judge } from "./judge.ts";
import { loadPolicy, type PolicyFiles } from "./policy.ts";
import type { Registry } from "./rule.ts";

export interface RunRequest extends Omit<ExceptionFiles, "baselineMayBeMissing"> {
  /** A shipped policy's name or a path. */
  readonly policy: string;
  /** Absolute; paths and places are relative to it. */
  readonly cwd: string;
  /** Waivers are judged as of this day, YYYY-MM-DD. */
  readonly today: string;
  readonly updateBaseline: boolean;
}

export interface Gated {
  readonly report: Report;
  /** The text of the next baseline; null when none was asked for. */
  readonly baseline: string | null;
}

export type Rulebook = Pick<Judgement<unknown>, "policy" | "waivers" | "baseline">;

export const flag = (name: string): Provenance => ({ kind: "flag", flag: name });

/** What is asked, or what is wrong with the policy, the waivers or the baseline: all of it together. */
export function readRulebook<F>(
  request: RunRequest,
  registry: Registry<F>,
  files: PolicyFiles,
): Checked<Rulebook> {
  const { cwd, updateBaseline } = request;
  const policy = loadPolicy({ policy: request.policy, cwd, source: flag("--policy") }, registry, files);
  const beside = readExceptions({ ...request, baselineMayBeMissing: updateBaseline }, registry, cwd, files);
  if (policy.ok && beside.ok) return { ok: true, value: { policy: policy.value, ...beside.value } };
  return { ok: false, problems: [policy, beside].flatMap((checked) => (checked.ok ? [] : checked.problems)) };
}

/** The report; with the baseline renewed, if that was asked for, and judged by it. */
export function conclude<F>(request: RunRequest, judgement: Judgement<F>): Gated {
  const report = judge(judgement);
  if (request.baseline === null || !request.updateBaseline) return { report, baseline: null };
  const checked = [...judgement.subjects, ...judgement.failures].map(({ subject }) => subject);
  const text = nextBaseline(judgement.baseline, report.findings, checked);
  const baseline = unwrap(readBaseline(new TextEncoder().encode(text), request.baseline));
  return { report: judge({ ...judgement, baseline }), baseline: text };
}
