/**
 * Every attempt of the hostile program meets on this kernel the refusal that it meets on the first one (test/live/attempts, which also
 * shows that each gets through without a sandbox): another Linux, another cgroup layout, and for root AppArmor above it.
 */
import { expect, it } from "vitest";
import { ALL_ATTEMPTS } from "../../../live/attempt-table.ts";
import { hostile, resultsOf, sandbox, USERS } from "../../../live/harness.ts";

/** Refused where the first kernel lets it through: a profile of AppArmor allows no signal to pid 1, which ignores it anyway. */
const REFUSED_AS_WELL: Readonly<Record<string, string>> = { "kill-init": "EACCES" };

it.for(USERS)("strict answers every attempt with its exact refusal, run by %s", async (user, context) => {
  const ran = await sandbox(user, [hostile(context, "attempt"), ...ALL_ATTEMPTS.map(({ name }) => name)]);
  const results = resultsOf(ran.stdout);
  expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: "" });
  const wrong = ALL_ATTEMPTS.filter(({ name, strict }) => {
    const result = results.get(name);
    return result !== strict && !(user === "root" && result === REFUSED_AS_WELL[name]);
  });
  expect(wrong.map(({ name, strict }) => `${name} ${results.get(name)}, not ${strict}`)).toEqual([]);
});
