/** What can be said of a profile without a host: `sandbox profile validate`. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkProfile } from "../src/check-profile.ts";
import { formatProblem } from "../src/problems.ts";

function check(text: string): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-test-check-"));
  try {
    writeFileSync(join(directory, "p.json"), text);
    const checked = checkProfile({ profile: "./p.json", overrides: [], cwd: directory });
    return checked.ok
      ? []
      : checked.problems.map((problem) => formatProblem(problem).replaceAll(`${directory}/`, ""));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const withNames = (names: string): string =>
  `{ "extends": "strict",\n  "seccomp": { "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [\n    { "names": [${names}], "action": "SCMP_ACT_ALLOW" }] } }`;

test("shipped profiles have nothing to complain about", () => {
  for (const profile of ["base", "strict", "standard", "build", "judge"]) {
    expect(checkProfile({ profile, overrides: [], cwd: "/" }).ok).toBe(true);
  }
});

test("every system call and group that does not exist is named, with its place and the nearest one", () => {
  expect(check(withNames('"@file-sistem", "opeat", "read"'))).toEqual([
    expect.stringMatching(
      /p\.json:3:17 \/seccomp\/syscalls\/0\/names\/0: @file-sistem .*did you mean @file-system\?/,
    ),
    expect.stringMatching(/p\.json:3:33 \/seccomp\/syscalls\/0\/names\/1: opeat .*did you mean openat\?/),
  ]);
});

test("a system call of one architecture only is fine", () => {
  expect(check(withNames('"open", "read", "arch_prctl"'))).toEqual([]);
});
