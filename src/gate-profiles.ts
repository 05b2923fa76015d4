/**
 * Checking profiles against a policy: files → facts → report. Needs no host, no root and nothing native, and runs on any system that
 * runs Node. The one file that knows both the gate and the rules of profiles.
 */
import { policyFiles } from "./gate/files.ts";
import type { Failure } from "./gate/finding.ts";
import type { Subject } from "./gate/judge.ts";
import { relativeTo } from "./gate/paths.ts";
import { conclude, flag, type Gated, type RunRequest, readRulebook } from "./gate/run.ts";
import type { Checked } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { resolveProfile } from "./profile/resolve.ts";
import type { Override } from "./profile/spec.ts";
import { exposureOf } from "./profile-rules/exposure.ts";
import { fileOf, type ProfileFacts, profileFacts } from "./profile-rules/facts.ts";
import { PROFILE_RULES } from "./profile-rules/registry.ts";
import { TOOL } from "./version.ts";

export interface GateRequest extends RunRequest {
  /** Names of shipped profiles or paths. */
  readonly profiles: readonly string[];
  readonly overrides?: readonly Override[];
}

/** The report, or what is wrong with the policy, the waivers or the baseline. A profile that is wrong is a failure in the report. */
export function gateProfiles(request: GateRequest): Checked<Gated> {
  const { cwd, today } = request;
  const rulebook = readRulebook(request, PROFILE_RULES, policyFiles());
  if (!rulebook.ok) return rulebook;
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
  return {
    ok: true,
    value: conclude(request, {
      tool: TOOL,
      registry: PROFILE_RULES,
      subjects,
      failures,
      today,
      base: cwd,
      ...rulebook.value,
    }),
  };
}
