/** Facts of a profile for tests: a shipped one with changes, or a file in memory. */

import { defaultsOf } from "../../src/gate/options.ts";
import { type Setting } from "../../src/gate/policy.ts";
import type { Violation } from "../../src/gate/rule.ts";
import { formatProblem } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import type { Override, ResolvedProfile } from "../../src/profile/spec.ts";
import { type ProfileFacts, profileFacts } from "../../src/profile-rules/facts.ts";
import { PROFILE_RULES } from "../../src/profile-rules/registry.ts";

export type Change = readonly [pointer: string, value: unknown];

export function resolved(profile: string, changes: readonly Change[] = []): ResolvedProfile {
  const overrides: readonly Override[] = changes.map(([pointer, value]) => ({
    pointer,
    value,
    source: { kind: "option", option: pointer },
  }));
  const result = resolveProfile({ profile, overrides, cwd: "/" }, profileFiles());
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.value;
}

export function factsOf(profile: string, changes: readonly Change[] = []): ProfileFacts {
  const facts = profileFacts(resolved(profile, changes));
  if (!facts.ok) throw new Error(facts.problems.map(formatProblem).join("\n"));
  return facts.value;
}

/** What one rule says, with its default options or those given. */
export function ask(facts: ProfileFacts, id: string, options: Setting["options"] = {}): readonly Violation[] {
  const rule = PROFILE_RULES.rules.find((candidate) => candidate.id === id);
  if (rule === undefined) throw new Error(`no rule ${id}`);
  return [...rule.check(facts, { ...defaultsOf(rule.options), ...options })];
}

/** Adds a rule to the filter. */
export const allow = (names: readonly string[], args?: readonly unknown[]): Change => [
  "/seccomp/syscalls/-",
  { names, action: "SCMP_ACT_ALLOW", ...(args === undefined ? {} : { args }) },
];

/** A filter of these rules alone over a default. */
export const filterOf = (defaultAction: string, ...syscalls: readonly unknown[]): Change => [
  "/seccomp",
  { defaultAction, syscalls },
];
