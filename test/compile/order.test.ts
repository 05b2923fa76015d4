/**
 * What must hold of the order of steps in every plan, whatever the profile and the machine: each rule is one that an escape
 * of the past was made of breaking.
 */
import { describe, expect, test } from "vitest";
import type { LaunchPlan } from "../../src/compile/plan.ts";
import {
  AT_FDCWD,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  O_CLOEXEC,
  O_CREAT,
  OPEN_TREE_CLOEXEC,
} from "../../src/program/constants.ts";
import { type Operand, type Program, ROLES, type Role, type Step } from "../../src/program/program.ts";
import type { SyscallName } from "../../src/program/syscalls.ts";
import { type Case, HOSTS, planFor } from "./plan.ts";

type Call = Extract<Step, { kind: "call" }>;

const EVERYTHING: NonNullable<Case["overrides"]> = {
  "/filesystem/write": "ephemeral",
  "/filesystem/proc": "full",
  "/filesystem/workdir": "rw",
  "/filesystem/masked": ["/proc/kcore", "/usr/share", "/etc/passwd"],
  "/filesystem/readOnly": ["/proc/sys", "/tmp"],
  "/filesystem/mounts": [
    { type: "bind", source: "/data", target: "/data", options: ["rw"] },
    { type: "bind", source: "/data/f", target: "/data/f", options: ["ro"] },
    { type: "tmpfs", target: "/tmp" },
    { type: "file", target: "/etc/extra", content: "x" },
    { type: "symlink", target: "/here", link: "/data" },
  ],
  "/filesystem/devices": ["null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "mqueue", "fd"],
  "/process/timeOffsets/monotonic/secs": 5,
  "/process/oomScoreAdj": 5,
  "/process/nice": 5,
  "/process/memoryDenyWriteExecute": true,
  "/process/speculationMitigations": true,
};
const PATHS: NonNullable<Case["paths"]> = {
  "/data": { type: "directory" },
  "/data/f": { type: "file" },
  "/srv/root": { type: "directory" },
  "/srv/kept": { type: "directory" },
  "/home/user/run.me": { type: "file" },
  "/usr/share": { type: "directory" },
  "/proc/kcore": { type: "file" },
};
const RELAXED = {
  "/require/resources": "none",
  "/require/process": "none",
  "/require/identity": "partial",
  "/require/filesystem": "partial",
};

/** Plans of many kinds; those that a machine refuses are not there. */
const PLANS: readonly { readonly name: string; readonly plan: LaunchPlan }[] = HOSTS.flatMap((host) =>
  (["supervised", "standalone"] as const).flatMap((mode) =>
    [
      { name: "strict", overrides: {} },
      { name: "standard", overrides: {} },
      { name: "build", overrides: {} },
      { name: "judge", overrides: {} },
      { name: "strict with everything", overrides: EVERYTHING },
      {
        name: "strict on a directory",
        overrides: { ...EVERYTHING, "/filesystem/root": { type: "directory", path: "/srv/root" } },
      },
      { name: "strict keeping writes", overrides: { "/filesystem/write": { directory: "/srv/kept" } } },
      { name: "strict, empty root", overrides: { "/filesystem/root": { type: "empty" } } },
      { name: "strict, own range", overrides: { "/identity/map": "subordinate" } },
    ].flatMap(({ name, overrides }) => {
      const profile = name.split(/[ ,]/)[0] ?? "strict";
      const terminals = mode === "supervised" ? [[], [0, 1, 2]] : [[]];
      return terminals.flatMap((terminal) => {
        const plan = planFor({
          host,
          mode,
          profile,
          terminal,
          command: "/home/user/run.me",
          paths: PATHS,
          overrides: { ...RELAXED, ...overrides },
        });
        return plan.ok
          ? [
              {
                name: `${name} on ${host}, ${mode}${terminal.length > 0 ? ", terminal" : ""}`,
                plan: plan.value,
              },
            ]
          : [];
      });
    }),
  ),
);

const calls = (program: Program, role: Role): readonly Call[] =>
  (program.roles[role]?.steps ?? []).filter((step): step is Call => step.kind === "call");
const all = (program: Program): readonly Call[] => ROLES.flatMap((role) => calls(program, role));
const position = (program: Program, role: Role, id: string): number =>
  (program.roles[role]?.steps ?? []).findIndex((step) => step.kind !== "label" && step.id === id);
const immediate = (operand: Operand | undefined): bigint | null =>
  operand?.kind === "value" ? operand.value : null;

/** The text that an operand points at; null when it is made at run time or is no text. */
function textOf(program: Program, operand: Operand | undefined): string | null {
  if (operand?.kind !== "data") return null;
  const constant = program.data.find(({ name }) => name === operand.name);
  return constant !== undefined && "text" in constant ? constant.text : null;
}

/** Flags word of the calls that open something; `how` structures begin with it. */
function openFlags(program: Program, { call, args }: Call): bigint | null {
  const at: Partial<Record<SyscallName, number>> = {
    openat: 2,
    open_tree: 2,
    pipe2: 1,
    dup3: 2,
    fsopen: 1,
    fsmount: 1,
    memfd_create: 1,
  };
  if (call === "openat2") {
    const how = args[2];
    const constant = how?.kind === "data" ? program.data.find(({ name }) => name === how.name) : undefined;
    if (constant === undefined || !("hex" in constant)) throw new Error("open_how is not a constant");
    return Buffer.from(constant.hex, "hex").readBigUInt64LE(0);
  }
  const index = at[call];
  return index === undefined ? null : immediate(args[index]);
}

test("there are plans to look at, of every machine that has user namespaces", () => {
  for (const host of HOSTS.filter((name) => name !== "no-userns" && name !== "docker-masked-proc"))
    expect([host, PLANS.filter(({ name }) => name.includes(host)).length > 10]).toEqual([host, true]);
});

describe.each(PLANS)("$name", ({ plan: { program } }) => {
  const pivoted = position(program, "init", "pivot.detach");

  test("no path inside the root is looked up before the host's tree is detached", () => {
    // mkdirat, mknodat, symlinkat and openat2 relative to the root follow what lies in it. Mount points of our own layers, in a tmpfs that nobody
    // else has touched, are made before.
    const early = program.roles.init.steps
      .slice(0, pivoted)
      .filter(
        (step): step is Call =>
          step.kind === "call" &&
          step.call === "openat2" &&
          step.args[0]?.kind === "result" &&
          step.args[0].step === "root",
      );
    // The one directory that the launcher itself made a step before, on a tmpfs that nobody else has.
    expect(early.map(({ id }) => id).filter((id) => id !== "empty.open")).toEqual([]);
  });

  test("after it no call names an absolute path of the host", () => {
    // /proc/self/... of the private procfs, `/` and the working directory are the payload's own.
    const later = [...program.roles.init.steps.slice(pivoted + 1), ...program.roles.payload.steps].filter(
      (step): step is Call => step.kind === "call",
    );
    const absolute = later.filter((step) => {
      const path = step.args
        .map((operand) => textOf(program, operand))
        .find((text) => text?.startsWith("/") === true);
      const links = step.call === "symlinkat" || step.call === "fsconfig" || step.call === "write";
      return path !== undefined && !links && step.args.some((operand) => immediate(operand) === AT_FDCWD);
    });
    expect(absolute.map(({ id }) => id)).toEqual([
      "workdir.open",
      ...(later.some(({ id }) => id === "landlock.root") ? ["landlock.root"] : []),
    ]);
    const changed = later.filter(({ call }) => call === "chdir" || call === "fchdir");
    expect(changed.map(({ id }) => id).toSorted()).toEqual(["pivot.leave", "workdir.enter"]);
  });

  test("no directory of the host stays open behind the pivot", () => {
    const opened = [...program.roles.monitor.steps, ...program.roles.init.steps]
      .filter((step): step is Call => step.kind === "call")
      .filter(
        ({ call, id }) =>
          call === "openat2" &&
          id.endsWith(".open") &&
          !id.startsWith("mask:") &&
          !id.startsWith("readonly:") &&
          !id.startsWith("copy:"),
      )
      .map(({ id }) => id);
    const dropped = program.roles.init.steps
      .slice(pivoted)
      .flatMap((step) =>
        step.kind === "call" && step.call === "close" && step.id.endsWith(".drop")
          ? [step.id.slice(0, -".drop".length)]
          : [],
      );
    expect(opened.filter((id) => !dropped.includes(id))).toEqual([]);
    expect(dropped).toContain("proc.host");
    const lookups = program.roles.init.steps.findIndex(
      (step) => step.kind === "call" && step.call === "openat2" && step.id.endsWith(".point"),
    );
    const last = program.roles.init.steps.findLastIndex((step) => "id" in step && step.id.endsWith(".drop"));
    expect(last).toBeLessThan(lookups);
  });

  test("the payload drops what it inherited before it looks up a path", () => {
    const payload = program.roles.payload.steps;
    expect(position(program, "payload", "descriptors.drop")).toBeLessThan(
      position(program, "payload", "workdir.open"),
    );
    expect(payload.some((step) => step.kind === "call" && step.call === "chdir")).toBe(false);
  });

  test("the identity is set before init makes anything", () => {
    const set = position(program, "init", "identity.uid.set");
    expect(set).toBeGreaterThan(-1);
    const makers = program.roles.init.steps
      .slice(0, set)
      .filter(
        (step): step is Call =>
          step.kind === "call" &&
          (["mkdirat", "mknodat", "symlinkat", "fsmount", "fsconfig"].includes(step.call) ||
            (step.call === "openat" && ((immediate(step.args[2]) ?? 0n) & O_CREAT) !== 0n)),
      );
    expect(makers.map(({ id }) => id)).toEqual([]);
  });

  test("the group is given up before the user", () => {
    expect(position(program, "init", "identity.gid.set")).toBeLessThan(
      position(program, "init", "identity.uid.set"),
    );
  });

  test("the filter is the last call before execve, and descriptors are closed before it", () => {
    const steps = program.roles.payload.steps.filter((step) => step.kind !== "label");
    expect(steps.at(-1)?.kind).toBe("exec");
    const last = steps.at(-2);
    expect(last?.kind === "call" ? last.call : last?.kind).toBe("seccomp");
    const closed = position(program, "payload", "descriptors.close");
    expect(closed).toBeGreaterThan(-1);
    expect(closed).toBeLessThan(position(program, "payload", "seccomp.install"));
    const opened = program.roles.payload.steps
      .slice(closed + 1)
      .filter(
        (step): step is Call => step.kind === "call" && /open|pipe|dup|memfd|socket|fsmount/.test(step.call),
      );
    expect(opened.map(({ id }) => id)).toEqual([]);
  });

  test("no_new_privs is set before the filter", () => {
    const at = calls(program, "payload").findIndex(
      ({ call, args }) => call === "prctl" && immediate(args[0]) === 38n && immediate(args[1]) === 1n,
    );
    const inInit = calls(program, "init").some(
      ({ call, args }) => call === "prctl" && immediate(args[0]) === 38n && immediate(args[1]) === 1n,
    );
    const filter = calls(program, "payload").findIndex(({ call }) => call === "seccomp");
    expect(inInit || (at !== -1 && at < filter)).toBe(true);
  });

  test("every descriptor that is opened is closed by execve", () => {
    const needed: Partial<Record<SyscallName, bigint>> = {
      openat: O_CLOEXEC,
      openat2: O_CLOEXEC,
      pipe2: O_CLOEXEC,
      open_tree: OPEN_TREE_CLOEXEC,
      fsopen: FSOPEN_CLOEXEC,
      fsmount: FSMOUNT_CLOEXEC,
    };
    const leaking = all(program).filter((step) => {
      const bit = needed[step.call];
      // Standard descriptors that were closed are filled with /dev/null, to stay.
      if (bit === undefined || /^stdio\.[012]\.fill$/.test(step.id)) return false;
      return ((openFlags(program, step) ?? 0n) & bit) === 0n;
    });
    expect(leaking.map(({ id }) => id)).toEqual([]);
  });

  test("every path lookup inside the root stays in it and follows no magic link", () => {
    const IN_ROOT = 0x10n;
    const NO_MAGICLINKS = 0x02n;
    const lookups = program.roles.init.steps
      .slice(pivoted + 1)
      .filter((step): step is Call => step.kind === "call" && step.call === "openat2");
    expect(lookups.length).toBeGreaterThan(0);
    for (const step of lookups) {
      const how = step.args[2];
      const constant = how?.kind === "data" ? program.data.find(({ name }) => name === how.name) : undefined;
      if (constant === undefined || !("hex" in constant))
        throw new Error(`${step.id}: open_how is not a constant`);
      const resolve = Buffer.from(constant.hex, "hex").readBigUInt64LE(16);
      expect([step.id, resolve & (IN_ROOT | NO_MAGICLINKS)]).toEqual([step.id, IN_ROOT | NO_MAGICLINKS]);
    }
  });

  test("every step belongs to a decision, and no two have one id", () => {
    const plan = PLANS.find((entry) => entry.plan.program === program)?.plan;
    const decisions = new Set(plan?.decisions.map(({ id }) => id));
    expect(decisions.size).toBe(plan?.decisions.length);
    const steps = Object.values(program.roles).flatMap((role) =>
      role.steps.filter((step) => step.kind !== "label"),
    );
    expect(new Set(steps.map(({ id }) => id)).size).toBe(steps.length);
    expect(steps.filter(({ decision }) => !decisions.has(decision)).map(({ id }) => id)).toEqual([]);
  });
});
