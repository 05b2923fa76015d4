/**
 * Checking profiles, and what other tools call so, against a policy: files → facts → report. Needs no host, no root and nothing native, and runs on any system that
 * runs Node. The one file that knows both the gate and the rules of profiles.
 */
import { NEWEST_KERNEL } from "./compile/seccomp/target.ts";
import { policyFiles } from "./gate/files.ts";
import type { Failure } from "./gate/finding.ts";
import type { Subject } from "./gate/judge.ts";
import { relativeTo } from "./gate/paths.ts";
import { conclude, type Gated, type RunRequest, readRulebook } from "./gate/run.ts";
import { type FactsRequest, policyFacts } from "./policy-facts.ts";
import { formatNote } from "./policy-input/fields.ts";
import type { Checked } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import type { Override } from "./profile/spec.ts";
import { exposureOf, formatExposure } from "./profile-rules/exposure.ts";
import type { ProfileFacts } from "./profile-rules/facts.ts";
import { PROFILE_RULES } from "./profile-rules/registry.ts";
import { TOOL } from "./version.ts";

export interface GateRequest extends RunRequest {
  /** Names of shipped profiles or paths. */
  readonly profiles: readonly string[];
  readonly overrides?: readonly Override[];
  /** For what conditions in the files are decided; by default what they say themselves, every kernel and both kinds of machine. */
  readonly circumstances?: Partial<Pick<FactsRequest, "machines" | "capabilities" | "kernel">>;
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
    const read = policyFacts(
      {
        machines: null,
        capabilities: null,
        kernel: NEWEST_KERNEL,
        ...request.circumstances,
        name,
        cwd,
        overrides: request.overrides ?? [],
      },
      profileFiles(),
    );
    if (read.ok) {
      const { facts, file } = read.value;
      const notes = [
        `exposure ${formatExposure(exposureOf(facts))}`,
        ...read.value.notes.map((note) => `note: ${formatNote(note, name)}`),
      ];
      subjects.push({ subject, file, notes, facts });
    } else failures.push({ subject, file: name, problems: read.problems });
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
