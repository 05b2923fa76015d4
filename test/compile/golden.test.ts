/** Whole plans of shipped profiles for recorded machines, as people read them: a change of any of them is seen in review. */
import { describe, expect, test } from "vitest";
import { encodeProgram } from "../../src/encode/index.ts";
import { formatProblem } from "../../src/problems.ts";
import { printPlan } from "../../src/program/print.ts";
import { HOSTS, planFor } from "./plan.ts";

/** Numbers of steps and lines move with everything before them; without, a change shows as what it is. */
const withoutNumbers = (plan: string): string =>
  plan.replace(/^ *\d+ (?=\S)/gm, "  ").replace(/(\.json):\d+:\d+(?= \/)/g, "$1");

describe.each(HOSTS)("on %s", (host) => {
  test.each(["strict", "standard", "build", "judge"])(
    "the plan of %s is the reviewed one, or its refusal is",
    async (profile) => {
      const plan = planFor({ host, profile });
      const text = plan.ok
        ? printPlan(plan.value, { color: false })
        : plan.problems.map(formatProblem).join("\n");
      await expect(`${withoutNumbers(text)}\n`).toMatchFileSnapshot(`../golden/plans/${host}.${profile}.txt`);
    },
  );

  test("what compiles encodes", () => {
    for (const mode of ["supervised", "standalone"] as const) {
      const plan = planFor({ host, mode });
      const said = plan.ok ? encodeProgram(plan.value.program).length > 1000 : plan.problems.length > 0;
      expect(said).toBe(true);
    }
  });
});
