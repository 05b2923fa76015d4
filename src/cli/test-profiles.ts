/** What sandbox profile test does: files of tests to profiles, facts and results. */
import { NEWEST_KERNEL } from "../compile/seccomp/target.ts";
import { directoryOf, joinPath } from "../gate/paths.ts";
import { policyFacts } from "../policy-facts.ts";
import { type Problem, ProfileError } from "../problems.ts";
import { profileFiles } from "../profile/files.ts";
import type { ProfileFacts } from "../profile-rules/facts.ts";
import { readTests } from "../profile-tests/cases.ts";
import { type FileResult, toJunitTests, toTap } from "../profile-tests/report.ts";
import { runCase } from "../profile-tests/run.ts";

export function testProfiles(
  names: readonly string[],
  format: "tap" | "junit",
): { readonly text: string; readonly status: 0 | 1 | 3 } {
  const cwd = process.cwd();
  const files = profileFiles();
  const wrong: Problem[] = [];
  const known = new Map<string, ProfileFacts>();
  const results = names.flatMap((name): readonly FileResult[] => {
    const bytes = files.read(joinPath(cwd, name));
    const where = { kind: "flag", flag: name } as const;
    if (!(bytes instanceof Uint8Array)) {
      const message = bytes === null ? "there is no such file" : bytes.reason;
      wrong.push({ kind: "profile-test-invalid", where, pointer: "", message });
      return [];
    }
    const tests = readTests(bytes, name);
    if (!tests.ok) {
      wrong.push(...tests.problems);
      return [];
    }
    const { profile, cases } = tests.value;
    // A path in a file is relative to it; a name is a shipped profile's.
    const path = profile.includes("/") || profile.endsWith(".json");
    const wanted = path ? joinPath(joinPath(cwd, directoryOf(name)), profile) : profile;
    let facts = known.get(wanted);
    if (facts === undefined) {
      const question = { name: wanted, cwd, overrides: [], machines: null, capabilities: null };
      const made = policyFacts({ ...question, kernel: NEWEST_KERNEL }, files);
      if (!made.ok) return [{ file: name, results: [], problems: made.problems }];
      facts = made.value.facts;
      known.set(wanted, facts);
    }
    const judged = facts;
    return [{ file: name, results: cases.map((test) => runCase(judged, test)), problems: [] }];
  });
  if (wrong.length > 0) throw new ProfileError(wrong);
  const failed = results.some((file) => file.results.some(({ failure }) => failure !== ""));
  const broken = results.some(({ problems }) => problems.length > 0);
  return {
    text: format === "tap" ? toTap(results) : toJunitTests(results),
    status: broken ? 3 : failed ? 1 : 0,
  };
}
