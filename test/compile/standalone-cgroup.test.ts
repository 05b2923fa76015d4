/** A launcher by itself on cgroup v2: nobody prepares the tree for it, and nobody moves processes out of its way. */
import { describe, expect, it } from "vitest";
import type { CgroupFacts } from "../../src/host/facts.ts";
import { planFor, recordedHost } from "./plan.ts";

const ROOT = "aarch64-root-v2";
const DELEGATED = "user-v2-delegated";

function plan(host: string, mode: "standalone" | "supervised", cgroup: Partial<CgroupFacts> = {}) {
  const facts = recordedHost(host);
  const made = planFor({ host: { ...facts, cgroup: { ...facts.cgroup, ...cgroup } }, mode });
  if (!made.ok) throw new Error(JSON.stringify(made.problems));
  return made.value;
}
const steps = (of: ReturnType<typeof plan>): readonly string[] =>
  of.program.roles.monitor.steps.flatMap((step) => ("id" in step ? [step.id] : []));
const memory = (of: ReturnType<typeof plan>) => of.decisions.find(({ id }) => id === "resources.memory");

describe("a launcher by itself", () => {
  it("has the tree hand controllers on before it makes its cgroup; under a supervisor that is done already", () => {
    const order = steps(plan(ROOT, "standalone"));
    expect(order.indexOf("cgroup.v2.hand-on.write")).toBeGreaterThan(0);
    expect(order.indexOf("cgroup.v2.hand-on.write")).toBeLessThan(order.indexOf("cgroup.v2.make"));
    expect(steps(plan(ROOT, "supervised"))).not.toContain("cgroup.v2.hand-on.write");
  });

  it("goes to the top of the tree where there is one", () => {
    const { controllers } = recordedHost(ROOT).cgroup;
    const inSlice = Object.fromEntries(
      Object.entries(controllers).map(([name, { version, parent }]) => [
        name,
        { version, parent: `${parent}/user.slice`, top: parent },
      ]),
    );
    const parents = (mode: "standalone" | "supervised") =>
      plan(ROOT, mode, { controllers: inSlice }).supervisor.cgroups.map(({ parent }) => parent);
    expect(parents("standalone")).toEqual(["/sys/fs/cgroup"]);
    expect(parents("supervised")).toEqual(["/sys/fs/cgroup/user.slice"]);
  });

  it("has no cgroup where processes would first have to be moved, and says what helps", () => {
    expect(recordedHost(DELEGATED).cgroup.prepare?.leaf).toBeTruthy();
    const alone = plan(DELEGATED, "standalone");
    expect(alone.supervisor.cgroups).toEqual([]);
    expect(memory(alone)).toMatchObject({
      status: "partial",
      setting: expect.stringContaining("RLIMIT_DATA"),
    });
    expect(memory(alone)?.reason).toMatch(/holds processes.*compile again/);
    expect(memory(plan(DELEGATED, "supervised"))).toMatchObject({ status: "full" });
    const { prepare } = recordedHost(DELEGATED).cgroup;
    const divided = plan(DELEGATED, "standalone", {
      prepare: prepare === null ? null : { ...prepare, leaf: null },
    });
    expect(memory(divided)).toMatchObject({ status: "full" });
  });
});
