/**
 * Checking profiles against a policy: files → facts → report. Needs no host, no root and nothing native, and runs on any system that
 * runs Node. The one file that knows both the gate and the rules of profiles.
 */
import { nextBaseline, readBaseline } from "./gate/baseline.ts";
import { type ExceptionFiles, readExceptions } from "./gate/exceptions.ts";
import { policyFiles } from "./gate/files.ts";
import type { Failure, Report } from "./gate/finding.ts";
import { type Judgement, judge, type Subject } from "./gate/judge.ts";
import { relativeTo } from "./gate/paths.ts";
import { loadPolicy } from "./gate/policy.ts";
import type { Checked, Provenance } from "./problems.ts";
import { unwrap } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { resolveProfile } from "./profile/resolve.ts";
import type { Override } from "./profile/spec.ts";
import { exposureOf } from "./profile-rules/exposure.ts";
import { fileOf, type ProfileFacts, profileFacts } from "./profile-rules/facts.ts";
import { PROFILE_RULES } from "./profile-rules/registry.ts";
import { TOOL } from "./version.ts";

export interface GateRequest extends Omit<ExceptionFiles, "baselineMayBeMissing"> {
  /** Names of shipped profiles or paths. */
  readonly profiles: readonly string[];
  readonly overrides?: readonly Override[];
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

const flag = (name: string): Provenance => ({ kind: "flag", flag: name });

/** The report, or what is wrong with the policy, the waivers or the baseline. A profile that is wrong is a failure in the report. */
export function gateProfiles(request: GateRequest): Checked<Gated> {
  const { cwd, today, updateBaseline } = request;
  const files = policyFiles();
  const policy = loadPolicy({ policy: request.policy, cwd, source: flag("--policy") }, PROFILE_RULES, files);
  const beside = readExceptions(
    { ...request, baselineMayBeMissing: updateBaseline },
    PROFILE_RULES,
    cwd,
    files,
  );
  if (!policy.ok || !beside.ok) {
    const problems = [policy, beside].flatMap((checked) => (checked.ok ? [] : checked.problems));
    return { ok: false, problems };
  }
  const subjects: Subject<ProfileFacts>[] = [];
  const failures: Failure[] = [];
  for (const name of new Set(request.profiles)) {
    const subject = relativeTo(cwd, name);
    const resolved = resolveProfile(
      { profile: name, overrides: request.overrides ?? [], cwd, source: flag(name) },
      profileFiles(),
    );
    const facts = resolved.ok ? profileFacts(resolved.value) : resolved;
    if (resolved.ok && facts.ok) {
      const { score, band } = exposureOf(facts.value);
      const notes = [`exposure ${score.toFixed(1)} of 10 (${band})`];
      subjects.push({ subject, file: fileOf(resolved.value), notes, facts: facts.value });
    }
    if (!facts.ok) failures.push({ subject, file: name, problems: facts.problems });
  }
  const judgement: Judgement<ProfileFacts> = {
    tool: TOOL,
    registry: PROFILE_RULES,
    policy: policy.value,
    subjects,
    failures,
    today,
    base: cwd,
    ...beside.value,
  };
  const report = judge(judgement);
  if (request.baseline === null || !updateBaseline) return { ok: true, value: { report, baseline: null } };
  const checked = [...subjects, ...failures].map(({ subject }) => subject);
  const text = nextBaseline(beside.value.baseline, report.findings, checked);
  const baseline = unwrap(readBaseline(new TextEncoder().encode(text), request.baseline));
  return { ok: true, value: { report: judge({ ...judgement, baseline }), baseline: text } };
}
