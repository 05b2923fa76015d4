/** Decisions: who asked for what, how much of it is in force, and what is refused with which way out. */
import { describe, expect, test } from "vitest";
import { controlStatus } from "../../src/compile/index.ts";
import type { Decision, LaunchPlan } from "../../src/compile/plan.ts";
import { formatProblem, type Problem } from "../../src/problems.ts";
import { CONTROLS } from "../../src/profile/spec.ts";
import { type Case, HOSTS, planFor } from "./plan.ts";

function planOf(request: Case): LaunchPlan {
  const plan = planFor(request);
  if (plan.ok) return plan.value;
  throw new Error(plan.problems.map(formatProblem).join("\n"));
}

function refusalOf(request: Case): readonly Problem[] {
  const plan = planFor(request);
  return plan.ok ? [] : plan.problems;
}

function decisionOf(request: Case, id: string): Decision {
  const found = planOf(request).decisions.find((decision) => decision.id === id);
  if (found === undefined) throw new Error(`no decision ${id}`);
  return found;
}

const ROOT = "debian-root-v1-hybrid";
const USER = "user-no-delegation";

test("the user namespace cannot be turned off, which is said where it was", () => {
  expect(refusalOf({ host: ROOT, overrides: { "/namespaces/user": false } })).toMatchObject([
    { kind: "profile-value", pointer: "/namespaces/user", where: { kind: "option", option: "test" } },
  ]);
});

describe("a decision names who asked for it", () => {
  test("a line of the profile", () => {
    const { provenance } = decisionOf({ host: ROOT }, "resources.memory");
    expect(provenance).toMatchObject({
      kind: "profile",
      file: "profiles/strict.json",
      pointer: "/resources/memory",
    });
    expect(provenance).not.toMatchObject({ line: 0 });
  });

  test("the option that overrode it", () => {
    const { provenance } = decisionOf(
      { host: ROOT, overrides: { "/resources/memory": "9M" } },
      "resources.memory",
    );
    expect(provenance).toEqual({ kind: "option", option: "test" });
  });

  test("the base that a profile extends", () => {
    const { provenance } = decisionOf({ host: ROOT, profile: "judge" }, "resources.pids");
    expect(provenance).toMatchObject({ kind: "profile", file: "profiles/strict.json" });
  });
});

describe.each(HOSTS)("on %s", (host) => {
  test.each(["strict", "standard", "build", "judge"])(
    "every control of %s is decided, and a reason stands wherever less than full is given",
    (profile) => {
      const plan = planFor({ host, profile, overrides: { "/require/resources": "none" } });
      const decisions = plan.ok ? plan.value.decisions : [];
      const controls = new Set(decisions.map(({ control }) => control));
      expect(plan.ok ? CONTROLS.filter((control) => !controls.has(control)) : []).toEqual([]);
      expect(decisions.filter(({ status, reason }) => status !== "full" && reason === "")).toEqual([]);
      expect(plan.ok || plan.problems.every(({ kind }) => kind === "host-cannot")).toBe(true);
    },
  );
});

describe("what a profile requires and the host lacks", () => {
  const problems = refusalOf({ host: USER, profile: "judge" });

  test("is refused completely: each resource that no cgroup holds is named", () => {
    const named = problems.map(({ message }) => message.split(" ")[0]);
    for (const resource of ["memory", "swap", "cpus", "pids"])
      expect(named).toContain(`resources.${resource}`);
  });

  test("is located at the line that asked, says why, and how to go on without", () => {
    expect(problems.length).toBeGreaterThan(3);
    for (const { kind, where, pointer, message, hint } of problems) {
      expect({ kind, pointer, where: where.kind }).toEqual({
        kind: "host-cannot",
        pointer: "/require/resources",
        where: "profile",
      });
      expect(message).toMatch(
        /only (partial|none) here, and the profile requires resources to be full: .{10}/,
      );
      expect(hint).toMatch(/sandbox doctor.*--set \/require\/resources='"partial"'/);
    }
  });

  test("compiles once the hint was followed, and is still called partial", () => {
    const plan = planOf({ host: USER, profile: "judge", overrides: { "/require/resources": "partial" } });
    expect(controlStatus(plan.decisions, "resources")).toBe("partial");
  });

  test("user namespaces are refused whatever is accepted", () => {
    const accept = Object.fromEntries(CONTROLS.map((control) => [`/require/${control}`, "none"]));
    const refusals = refusalOf({ host: "no-userns", overrides: { ...accept, "/audit/require": false } });
    expect(refusals.map(({ pointer }) => pointer)).toContain("/namespaces/user");
  });
});

describe("limits", () => {
  test.each([
    [ROOT, "resources.memory", "full"],
    [ROOT, "resources.pids", "full"],
    ["user-v2-delegated", "resources.memory", "full"],
    [USER, "resources.memory", "partial"],
    [USER, "resources.pids", "partial"],
    [USER, "resources.cpus", "none"],
    [USER, "resources.swap", "none"],
    [USER, "resources.wallTime", "full"],
  ])("on %s %s is %s", (host, id, status) => {
    expect(decisionOf({ host }, id).status).toBe(status);
  });

  test("CPU time of the whole sandbox is only partly kept where nothing counts the whole", () => {
    const request = { overrides: { "/require/resources": "none" } };
    expect(decisionOf({ host: ROOT, ...request }, "resources.cpuTime").status).toBe("full");
    expect(decisionOf({ host: USER, ...request }, "resources.cpuTime").status).not.toBe("full");
    expect(decisionOf({ host: ROOT, mode: "standalone", ...request }, "resources.cpuTime").status).not.toBe(
      "full",
    );
  });

  test("judge cannot be compiled standalone: nobody would count its output", () => {
    expect(refusalOf({ host: ROOT, profile: "judge", mode: "standalone" })).not.toEqual([]);
  });

  test("one process more than asked for is allowed, because init is one", () => {
    const { setting } = decisionOf(
      { host: ROOT, overrides: { "/resources/pids": 7 } },
      "resources.pids.pids.max",
    );
    expect(setting).toBe("pids.max = 8");
  });
});

describe("identity", () => {
  const range = (hostID: number) => ({
    uidMappings: [{ containerID: 0, hostID, size: 2000 }],
    gidMappings: [{ containerID: 0, hostID, size: 2000 }],
  });

  test("run by root maps to ids that own nothing, picked by the monitor's pid", () => {
    const { setting, reason } = decisionOf({ host: ROOT }, "identity.map");
    expect(setting).toContain("pid of the monitor");
    expect(reason).toContain("own nothing");
  });

  test("run by a user maps to the user's own ids", () => {
    expect(decisionOf({ host: USER }, "identity.map").setting).toMatch(/^uid 1000 to \d+, gid 1000 to \d+$/);
  });

  test("explicit ranges of root's are written as they are", () => {
    const plan = planOf({ host: ROOT, overrides: { "/identity/map": range(70_000) } });
    expect(plan.idMappings?.uid).toEqual([{ containerID: 0, hostID: 70_000, size: 2000 }]);
    expect(plan.supervisor.idRange).toBeNull();
  });

  test("a subordinate range as root is claimed by the supervisor; standalone that is refused, with a way out", () => {
    const overrides = { "/identity/map": "subordinate" };
    expect(planOf({ host: ROOT, overrides }).supervisor.idRange?.size).toBe(65_536);
    const [problem] = refusalOf({ host: ROOT, overrides, mode: "standalone" });
    expect(problem).toMatchObject({ kind: "compile-cannot", pointer: "/identity/map" });
    expect(problem?.hint).toContain("uidMappings");
  });
});

describe("equal input", () => {
  test.each(HOSTS)("gives an equal plan, frozen to the bottom, on %s", (host) => {
    const [one, two] = [planFor({ host }), planFor({ host })];
    expect(two).toEqual(one);
    const frozen = (value: unknown): boolean =>
      typeof value !== "object" ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(one.ok ? frozen(one.value) : true).toBe(true);
  });
});
