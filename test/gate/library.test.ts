/** The gate as a library: one call from names to a report. */
import { expect, it } from "vitest";
import { exitStatusOf, formatReport, gateProfiles } from "../../src/toolkit.ts";

it("a program gets the report, and any of its forms", () => {
  const gated = gateProfiles({
    profiles: ["strict", "nothing"],
    policy: "hardened",
    waivers: [],
    baseline: null,
    updateBaseline: false,
    cwd: "/",
    today: "2026-01-01",
  });
  if (!gated.ok) throw new Error(JSON.stringify(gated.problems));
  const { report } = gated.value;
  expect(report.findings).toEqual([]);
  expect(report.failures.map(({ subject }) => subject)).toEqual(["nothing"]);
  expect(exitStatusOf(report, "error")).toBe(3);
  expect(JSON.parse(formatReport(report, "json"))).toMatchObject({ summary: { failures: 1 } });
});
