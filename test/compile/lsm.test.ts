/** The security module that a plan takes, and what is said where it cannot be had. */
import { describe, expect, test } from "vitest";
import type { LaunchPlan } from "../../src/compile/plan.ts";
import type { HostFacts } from "../../src/host/facts.ts";
import { formatProblem } from "../../src/problems.ts";
import { type Case, planFor, recordedHost } from "./plan.ts";

const NOTHING = "debian-root-v1-hybrid";
const APPARMOR = "aarch64-root-v2";
const SELINUX = "fedora-root-selinux";

function planOf(request: Case): LaunchPlan {
  const plan = planFor(request);
  if (plan.ok) return plan.value;
  throw new Error(plan.problems.map(formatProblem).join("\n"));
}
const decisionOf = (request: Case) => planOf(request).decisions.find(({ id }) => id === "lsm");
const written = (request: Case): readonly (string | undefined)[] =>
  planOf(request).program.roles.payload.steps.flatMap((step) =>
    step.kind === "call" && step.id.startsWith("label.") ? [step.call, step.target] : [],
  );
const confined = (label: string): HostFacts => {
  const host = recordedHost(APPARMOR);
  const { apparmor } = host.lsm;
  return {
    ...host,
    lsm: { selinux: null, apparmor: apparmor === null ? null : { ...apparmor, label, confined: true } },
  };
};

describe("where the kernel enforces neither module", () => {
  test("the decision says so, and the shipped profiles run", () => {
    for (const profile of ["strict", "standard", "build", "judge"])
      expect(decisionOf({ host: NOTHING, profile })).toMatchObject({
        status: "none",
        reason: "this kernel enforces neither AppArmor nor SELinux",
        check: null,
      });
  });

  test.each(["full", "partial"])("a profile that requires it %s is refused", (status) => {
    const plan = planFor({ host: NOTHING, overrides: { "/require/lsm": status } });
    expect(plan.ok ? [] : plan.problems).toMatchObject([{ kind: "host-cannot", pointer: "/require/lsm" }]);
  });
});

describe("the profile that is made from this one", () => {
  const made = (request: Case) => planOf(request).supervisor.apparmor;
  const without = (reason: string): HostFacts => {
    const host = recordedHost(APPARMOR);
    const { apparmor } = host.lsm;
    const load = { available: false, reason, fix: "" } as const;
    return { ...host, lsm: { selinux: null, apparmor: apparmor === null ? null : { ...apparmor, load } } };
  };

  test("is loaded under the name that the payload asks for", () => {
    const policy = made({ host: APPARMOR });
    expect(policy?.name).toMatch(/^sandbox-strict-[0-9a-f]{32}$/);
    expect(written({ host: APPARMOR })).toContain(`exec ${policy?.name}`);
    expect(decisionOf({ host: APPARMOR })).toMatchObject({
      status: "full",
      check: { kind: "label", expected: `${policy?.name} (enforce)` },
    });
  });

  test("has what this command needs", () => {
    const command = "/srv/tool";
    const paths = { [command]: { type: "file" } } as const;
    expect(made({ host: APPARMOR, command, paths })?.text).toContain("  /srv/tool{,/,/**} mrkix,\n");
    expect(made({ host: APPARMOR, command: "tool" })?.text).toBe(made({ host: APPARMOR })?.text);
  });

  test("is not for who may not load it, and the decision says why", () => {
    const host = without("it is not allowed");
    expect(made({ host })).toBeNull();
    expect(written({ host })).toEqual([]);
    expect(decisionOf({ host })).toMatchObject({
      status: "none",
      reason: "it is not allowed; lsm.apparmorProfile takes one that is loaded already",
    });
    const refused = planFor({ host, overrides: { "/require/lsm": "full" } });
    expect(refused.ok ? [] : refused.problems).toMatchObject([{ pointer: "/require/lsm" }]);
  });

  test("is stacked on a profile that holds the caller, and may then be refused by it unless it is required", () => {
    const host = confined("outer");
    expect(decisionOf({ host })).toMatchObject({
      status: "partial",
      reason: expect.stringContaining("where outer does not allow that, it alone holds the payload"),
    });
    const lenient = planOf({ host }).program.roles.payload.steps;
    expect(lenient.find((step) => step.kind === "call" && step.id === "label.set")).toMatchObject({
      onError: "continue",
    });
    const required = { host, overrides: { "/require/lsm": "full" } };
    expect(decisionOf(required)).toMatchObject({ status: "full" });
    const strict = planOf(required).program.roles.payload.steps;
    expect(strict.find((step) => step.kind === "call" && step.id === "label.set")).toMatchObject({
      onError: "fail",
    });
  });

  test("is no launcher's by itself, unless the profile counts on its being loaded", () => {
    expect(decisionOf({ host: APPARMOR, mode: "standalone" })).toMatchObject({ status: "none" });
    const asked = { host: APPARMOR, mode: "standalone", overrides: { "/lsm/type": "apparmor" } } as const;
    expect(made(asked)).toBeNull();
    expect(written(asked)).toContain(`exec ${made({ host: APPARMOR })?.name}`);
    expect(decisionOf(asked)?.reason).toMatch(/must be loaded before/);
  });
});

test.each([
  ["apparmor", SELINUX, "this kernel does not enforce AppArmor, but SELinux"],
  ["selinux", APPARMOR, "this kernel does not enforce SELinux, but AppArmor"],
  ["selinux", NOTHING, "this kernel does not enforce SELinux"],
])("a profile that names %s does not take another module on %s", (type, host, reason) => {
  expect(decisionOf({ host, overrides: { "/lsm/type": type } })).toMatchObject({ status: "none", reason });
});

test("a profile that asks for none has what it asks for", () => {
  expect(decisionOf({ host: APPARMOR, overrides: { "/lsm/type": "none" } })).toMatchObject({
    status: "full",
  });
});

describe("a label that is named", () => {
  const overrides = { "/lsm/apparmorProfile": "tool-profile" };

  test("is asked for by the payload itself and read back", () => {
    expect(written({ host: APPARMOR, overrides })).toEqual([
      "openat",
      "exec tool-profile",
      "write",
      "exec tool-profile",
    ]);
    expect(decisionOf({ host: APPARMOR, overrides })).toMatchObject({
      status: "full",
      check: { kind: "label", expected: "tool-profile (enforce)" },
    });
  });

  test("is stacked on the profile that holds the caller", () => {
    const host = confined("docker-default");
    expect(written({ host, overrides })).toContain("stack tool-profile");
    expect(decisionOf({ host, overrides })?.check).toEqual({
      kind: "label",
      expected: "docker-default//&tool-profile (enforce)",
    });
  });

  test.each([
    ["enforce", "full", "tool-profile (enforce)"],
    ["kill", "full", "tool-profile (kill)"],
    ["complain", "none", "tool-profile (complain)"],
    ["prompt", "none", "tool-profile (prompt)"],
    ["unconfined", "none", "tool-profile (unconfined)"],
    [null, "partial", "tool-profile (enforce)"],
  ] as const)("in mode %s is %s", (apparmorMode, status, expected) => {
    const decision = decisionOf({ host: APPARMOR, overrides, apparmorMode });
    expect(decision).toMatchObject({ status, check: { expected } });
    const required = { ...overrides, "/require/lsm": "full" };
    const plan = planFor({ host: APPARMOR, overrides: required, apparmorMode });
    expect(plan.ok).toBe(status === "full");
  });

  test("that is not loaded is refused where it was named; a launcher may run where it is", () => {
    const plan = planFor({ host: APPARMOR, overrides, apparmorMode: "absent" });
    expect(plan.ok ? [] : plan.problems).toMatchObject([
      {
        kind: "host-cannot",
        pointer: "/lsm/apparmorProfile",
        message: expect.stringContaining("tool-profile"),
      },
    ]);
    const mode = "standalone";
    expect(decisionOf({ host: APPARMOR, overrides, apparmorMode: "absent", mode })).toMatchObject({
      status: "full",
    });
  });

  test("of SELinux is full only where it is enforcing", () => {
    const named = {
      "/lsm/selinuxLabel": "system_u:system_r:tool_t:s0:c1,c2",
      "/lsm/mountLabel": "system_u:object_r:tool_file_t:s0:c1,c2",
    };
    expect(written({ host: SELINUX, overrides: named })).toContain("system_u:system_r:tool_t:s0:c1,c2");
    const policy = { digest: "", known: {}, permissive: false };
    expect(decisionOf({ host: SELINUX, overrides: named, selinux: policy })).toMatchObject({
      status: "full",
    });
    expect(
      decisionOf({ host: SELINUX, overrides: named, selinux: { ...policy, permissive: true } }),
    ).toMatchObject({ status: "none" });
    const host = recordedHost(SELINUX);
    const { selinux } = host.lsm;
    const permissive = selinux === null ? null : { ...selinux, mode: "permissive" as const };
    expect(
      decisionOf({
        host: { ...host, lsm: { apparmor: null, selinux: permissive } },
        overrides: named,
        selinux: policy,
      }),
    ).toMatchObject({ status: "none" });
  });

  test("is asked for before any descriptor is dropped, and before the filter", () => {
    const ids = planOf({ host: APPARMOR, overrides }).program.roles.payload.steps.map((step) =>
      step.kind === "label" ? "" : step.id,
    );
    expect(ids.indexOf("label.set")).toBeGreaterThan(-1);
    expect(ids.indexOf("label.set")).toBeLessThan(ids.indexOf("descriptors.drop"));
    expect(ids.indexOf("label.set")).toBeLessThan(ids.indexOf("seccomp.install"));
  });
});
