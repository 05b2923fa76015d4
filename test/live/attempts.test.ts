/**
 * A program that tries everything: each attempt gets through outside, and meets the exact refusal inside.
 * One process per world makes all attempts; each attempt is a child of its own.
 */
import { describe, expect, it } from "vitest";
import { ALL_ATTEMPTS, ATTEMPTS } from "./attempt-table.ts";
import {
  hostile,
  need,
  outside,
  resultsOf,
  sandbox,
  scratch,
  USERS,
  type World,
  worldExists,
} from "./harness.ts";

/** A family that is there, one that has no pairs, and one that is not there. */
const IF_BUILT: ReadonlySet<string> = new Set(["ok", "EOPNOTSUPP", "EAFNOSUPPORT"]);

describe("without a sandbox", () => {
  for (const world of ["root", "user", "userns"] as const satisfies readonly World[]) {
    it(`every attempt meant for the world "${world}" gets through`, async (context) => {
      need(context, worldExists(world), "the test process is not root");
      const attempts = ALL_ATTEMPTS.filter((attempt) => attempt.control === world);
      const ran = await outside(world, [hostile(context, "attempt"), ...attempts.map(({ name }) => name)]);
      const results = resultsOf(ran.stdout);
      const wrong = attempts.filter(({ name, outside: expected, strict }) => {
        const result = results.get(name);
        if (expected === "ok-if-built") return !IF_BUILT.has(result ?? "");
        return expected === "ok" ? result !== "ok" : result === undefined || result === strict;
      });
      expect(wrong.map(({ name }) => `${name} ${results.get(name)}`)).toEqual([]);
    });
  }
});

describe.each(USERS)("strict, run by %s", (user) => {
  it("answers every attempt with its exact refusal", async (context) => {
    const ran = await sandbox(user, [hostile(context, "attempt"), ...ALL_ATTEMPTS.map(({ name }) => name)]);
    const results = resultsOf(ran.stdout);
    expect({ code: ran.code, stderr: ran.stderr, count: results.size }).toEqual({
      code: 0,
      stderr: "",
      count: ALL_ATTEMPTS.length,
    });
    for (const [group, attempts] of Object.entries(ATTEMPTS))
      expect({ group, answers: attempts.map(({ name }) => `${name} ${results.get(name)}`) }).toEqual({
        group,
        answers: attempts.map(({ name, strict }) => `${name} ${strict}`),
      });
  });
});

describe.each(USERS)("strict with uid 0 inside allowed, run by %s", (user) => {
  it("answers every attempt with the same refusal: uid 0 holds nothing", async (context) => {
    const ran = await sandbox(user, [hostile(context, "attempt"), ...ALL_ATTEMPTS.map(({ name }) => name)], {
      flags: ["--uid", "0", "--gid", "0", "--set", "/identity/allowRoot=true"],
    });
    const results = resultsOf(ran.stdout);
    expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: "" });
    // The ids that it has already.
    const same = new Set(["setuid-0", "setgid-0", "setresuid-0"]);
    expect(ALL_ATTEMPTS.map(({ name }) => `${name} ${results.get(name)}`)).toEqual(
      ALL_ATTEMPTS.map(({ name, strict }) => `${name} ${same.has(name) ? "ok" : strict}`),
    );
  });
});

describe.each(USERS)("standard and build, run by %s", (user) => {
  it.for(["standard", "build"])("%s refuses whatever would reach the host", async (profile, context) => {
    // Not in the working directory, which is build's to write to.
    const env = { XDG_CACHE_HOME: scratch(user) };
    const ran = await sandbox(user, [hostile(context, "attempt"), ...ALL_ATTEMPTS.map(({ name }) => name)], {
      profile,
      env,
    });
    const results = resultsOf(ran.stdout);
    expect({ code: ran.code, stderr: ran.stderr, count: results.size }).toEqual({
      code: 0,
      stderr: "",
      count: ALL_ATTEMPTS.length,
    });
    const gotThrough = ALL_ATTEMPTS.filter(
      ({ name, strict }) => strict !== "ok" && results.get(name) === "ok" && !HARMLESS_FOR_TOOLS.has(name),
    );
    expect(gotThrough.map(({ name }) => name)).toEqual([]);
  });
});

/** Inside one's own sandbox only: a debugger, an interpreter or a virtual machine may need these. */
const HARMLESS_FOR_TOOLS: ReadonlySet<string> = new Set([
  "ptrace-parent",
  "vm-read-parent",
  "vm-write-parent",
  "pidfd-steal",
  "kcmp-parent",
  "personality-layout",
  "personality-layout-high",
  "modify-ldt",
  "keepcaps",
]);
