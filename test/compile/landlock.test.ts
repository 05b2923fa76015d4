/** Landlock without a kernel: what is derived, what every ABI keeps of it, what is decided, and what the launcher is told to do. */
import { describe, expect, test } from "vitest";
import { controlStatus } from "../../src/compile/index.ts";
import { downgrade, isEmpty, type Ruleset } from "../../src/compile/landlock/ruleset.ts";
import type { Decision, LaunchPlan } from "../../src/compile/plan.ts";
import type { HostFacts } from "../../src/host/facts.ts";
import { formatProblem, type Problem } from "../../src/problems.ts";
import {
  ABI_KERNELS,
  bitsOf,
  FS_RIGHT_NAMES,
  FS_RIGHTS,
  NET_RIGHT_NAMES,
  NET_RIGHTS,
  NEWEST_ABI,
  rulesetAttrSize,
  SCOPE_NAMES,
  SCOPES,
} from "../../src/program/landlock.ts";
import type { Step } from "../../src/program/program.ts";
import { type Case, planFor, recordedHost } from "./plan.ts";

const ABIS = Array.from({ length: NEWEST_ABI + 1 }, (_, abi) => abi);

/** Everything that Landlock knows, some of it granted. */
const EVERYTHING: Ruleset = {
  fs: FS_RIGHT_NAMES,
  paths: [
    { path: "/", rights: ["read_file", "read_dir"], listed: false },
    { path: "/data", rights: ["write_file", "refer", "truncate", "ioctl_dev", "resolve_unix"], listed: true },
    { path: "/late", rights: ["ioctl_dev"], listed: false },
  ],
  net: NET_RIGHT_NAMES,
  ports: [
    { port: 53, rights: ["connect_tcp", "connect_send_udp"] },
    { port: 67, rights: ["bind_udp"] },
  ],
  scoped: SCOPE_NAMES,
  log: true,
};
const WITHOUT_REFER: Ruleset = {
  ...EVERYTHING,
  paths: EVERYTHING.paths.map((rule) => ({ ...rule, rights: rule.rights.filter((one) => one !== "refer") })),
};

describe("the table of ABIs", () => {
  test("has no gap, and every version of Linux is later than the one before", () => {
    expect(Object.keys(ABI_KERNELS).map(Number)).toEqual(ABIS.slice(1));
    const versions = Object.values(ABI_KERNELS).map(([major, minor]) => major * 1000 + minor);
    expect(versions).toEqual([...versions].toSorted((a, b) => a - b));
  });

  test("gives every right a bit of its own and an ABI that exists", () => {
    for (const table of [FS_RIGHTS, NET_RIGHTS, SCOPES]) {
      const rights = Object.values(table);
      expect(new Set(rights.map(({ bit }) => bit)).size).toBe(rights.length);
      for (const { since } of rights) expect(ABIS.slice(1)).toContain(since);
    }
  });

  // The masks that Linux itself accepts: LANDLOCK_MASK_ACCESS_FS, LANDLOCK_MASK_ACCESS_NET, LANDLOCK_MASK_SCOPE and the size of the structure.
  test.each([
    [1, 0x1fffn, 0n, 0n, 8],
    [2, 0x3fffn, 0n, 0n, 8],
    [3, 0x7fffn, 0n, 0n, 8],
    [4, 0x7fffn, 3n, 0n, 16],
    [5, 0xffffn, 3n, 0n, 16],
    [6, 0xffffn, 3n, 3n, 24],
    [7, 0xffffn, 3n, 3n, 24],
    [8, 0xffffn, 3n, 3n, 24],
    [9, 0x1ffffn, 3n, 3n, 24],
    [10, 0x1ffffn, 15n, 3n, 24],
  ])("of ABI %i has the masks of that kernel", (abi, fs, net, scoped, size) => {
    const { kept } = downgrade(WITHOUT_REFER, abi);
    expect([bitsOf(FS_RIGHTS, kept.fs), bitsOf(NET_RIGHTS, kept.net), bitsOf(SCOPES, kept.scoped)]).toEqual([
      fs,
      net,
      scoped,
    ]);
    expect(rulesetAttrSize(abi)).toBe(size);
  });
});

describe.each(ABIS)("ABI %i", (abi) => {
  const { kept, lost } = downgrade(EVERYTHING, abi);

  test("keeps or loses every part of what is wanted, and nothing twice", () => {
    expect([...kept.fs, ...lost.fs].toSorted()).toEqual([...EVERYTHING.fs].toSorted());
    expect([...kept.net, ...lost.net].toSorted()).toEqual([...EVERYTHING.net].toSorted());
    expect([...kept.scoped, ...lost.scoped].toSorted()).toEqual([...EVERYTHING.scoped].toSorted());
    expect(kept.log).toBe(!lost.log);
  });

  test("keeps nothing that it does not know, and grants nothing that is not handled", () => {
    for (const right of kept.fs) expect(FS_RIGHTS[right].since).toBeLessThanOrEqual(abi);
    for (const right of kept.net) expect(NET_RIGHTS[right].since).toBeLessThanOrEqual(abi);
    for (const scope of kept.scoped) expect(SCOPES[scope].since).toBeLessThanOrEqual(abi);
    for (const { rights } of kept.paths) {
      expect(rights.length).toBeGreaterThan(0);
      for (const right of rights) expect(kept.fs).toContain(right);
    }
    for (const { rights } of kept.ports) for (const right of rights) expect(kept.net).toContain(right);
  });

  test("grants nothing that was not wanted", () => {
    for (const rule of kept.paths) {
      const wanted = EVERYTHING.paths.find(({ path }) => path === rule.path);
      expect(wanted?.rights).toEqual(expect.arrayContaining([...rule.rights]));
    }
    for (const rule of kept.ports) {
      const wanted = EVERYTHING.ports.find(({ port }) => port === rule.port);
      expect(wanted?.rights).toEqual(expect.arrayContaining([...rule.rights]));
    }
  });

  test("loses no less than the next one", () => {
    const next = downgrade(EVERYTHING, abi + 1).lost;
    expect(lost.fs).toEqual(expect.arrayContaining([...next.fs]));
    expect(lost.net).toEqual(expect.arrayContaining([...next.net]));
    expect(lost.scoped).toEqual(expect.arrayContaining([...next.scoped]));
  });

  test("takes what it kept as it is", () => {
    expect(downgrade(kept, abi)).toEqual({ kept, lost: { fs: [], net: [], scoped: [], log: false } });
  });
});

test("nothing is left without Landlock", () => {
  expect(isEmpty(downgrade(EVERYTHING, 0).kept)).toBe(true);
  expect(downgrade(EVERYTHING, 0).kept).toMatchObject({ paths: [], ports: [], log: false });
});

test("nothing is lost on the newest known kernel, or on one that knows more", () => {
  const none = { fs: [], net: [], scoped: [], log: false };
  for (const abi of [NEWEST_ABI, NEWEST_ABI + 5])
    expect(downgrade(EVERYTHING, abi)).toEqual({ kept: EVERYTHING, lost: none });
});

describe("ABI 1, which denies moving between directories always", () => {
  test("keeps no rights on files where that is granted: it would break what works without", () => {
    expect(downgrade(EVERYTHING, 1).kept.fs).toEqual([]);
    expect(downgrade(EVERYTHING, 1).lost.fs).toEqual(FS_RIGHT_NAMES);
  });

  test("keeps them where it is granted nowhere, and has not lost that right", () => {
    const { kept, lost } = downgrade(WITHOUT_REFER, 1);
    expect(kept.fs).not.toEqual([]);
    expect(lost.fs).toEqual(["truncate", "ioctl_dev", "resolve_unix"]);
  });
});

// ---- plans ----

const onAbi = (landlockAbi: number | null): HostFacts => ({
  ...recordedHost("debian-root-v1-hybrid"),
  landlockAbi,
});
const NEWEST = onAbi(NEWEST_ABI);

function planOf(request: Case): LaunchPlan {
  const plan = planFor(request);
  if (plan.ok) return plan.value;
  throw new Error(plan.problems.map(formatProblem).join("\n"));
}
const problemsOf = (request: Case): readonly Problem[] => {
  const plan = planFor(request);
  return plan.ok ? [] : plan.problems;
};
const settingOf = (request: Case, id = "landlock.fs"): string | undefined =>
  planOf(request).decisions.find((decision) => decision.id === id)?.setting;
/** Where a right holds: the text of the decision, taken apart. */
function placesOf(request: Case, right: string): string | undefined {
  return (settingOf(request) ?? "")
    .split("; ")
    .map((part) => part.split(": ") as [string, string])
    .find(([rights]) => rights.split(", ").includes(right))?.[1];
}

const BIND = (options: readonly string[], target = "/data") => ({
  type: "bind",
  source: target,
  target,
  options,
});
const PATHS = {
  "/data": { type: "directory" },
  "/data/in": { type: "directory" },
  "/data/file": { type: "file" },
  "/srv/root": { type: "directory" },
  "/srv/kept": { type: "directory" },
} as const;

describe("derived", () => {
  test.each<[string, Case["overrides"], Readonly<Record<string, string>>]>([
    [
      "strict: the system runs, /tmp and /dev/shm are written",
      {},
      {
        read_file: "/",
        execute: "/usr",
        write_file: "/dev /tmp",
        make_reg: "/dev/shm /tmp",
        make_char: "nowhere",
      },
    ],
    [
      "discarded writes: the whole root",
      { "/filesystem/write": "ephemeral" },
      { execute: "/", write_file: "/", refer: "/", make_block: "nowhere" },
    ],
    [
      "kept writes: the same",
      { "/filesystem/write": { directory: "/srv/kept" } },
      { execute: "/", write_file: "/" },
    ],
    [
      "a root directory: its programs may be anywhere",
      { "/filesystem/root": { type: "directory", path: "/srv/root" } },
      { execute: "/", make_reg: "/dev/shm /tmp" },
    ],
    [
      "an empty root: nothing but what is mounted",
      { "/filesystem/root": { type: "empty" }, "/filesystem/mounts": [BIND(["ro", "exec"])] },
      { execute: "/data", read_file: "/", truncate: "/dev/shm" },
    ],
    [
      "a bind that is read-only and not executable gives nothing",
      { "/filesystem/mounts": [BIND(["ro", "noexec"])] },
      { execute: "/usr", write_file: "/dev", make_reg: "/dev/shm" },
    ],
    [
      "a writable bind",
      { "/filesystem/mounts": [BIND(["rw", "noexec"])] },
      { execute: "/usr", write_file: "/data /dev", refer: "/data /dev/shm" },
    ],
    [
      "a bind of a file gets what a file can have",
      { "/filesystem/mounts": [BIND(["rw", "exec"], "/data/file")] },
      { execute: "/data/file /usr", write_file: "/data/file /dev", make_reg: "/dev/shm" },
    ],
    [
      "a mount inside one that has the right needs no rule",
      { "/filesystem/mounts": [BIND(["rw", "exec"]), BIND(["rw", "exec"], "/data/in")] },
      { write_file: "/data /dev" },
    ],
    [
      "without devices no device is written or commanded",
      { "/filesystem/devices": [] },
      { write_file: "/tmp", ioctl_dev: "nowhere" },
    ],
    [
      "message queues are made and removed",
      { "/filesystem/devices": ["mqueue"] },
      { make_reg: "/dev/mqueue /tmp", make_dir: "/tmp", ioctl_dev: "nowhere" },
    ],
    ["terminals alone take commands", {}, { ioctl_dev: "/dev/pts /dev/tty" }],
  ])("%s", (_, overrides, expected) => {
    const request = { host: NEWEST, paths: PATHS, overrides: overrides ?? {} };
    expect(
      Object.fromEntries(Object.keys(expected).map((right) => [right, placesOf(request, right)])),
    ).toEqual(expected);
  });

  test("the working directory of build is written and run", () => {
    const request = { host: NEWEST, profile: "build", cwd: "/home/user/work" };
    expect(placesOf(request, "write_file")).toBe("/");
    const strict = { host: NEWEST, cwd: "/home/user/work", overrides: { "/filesystem/workdir": "rw" } };
    expect(placesOf(strict, "write_file")).toBe("/dev /home/user/work /tmp");
    expect(placesOf(strict, "execute")).toBe("/home/user/work /usr");
  });

  test("a command that is shown by itself is run", () => {
    const request = { host: NEWEST, command: "/opt/tool", paths: { "/opt/tool": { type: "file" as const } } };
    expect(placesOf(request, "execute")).toBe("/opt/tool /usr");
  });

  test("an optional bind that is not there has no rule", () => {
    const mounts = [{ ...BIND(["rw"], "/nowhere"), optional: true }];
    const request = { host: NEWEST, overrides: { "/filesystem/mounts": mounts } };
    expect(placesOf(request, "write_file")).toBe("/dev");
  });
});

describe("listed", () => {
  test("paths take the place of the derived ones, made canonical, and of no other right's", () => {
    const request = {
      host: NEWEST,
      overrides: { "/landlock/fs/execute": ["/usr/bin//python3", "/usr/lib/", "/usr/lib"] },
    };
    expect(placesOf(request, "execute")).toBe("/usr/bin/python3 /usr/lib");
    expect(placesOf(request, "write_file")).toBe("/dev /tmp");
  });

  test("none at all is nowhere", () => {
    expect(placesOf({ host: NEWEST, overrides: { "/landlock/fs/read_dir": [] } }, "read_dir")).toBe(
      "nowhere",
    );
  });

  test("sockets outside are restricted only when listed", () => {
    expect(settingOf({ host: NEWEST })).not.toContain("resolve_unix");
    const request = { host: NEWEST, overrides: { "/landlock/fs/resolve_unix": ["/run/x"] } };
    expect(placesOf(request, "resolve_unix")).toBe("/run/x");
  });

  test("a right that no mount gives at that path is a contradiction, at its place", () => {
    const problems = problemsOf({
      host: NEWEST,
      overrides: { "/landlock/fs/write_file": ["/tmp", "/usr/lib"], "/landlock/fs/execute": ["/tmp"] },
    });
    expect(problems.map(({ kind, pointer }) => ({ kind, pointer }))).toEqual([
      { kind: "profile-contradiction", pointer: "/landlock/fs/execute/0" },
      { kind: "profile-contradiction", pointer: "/landlock/fs/write_file/1" },
    ]);
  });

  test("a path around a writable mount is none", () => {
    expect(problemsOf({ host: NEWEST, overrides: { "/landlock/fs/write_file": ["/"] } })).toEqual([]);
  });

  test("ports are each there once, with their rights", () => {
    const overrides = { "/landlock/net/bind_tcp": [8080, 80, 80], "/landlock/net/connect_tcp": [80] };
    expect(settingOf({ host: NEWEST, overrides }, "landlock.net")).toBe("bind_tcp: 80 8080; connect_tcp: 80");
    const rules = stepsOf({ host: NEWEST, overrides }).filter(({ id }) => id.startsWith("landlock.port."));
    expect(rules.map(({ id, why }) => `${id} ${why}`)).toEqual([
      "landlock.port.80 bind_tcp connect_tcp",
      "landlock.port.8080 bind_tcp",
    ]);
  });
});

// ---- decisions ----

describe("what a kernel does not have is decided, with a reason that names it", () => {
  test.each<[number, string, string, RegExp]>([
    [0, "none", "none", /no Landlock/],
    [1, "none", "none", /forbids moving files.*Linux 5\.19/],
    [2, "partial", "none", /truncate \(Linux 6\.2\), ioctl_dev \(Linux 6\.10\)/],
    [3, "partial", "none", /ioctl_dev \(Linux 6\.10\)$/],
    [4, "partial", "none", /ioctl_dev/],
    [5, "full", "none", /^$/],
    [6, "full", "full", /^$/],
    [7, "full", "full", /^$/],
    [10, "full", "full", /^$/],
  ])("ABI %i under strict: files %s, scope %s", (abi, fs, scope, reason) => {
    const plan = planOf({ host: onAbi(abi) });
    const of = (id: string) => plan.decisions.find((decision) => decision.id === id);
    expect([of("landlock.fs")?.status, of("landlock.scope")?.status]).toEqual([fs, scope]);
    expect(of("landlock.fs")?.reason).toMatch(reason);
    const total = fs === "full" && scope === "full" ? "full" : fs === "none" ? "none" : "partial";
    expect(controlStatus(plan.decisions, "landlock")).toBe(total);
  });

  test("a kernel that could not be asked is not said to have none", () => {
    const { status, reason } = planOf({ host: onAbi(null) }).decisions.find(
      ({ id }) => id === "landlock.fs",
    ) as Decision;
    expect([status, reason]).toEqual(["none", expect.stringMatching(/^the kernel could not be asked/)]);
    const overrides = { "/landlock/net/connect_tcp": [443] };
    expect(problemsOf({ host: onAbi(null), overrides })[0]?.message).toContain("could not be asked");
  });

  test("records of denials are a decision of their own", () => {
    const statusOn = (abi: number) =>
      planOf({ host: onAbi(abi), overrides: { "/landlock/log": true } }).decisions.find(
        ({ id }) => id === "landlock.log",
      )?.status;
    expect([statusOn(6), statusOn(7)]).toEqual(["none", "full"]);
  });

  test("a profile that requires it is refused where it is missing, by each part", () => {
    const problems = problemsOf({ host: onAbi(2), overrides: { "/require/landlock": "full" } });
    expect(problems.map(({ kind, message }) => `${kind} ${message.split(" ")[0]}`)).toEqual([
      "host-cannot landlock.fs",
      "host-cannot landlock.scope",
    ]);
    expect(problems[0]?.hint).toContain(`/require/landlock='"partial"'`);
  });

  test("a list that the kernel cannot keep the payload to is refused at its place, whatever is required", () => {
    const overrides = { "/landlock/net/connect_tcp": [443], "/landlock/fs/truncate": ["/tmp"] };
    expect(problemsOf({ host: onAbi(4), overrides })).toEqual([]);
    for (const abi of [0, 2]) {
      const problems = problemsOf({ host: onAbi(abi), overrides });
      expect(problems.map(({ kind, pointer }) => ({ kind, pointer }))).toEqual([
        { kind: "host-cannot", pointer: "/landlock/fs/truncate" },
        { kind: "host-cannot", pointer: "/landlock/net/connect_tcp" },
      ]);
    }
    expect(problemsOf({ host: onAbi(2), overrides })[1]?.message).toContain("connect_tcp (Linux 6.7)");
  });

  test("off is what was asked for, and makes no call", () => {
    const request = { host: onAbi(0), overrides: { "/landlock": null, "/require/landlock": "full" } };
    expect(planOf(request).decisions.filter(({ control }) => control === "landlock")).toMatchObject([
      { id: "landlock", setting: "off", status: "full" },
    ]);
    expect(stepsOf({ ...request, host: NEWEST })).toEqual([]);
  });
});

// ---- steps ----

function stepsOf(request: Case): readonly Exclude<Step, { kind: "label" }>[] {
  return planOf(request).program.roles.payload.steps.filter(
    (step): step is Exclude<Step, { kind: "label" }> =>
      step.kind !== "label" && step.decision.startsWith("landlock"),
  );
}

describe("the launcher", () => {
  test("makes no call about Landlock where there is none", () => {
    expect(stepsOf({ host: onAbi(0) })).toEqual([]);
    expect(stepsOf({ host: onAbi(null) })).toEqual([]);
  });

  test.each(["strict", "standard", "build", "judge"])(
    "restricts the payload of %s, and no other role",
    (profile) => {
      const { roles } = planOf({ host: NEWEST, profile }).program;
      const restricting = Object.entries(roles).filter(([, { steps }]) =>
        steps.some((step) => step.kind === "call" && step.call === "landlock_restrict_self"),
      );
      expect(restricting.map(([role]) => role)).toEqual(["payload"]);
    },
  );

  test("restricts after no_new_privs and before the filter, and opens nothing afterwards", () => {
    const ids = planOf({ host: NEWEST }).program.roles.payload.steps.map((step) =>
      step.kind === "label" ? "" : step.id,
    );
    const at = (id: string) => ids.indexOf(id);
    expect(at("no-new-privs.set")).toBeGreaterThan(-1);
    expect(at("landlock.create")).toBeGreaterThan(at("no-new-privs.set"));
    expect(at("landlock.restrict")).toBeGreaterThan(at("landlock.create"));
    expect(at("seccomp.install")).toBeGreaterThan(at("landlock.restrict"));
    const after = planOf({ host: NEWEST }).program.roles.payload.steps.slice(at("landlock.restrict") + 1);
    const calls = after.flatMap((step) => (step.kind === "call" ? [step.call] : []));
    expect(calls).toEqual(["kill", "close_range", "seccomp"]);
  });

  test("fails where a rule cannot be made; only a derived place that is not there is passed over", () => {
    const steps = stepsOf({
      host: NEWEST,
      overrides: { "/landlock/fs/execute": ["/usr/bin"], "/landlock/net/bind_tcp": [1] },
    });
    const lenient = steps.filter(
      ({ kind, ...step }) => kind === "call" && "onError" in step && step.onError !== "fail",
    );
    expect(lenient.map(({ id }) => id).toSorted()).toEqual([
      "landlock.probe",
      "landlock.stderr",
      "landlock.stdin",
      "landlock.stdout",
      "landlock:/dev.open",
      "landlock:/dev/pts.open",
      "landlock:/dev/shm.open",
      "landlock:/dev/tty.open",
      "landlock:/tmp.open",
    ]);
  });

  test("never lets the payload's own domains fill the audit log, and logs denials only when asked", () => {
    const flags = (abi: number, log: boolean) => {
      const step = stepsOf({ host: onAbi(abi), overrides: { "/landlock/log": log } }).find(
        ({ id }) => id === "landlock.restrict",
      );
      return step?.kind === "call" && step.args[1]?.kind === "value" ? step.args[1].value : null;
    };
    expect([flags(6, true), flags(7, false), flags(7, true)]).toEqual([0n, 0b101n, 0b111n]);
  });

  test("proves the domain by a signal to init where signals are scoped", () => {
    const has = (request: Case) => stepsOf(request).some(({ id }) => id === "landlock.proved");
    expect(has({ host: onAbi(6) })).toBe(true);
    expect(has({ host: onAbi(5) })).toBe(false);
    expect(has({ host: NEWEST, overrides: { "/landlock/scope/signal": false } })).toBe(false);
  });
});
