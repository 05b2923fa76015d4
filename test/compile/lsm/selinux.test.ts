/** The SELinux label of a run: what is set where, and what is said when it is less than it could be. */
import { describe, expect, it } from "vitest";
import { labelsAsked } from "../../../src/compile/lsm/selinux-names.ts";
import type { LaunchPlan } from "../../../src/compile/plan.ts";
import { encodeProgram } from "../../../src/encode/index.ts";
import type { HostFacts, RequestFacts, SelinuxFacts } from "../../../src/host/facts.ts";
import { formatProblem } from "../../../src/problems.ts";
import { type Case, planFor, recordedHost } from "../plan.ts";

const DIGEST = "0123456789abcdef".repeat(4);
const LABEL = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023";

function fedora(changes: Partial<SelinuxFacts> = {}): HostFacts {
  const host = recordedHost("fedora-root-selinux");
  return {
    ...host,
    lsm: {
      apparmor: null,
      selinux: { mode: "enforcing", label: LABEL, mls: true, initialPidNamespace: true, ...changes },
    },
  };
}

/** A policy that knows the labels that match, or that cannot be asked. */
function policy(known: RegExp | null, host: HostFacts, lsm = {}): NonNullable<RequestFacts["selinux"]> {
  const spec = {
    name: "strict",
    lsm: { type: "any" as const, apparmorProfile: null, selinuxLabel: null, mountLabel: null, ...lsm },
  };
  const asked = labelsAsked(spec, host.lsm.selinux as SelinuxFacts, DIGEST);
  return {
    digest: DIGEST,
    known: Object.fromEntries(asked.map((label) => [label, known === null ? null : known.test(label)])),
    permissive: false,
  };
}

function planOf(request: Case): LaunchPlan {
  const plan = planFor(request);
  if (plan.ok) return plan.value;
  throw new Error(plan.problems.map(formatProblem).join("\n"));
}

/** strict on a host with SELinux. */
function strict(known: RegExp | null = /./, more: Partial<Case> & { facts?: Partial<SelinuxFacts> } = {}) {
  const host = fedora(more.facts);
  return planOf({ host, profile: "strict", selinux: policy(known, host), ...more });
}

const decision = (plan: LaunchPlan) => plan.decisions.find(({ id }) => id === "lsm");
const texts = (plan: LaunchPlan): ReadonlyMap<string, string> =>
  new Map(
    plan.program.data.flatMap((constant) => ("text" in constant ? [[constant.name, constant.text]] : [])),
  );

/** What a run with this monitor's pid would write: formats evaluated as the launcher does. */
function made(plan: LaunchPlan, pid: number): Readonly<Record<string, string>> {
  const steps = plan.program.roles.monitor.steps;
  const bytes = [pid & 0xff, (pid >> 8) & 0xff, (pid >> 16) & 0xff];
  return Object.fromEntries(
    steps.flatMap((step) =>
      step.kind === "format" && step.into.startsWith("label.")
        ? [
            [
              step.into,
              step.parts
                .map((part) => {
                  if ("text" in part) return part.text;
                  if ("decimal" in part && part.decimal.kind === "load")
                    return String((bytes[part.decimal.offset] as number) + Number(part.plus ?? 0));
                  throw new Error(JSON.stringify(part));
                })
                .join(""),
            ],
          ]
        : [],
    ),
  );
}

/** File systems by their label: a constant's text, a buffer's name, or none. */
function contexts(plan: LaunchPlan): Readonly<Record<string, string>> {
  const known = texts(plan);
  const keys = new Map([...known].map(([name, text]) => [text, name]));
  return Object.fromEntries(
    plan.program.roles.init.steps.flatMap((step) => {
      if (step.kind !== "call" || step.call !== "fsopen") return [];
      const id = step.id.replace(/\.new$/, "");
      const option = plan.program.roles.init.steps.find(
        (each) => each.kind === "call" && each.id === `${id}.option.context`,
      );
      if (option === undefined || option.kind !== "call") return [[id, "none"]];
      const [, , key, value] = option.args;
      expect(key).toEqual({ kind: "data", name: keys.get("context") });
      if (value?.kind === "buffer") return [[id, value.name]];
      return [[id, value?.kind === "data" ? (known.get(value.name) ?? "") : ""]];
    }),
  );
}

describe("where the profile's module is loaded", () => {
  it("the payload keeps the caller's user and role, and has categories of its own; the label is read back", () => {
    const plan = strict();
    expect(decision(plan)).toMatchObject({
      status: "full",
      reason: "",
      check: { kind: "label", from: "label.payload" },
    });
    expect(made(plan, 0x01_02_03)).toEqual({
      "label.payload": "unconfined_u:unconfined_r:sandbox_strict.payload:s0:c3,c258,c513",
      "label.content": "unconfined_u:object_r:sandbox_strict.content:s0:c3,c258,c513",
      "label.scratch": "unconfined_u:object_r:sandbox_strict.scratch:s0:c3,c258,c513",
    });
  });

  it("every file system that the sandbox makes is labelled by whether the payload writes there, but those that the kernel labels", () => {
    expect(contexts(strict())).toMatchObject({
      "root.fs": "label.content",
      "system:/usr.fs": "label.content",
      "dev.fs": "label.content",
      "mount:/tmp.fs": "label.scratch",
      shm: "label.scratch",
      devpts: "label.scratch",
      proc: "none",
    });
    expect(Object.values(contexts(strict())).filter((label) => label === "none")).toHaveLength(1);
    const ephemeral = strict(/./, { overrides: { "/filesystem/write": "ephemeral" } });
    expect(contexts(ephemeral)).toMatchObject({
      "upper.fs": "label.scratch",
      "system:/usr.fs": "label.scratch",
    });
  });

  it("no two monitors that live at once have categories of which one set includes the other", () => {
    const plan = strict();
    const categories = (pid: number): readonly string[] =>
      (made(plan, pid)["label.payload"] ?? "").split(":").at(-1)?.split(",") ?? [];
    const pids = [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 0x10101, 4_194_303];
    const included = pids.flatMap((a) =>
      pids.filter((b) => a !== b && categories(a).every((each) => categories(b).includes(each))),
    );
    expect(included).toEqual([]);
    expect(new Set(pids.map((pid) => categories(pid).length))).toEqual(new Set([3]));
  });

  it("what the payload makes in the host's directories has no categories: the next run finds it", () => {
    const host = fedora();
    const paths = { "/home/user/work": { type: "directory" } } as const;
    const known = Object.fromEntries(
      labelsAsked(
        { name: "build", lsm: { type: "any", apparmorProfile: null, selinuxLabel: null, mountLabel: null } },
        host.lsm.selinux as SelinuxFacts,
        DIGEST,
      ).map((label) => [label, true]),
    );
    const plan = planOf({
      host,
      profile: "build",
      paths,
      selinux: { digest: DIGEST, known, permissive: false },
    });
    expect(made(plan, 1)["label.payload"]).toBe(
      "unconfined_u:unconfined_r:sandbox_build.payload:s0-s0:c1,c256,c512",
    );
    expect(made(plan, 1)["label.scratch"]).toBe(
      "unconfined_u:object_r:sandbox_build.scratch:s0:c1,c256,c512",
    );
  });

  it("the launcher is encoded for both architectures", () => {
    for (const arch of ["x86_64", "aarch64"] as const) {
      const host = { ...fedora(), arch };
      expect(encodeProgram(planOf({ host, selinux: policy(/./, host) }).program).length).toBeGreaterThan(
        1000,
      );
    }
  });
});

describe("what is less than it could be is said", () => {
  it("permissive, the host or this domain alone: none, though the label is set; and refused where more is required", () => {
    const host = fedora();
    const domain = { ...policy(/./, host), permissive: true };
    expect(decision(strict(/./, { facts: { mode: "permissive" } }))).toMatchObject({
      status: "none",
      reason: "SELinux is permissive: it logs what it would refuse",
      check: { kind: "label" },
    });
    expect(decision(strict(/./, { selinux: domain }))).toMatchObject({
      status: "none",
      reason: expect.stringContaining("has made this domain permissive"),
      check: { kind: "label" },
    });
    const refused = planFor({ host, selinux: domain, overrides: { "/require/lsm": "partial" } });
    expect(refused.ok ? [] : refused.problems).toMatchObject([
      { kind: "host-cannot", pointer: "/require/lsm" },
    ]);
  });

  it("a domain that nobody may ask about is not taken for one that is enforced", () => {
    expect(decision(strict(/./, { selinux: { ...policy(/./, fedora()), permissive: null } }))).toMatchObject({
      status: "partial",
      reason: expect.stringContaining("/sys/fs/selinux/access is not open to the caller"),
    });
  });

  it("a pid namespace of many, whose pids and so categories another may have too: partial", () => {
    expect(decision(strict(/./, { facts: { initialPidNamespace: false } }))).toMatchObject({
      status: "partial",
      reason:
        "categories come from pids, and this is not the first pid namespace: a sandbox of another one may have the same",
      check: { from: "label.payload" },
    });
  });

  it("a module from other rules: partial, with the commands that load this one", () => {
    const old = decision(strict(/payload/));
    expect(old).toMatchObject({ status: "partial" });
    expect(old?.reason).toContain("sandbox profile export strict --to selinux > sandbox_strict.cil");
  });

  it("a user without categories: partial, and labels without them", () => {
    const plan = strict(/:s0$/);
    expect(decision(plan)).toMatchObject({
      status: "partial",
      reason:
        "the caller's SELinux user has not all of the categories c0 to c767, so the label does not keep sandboxes apart (semanage user -m -r s0-s0:c0.c1023 unconfined_u gives them)",
      check: { expected: "unconfined_u:unconfined_r:sandbox_strict.payload:s0" },
    });
    expect(contexts(plan)).toMatchObject({ "root.fs": "unconfined_u:object_r:sandbox_strict.content:s0" });
  });

  it("a user with some of the categories, who could take the labels of some pids only: the same", () => {
    // Of s0-s0:c100.c1023, say: the highest three are valid, and a pid's own three may not be.
    expect(decision(strict(/:s0$|:s0:c255,c511,c767$/))).toMatchObject({ status: "partial" });
  });

  it("a policy without levels: labels of three parts", () => {
    const plan = strict(/payload$|rules_/, { facts: { mls: false, label: "user_u:user_r:user_t" } });
    expect(decision(plan)).toMatchObject({
      status: "partial",
      reason: "the loaded policy has no categories, so the label does not keep sandboxes apart",
      check: { kind: "label", expected: "user_u:user_r:sandbox_strict.payload" },
    });
  });

  it.each([
    [
      "is not loaded: none",
      /never/,
      "the SELinux module of this profile is not loaded: sandbox profile export strict",
    ],
    ["cannot be asked about: none", null, "/sys/fs/selinux/context is not open to the caller"],
  ])("a module that %s, and nothing is labelled", (_, known, reason) => {
    const plan = strict(known);
    expect(decision(plan)).toMatchObject({ status: "none", check: null });
    expect(decision(plan)?.reason).toContain(reason);
    expect(new Set(Object.values(contexts(plan)))).toEqual(new Set(["none"]));
    expect(
      plan.program.roles.payload.steps.filter((step) => "id" in step && step.id === "label.set"),
    ).toEqual([]);
  });

  it("and refused where the profile requires more", () => {
    const host = fedora();
    const plan = planFor({ host, selinux: policy(/never/, host), overrides: { "/require/lsm": "full" } });
    expect(plan.ok ? [] : plan.problems).toMatchObject([{ kind: "host-cannot", pointer: "/require/lsm" }]);
  });
});

describe("labels that the profile names", () => {
  const named = {
    selinuxLabel: "system_u:system_r:tool_t:s0:c1,c2",
    mountLabel: "system_u:object_r:tool_file_t:s0:c1,c2",
  };
  const overrides = { "/lsm/selinuxLabel": named.selinuxLabel, "/lsm/mountLabel": named.mountLabel };

  it("are used as they are", () => {
    const host = fedora();
    const plan = planOf({ host, overrides, selinux: policy(/./, host, named) });
    expect(decision(plan)).toMatchObject({ status: "full", check: { expected: named.selinuxLabel } });
    expect(contexts(plan)).toMatchObject({
      "root.fs": named.mountLabel,
      shm: named.mountLabel,
      proc: "none",
    });
  });

  it("of the caller's own type hold nothing that the caller may: none, and refused where more is required", () => {
    const host = fedora();
    const selinuxLabel = "unconfined_u:unconfined_r:unconfined_t:s0:c1,c2";
    const request = {
      host,
      overrides: { "/lsm/selinuxLabel": selinuxLabel },
      selinux: policy(/./, host, { selinuxLabel }),
    };
    expect(decision(planOf(request))).toMatchObject({
      status: "none",
      reason: expect.stringContaining("it is of the caller's own type"),
    });
    expect(
      planFor({ ...request, overrides: { ...request.overrides, "/require/lsm": "partial" } }),
    ).toMatchObject({ ok: false, problems: [{ pointer: "/require/lsm" }] });
  });

  it("are partial when mounts keep the host's", () => {
    const host = fedora();
    const only = { "/lsm/selinuxLabel": named.selinuxLabel };
    const plan = planOf({
      host,
      overrides: only,
      selinux: policy(/./, host, { selinuxLabel: named.selinuxLabel }),
    });
    expect(decision(plan)).toMatchObject({ status: "partial" });
    expect(contexts(plan)).toMatchObject({ "root.fs": "none" });
  });

  it("and that the policy does not know are refused, each where it was written", () => {
    const host = fedora();
    const plan = planFor({ host, overrides, selinux: policy(/never/, host, named) });
    expect(plan.ok ? [] : plan.problems).toMatchObject([
      { kind: "host-cannot", pointer: "/lsm/selinuxLabel" },
      { kind: "host-cannot", pointer: "/lsm/mountLabel" },
    ]);
  });
});
