/** What other tools wrote is explained and judged like a profile of ours, and what it does not say is never a pass. */
import { describe, expect, test } from "vitest";
import { OP } from "../../src/compile/seccomp/decode.ts";
import { RET } from "../../src/compile/seccomp/ir.ts";
import { defaultsOf } from "../../src/gate/options.ts";
import { type PolicyFacts, policyFacts } from "../../src/policy-facts.ts";
import { formatProblem } from "../../src/problems.ts";
import { NotStated } from "../../src/profile/stated.ts";
import { explainCall } from "../../src/profile-explain/calls.ts";
import { explain, NOT_SAID } from "../../src/profile-explain/explain.ts";
import { explanationMarkdown } from "../../src/profile-explain/markdown.ts";
import { explanationText } from "../../src/profile-explain/text.ts";
import { Asked } from "../../src/profile-rules/ask.ts";
import { exposureOf } from "../../src/profile-rules/exposure.ts";
import { factsOf as factsFrom } from "../../src/profile-rules/facts.ts";
import type { FilterFacts } from "../../src/profile-rules/filter-facts.ts";
import { PROFILE_RULES } from "../../src/profile-rules/registry.ts";
import { runCase } from "../../src/profile-tests/run.ts";
import { Undecided } from "../../src/prove/diagram.ts";
import { ask } from "../profile-rules/facts.ts";
import { assemble } from "../prove/programs.ts";
import { valueOf } from "../seccomp/support.ts";
import { AS_WRITTEN, filesWith } from "./files.ts";

type More = Partial<Parameters<typeof policyFacts>[0]>;

const read = (content: object | string | Uint8Array, more: More = {}) =>
  policyFacts(
    { ...AS_WRITTEN, machines: null, overrides: [], name: "/policy", ...more },
    filesWith({
      [more.name ?? "/policy"]:
        typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content),
    }),
  );
const of = (content: object | string | Uint8Array, more: More = {}): PolicyFacts =>
  valueOf(read(content, more));

const SECCOMP = {
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [
    { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
    { names: ["mount"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_ADMIN"] } },
    { names: ["ptrace"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
    { names: ["arch_prctl"], action: "SCMP_ACT_ALLOW", includes: { arches: ["amd64"] } },
  ],
};

/** As `runc spec` writes it, in short, with a few holes. */
const CONFIG = {
  ociVersion: "1.0.2",
  process: {
    terminal: true,
    user: { uid: 1000, gid: 1000 },
    args: ["sh"],
    env: ["PATH=/bin", "API_TOKEN=x"],
    cwd: "/srv",
    capabilities: { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] },
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
    apparmorProfile: "docker-default",
  },
  root: { path: "rootfs", readonly: true },
  hostname: "box",
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec"] },
    { destination: "/data", type: "bind", source: "/srv/data", options: ["rbind", "rw"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] },
  ],
  linux: {
    namespaces: [
      { type: "pid" },
      { type: "mount" },
      { type: "ipc" },
      { type: "network", path: "/run/netns/x" },
    ],
    resources: { memory: { limit: 67_108_864 }, pids: { limit: -1 } },
    devices: [{ path: "/dev/kvm", type: "c", major: 10, minor: 232 }],
    maskedPaths: ["/proc/kcore"],
    readonlyPaths: ["/proc/sys"],
    seccomp: SECCOMP,
  },
};

/** Lets getpid through on x86-64, kills the rest. */
const PROGRAM = assemble([
  { code: OP.ld, k: 4 },
  { code: OP.jeq, k: 0xc000003e, jt: 1, jf: 0 },
  { code: OP.ret, k: RET.killProcess },
  { code: OP.ld, k: 0 },
  { code: OP.jeq, k: 39, jt: 0, jf: 1 },
  { code: OP.ret, k: RET.allow },
  { code: OP.ret, k: RET.killProcess },
]);

/** A filter of which nothing can be computed. */
class Stuck extends Asked {
  override findAllowed(): never {
    return this.decide(() => {
      throw new Undecided("too many nodes");
    });
  }
}

const statedOf = ({ facts }: PolicyFacts) => ({
  spec: facts.spec,
  ours: facts.ours,
  origin: (pointer: string) => facts.origin(pointer),
  at: (pointer: string) => facts.at(pointer),
});

const rulesOf = ({ facts }: PolicyFacts): Readonly<Record<string, "clean" | "broken" | "not judged">> =>
  Object.fromEntries(
    PROFILE_RULES.rules.map((rule) => {
      const found = [...rule.check(facts, defaultsOf(rule.options))];
      const undecided = found.some((violation) => violation.undecided === true);
      return [rule.id, undecided ? "not judged" : found.length > 0 ? "broken" : "clean"];
    }),
  );

describe("a container engine's seccomp profile", () => {
  test("is decided for the capabilities, machine and kernel that are stated", () => {
    const allowed = (name: string, more: More) => of(SECCOMP, more).facts.allowed({ names: [name] }) !== null;
    expect([
      allowed("mount", { capabilities: [] }),
      allowed("mount", { capabilities: ["CAP_SYS_ADMIN"] }),
    ]).toEqual([false, true]);
    expect([
      allowed("ptrace", { kernel: { major: 4, minor: 4 } }),
      allowed("ptrace", { kernel: { major: 4, minor: 8 } }),
    ]).toEqual([false, true]);
    expect([
      allowed("arch_prctl", { machines: ["aarch64"] }),
      allowed("arch_prctl", { machines: ["x86_64"] }),
    ]).toEqual([false, true]);
  });

  test("answers what system calls decide, and no rule about anything else passes", () => {
    const judged = rulesOf(of(SECCOMP, { capabilities: [] }));
    const callsAlone = [
      "filter",
      "deny-by-default",
      "native-calls-only",
      "socket-families",
      "errno-for-new-calls",
      "no-new-user-namespaces",
      "no-namespace-changes",
      "no-af-alg",
      "no-io-uring",
      "no-packet-sockets",
      "no-setuid-files",
      "no-mounting",
      "no-kernel-code",
      "no-terminal-injection",
      "no-code-at-run-time",
    ];
    for (const [id, verdict] of Object.entries(judged))
      expect([id, verdict]).toEqual([
        id,
        callsAlone.includes(id) ? "clean" : id === "no-dangerous-calls" ? "broken" : "not judged",
      ]);
  });

  test("a rule that it breaks points at the line", () => {
    const text = `{ "defaultAction": "SCMP_ACT_ERRNO",
  "syscalls": [
    { "names": ["read", "bpf"], "action": "SCMP_ACT_ALLOW" } ] }`;
    expect(ask(of(text).facts, "no-dangerous-calls")).toMatchObject([
      { object: "bpf", places: [{ file: "/policy", line: 3, column: 25 }] },
    ]);
  });

  test("a property that two layers must hold is not judged where the second is not said, and broken where it cannot be held", () => {
    const { facts } = of(SECCOMP);
    expect(ask(facts, "no-mounting", { layers: 1 })).toEqual([]);
    expect(ask(facts, "no-mounting", { layers: 2 })).toMatchObject([
      { object: "not judged", undecided: true },
    ]);
    expect(ask(facts, "no-io-uring", { layers: 2 })).toEqual([]);
    const open = of({ defaultAction: "SCMP_ACT_ALLOW" }).facts;
    expect(ask(open, "no-io-uring")).toMatchObject([{ object: "system calls" }]);
    expect(ask(open, "no-io-uring")[0]?.undecided).toBeUndefined();
  });

  test("the exposure is the worst that it can be, and a limit on it is not judged within that", () => {
    const exposure = exposureOf(of(SECCOMP).facts);
    expect(exposure.atMost).toBe(true);
    const unsaid = exposure.parts.filter(({ decided }) => !decided);
    expect(unsaid.map(({ points }) => points)).toEqual(unsaid.map(({ most }) => most));
    const { facts } = of(SECCOMP);
    expect(ask(facts, "exposure-limit", { max: 9 })).toEqual([]);
    expect(ask(facts, "exposure-limit", { max: 2 })).toMatchObject([{ object: "not judged" }]);
    const open = of({ defaultAction: "SCMP_ACT_ALLOW" }).facts;
    expect(ask(open, "exposure-limit", { max: 1 })).toMatchObject([{ object: "exposure" }]);
  });

  test("is explained, in every form, with what it does not say", () => {
    const explanation = explain(of(SECCOMP).facts, ["/policy"]);
    const text = explanationText(explanation);
    for (const title of ["isolation", "files", "privileges", "limits", "surroundings"])
      expect(text).toContain(`${title}: ${NOT_SAID}\n`);
    expect(text).toContain("  yes  io_uring, whose operations pass no filter: system calls\n");
    expect(text).toMatch(/\n {2}\? {4}gaining rights by executing a file\n/);
    expect(explanationMarkdown(explanation)).toContain("## Files\n\nNot said here.\n");
    expect(JSON.parse(JSON.stringify(explanation))).toMatchObject({ exposure: { atMost: true } });
  });

  test("shows the convention of the machine that was asked for", () => {
    const explanation = explain(of(SECCOMP, { machines: ["aarch64"] }).facts, []);
    expect([explanation.convention, explanation.calls.length > 0]).toEqual(["aarch64", true]);
  });

  test("options that change a profile are refused", () => {
    const source = { kind: "flag", flag: "--memory" } as const;
    const refused = read(SECCOMP, { overrides: [{ pointer: "/resources/memory", value: "1G", source }] });
    expect(refused.ok ? [] : refused.problems.map(formatProblem)).toEqual([
      "--memory: /policy is a seccomp profile of a container engine, which options do not change; sandbox profile import /policy makes a profile of it",
    ]);
  });
});

describe("an OCI config.json", () => {
  test("is judged on every layer that it decides", () => {
    const judged = rulesOf(of(CONFIG));
    expect(judged).toMatchObject({
      "own-user-namespace": "broken",
      "own-pid-namespace": "clean",
      "own-network-namespace": "not judged",
      "not-root": "clean",
      "no-host-root": "broken",
      "no-new-privileges": "clean",
      capabilities: "broken",
      "not-privileged": "clean",
      "security-module": "clean",
      landlock: "broken",
      "read-only-root": "clean",
      "no-host-writes": "broken",
      "no-host-devices": "broken",
      "kernel-paths-masked": "broken",
      "memory-limit": "clean",
      "process-limit": "broken",
      "time-limit": "not judged",
      "no-secret-variables": "broken",
      "audit-required": "not judged",
      "fails-closed": "not judged",
    });
  });

  test("each finding is at the line of the document", () => {
    const text = JSON.stringify(CONFIG, null, 1);
    const { facts } = of(text);
    const lines = text.split("\n");
    const shown = (id: string) =>
      ask(facts, id).map(({ object, places }) => [object, lines[(places[0]?.line ?? 0) - 1]?.trim()]);
    expect(shown("capabilities")).toEqual([["CAP_KILL", '"CAP_KILL"']]);
    expect(shown("no-secret-variables")).toEqual([["API_TOKEN", '"API_TOKEN=x"']]);
    expect(shown("process-limit")).toEqual([["/resources/pids", '"limit": -1']]);
    expect(shown("own-user-namespace")).toEqual([["user", '"namespaces": [']]);
    expect(ask(facts, "no-host-writes").map(({ object, places }) => [object, places[0]?.line])).toEqual([
      ["/srv/data", lines.findIndex((line) => line.includes('"/data"'))],
      ["/sys/fs/cgroup", lines.findIndex((line) => line.includes('"/sys/fs/cgroup"'))],
      ["/dev/kvm", lines.findIndex((line) => line.includes('"/dev/kvm"'))],
    ]);
  });

  test.each<
    readonly [what: string, change: object, rule: string, verdict: "clean" | "broken" | "not judged"]
  >([
    ["no filter", { linux: { namespaces: [] } }, "filter", "broken"],
    ["no user", { process: { capabilities: {} } }, "not-root", "not judged"],
    ["an empty user, which is root", { process: { user: {} } }, "not-root", "broken"],
    ["no process", { process: undefined }, "no-new-privileges", "not judged"],
    ["a process without a word", { process: { user: {} } }, "no-new-privileges", "broken"],
    ["no capabilities", { process: { user: {} } }, "capabilities", "not judged"],
    ["a root that can be written", { root: { path: "rootfs" } }, "read-only-root", "broken"],
    [
      "a root that leaves the bundle",
      { root: { path: "../../etc", readonly: true } },
      "no-host-paths",
      "broken",
    ],
    [
      "every device",
      { linux: { resources: { devices: [{ allow: true, access: "rwm" }] } } },
      "no-host-devices",
      "broken",
    ],
    [
      "one device",
      { linux: { resources: { devices: [{ allow: true, major: 1, minor: 3 }] } } },
      "no-host-devices",
      "clean",
    ],
    [
      "an unconfined AppArmor profile",
      { process: { apparmorProfile: "unconfined" } },
      "security-module",
      "broken",
    ],
    [
      "a file system of somebody",
      { mounts: [{ destination: "/m", type: "nfs", source: "srv:/x" }] },
      "no-host-writes",
      "broken",
    ],
    [
      "a tmpfs at /dev with programs",
      { mounts: [{ destination: "/dev", type: "tmpfs" }] },
      "no-writable-programs",
      "broken",
    ],
    [
      "mapped to the host's root",
      { linux: { namespaces: [{ type: "user" }], uidMappings: [{ containerID: 0, hostID: 0, size: 1 }] } },
      "no-host-root",
      "broken",
    ],
    [
      "mapped elsewhere",
      { linux: { namespaces: [{ type: "user" }], uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }] } },
      "no-host-root",
      "clean",
    ],
    [
      "a user namespace of its own, and no map",
      { linux: { namespaces: [{ type: "user" }] } },
      "no-host-root",
      "not judged",
    ],
  ])("%s", (_, change, rule, verdict) => {
    const bare = {
      ociVersion: "1.0.2",
      root: { path: "rootfs", readonly: true },
      process: { user: { uid: 1, gid: 1 } },
    };
    expect(rulesOf(of({ ...bare, ...change }))[rule]).toBe(verdict);
  });

  test("what is not understood is a note or a mistake, never passed over", () => {
    const { notes } = of({
      ...CONFIG,
      hooks: { prestart: [] },
      linux: { ...CONFIG.linux, sysctl: {}, rootfsPropagation: "rshared" },
    });
    const said = notes.map(({ message }) => message);
    expect(said).toContain('"hooks" is not carried over');
    expect(said).toContain('"sysctl" is not carried over');
    expect(said).toContain("what is mounted inside appears on the host; no rule judges that");
    expect(said).toContain(
      "the network namespace is one that exists already: whose it is does not stand here",
    );
    const wrong = read({
      ociVersion: "1.0.2",
      process: { user: { uid: -1 }, noNewPrivileges: "yes", rlimits: [{ type: "RLIMIT_LOVE" }], env: [7] },
      mounts: [{ type: "bind" }],
      linux: { namespaces: [{ type: "love" }], resources: { memory: { limit: "64M" } } },
    });
    expect(wrong.ok ? [] : wrong.problems.map(({ pointer }) => pointer).toSorted()).toEqual([
      "/linux/namespaces/0",
      "/linux/resources/memory/limit",
      "/mounts/0",
      "/process/env/0",
      "/process/noNewPrivileges",
      "/process/rlimits/0",
      "/process/user/uid",
    ]);
  });

  test("a path is what it leads to, however it is written", () => {
    const shown = (mount: object, root: object = { path: "rootfs" }) =>
      of(
        { ociVersion: "1.0.2", root, mounts: [{ type: "bind", destination: "data/", ...mount }] },
        { cwd: "/srv/box", name: "/srv/box/config.json" },
      ).facts.paths.map(({ inside, host }) => [inside, host]);
    expect(shown({ source: "../../etc" })).toEqual([
      ["/", null],
      ["/data", "/etc"],
    ]);
    expect(shown({ source: "/usr/../etc/" })).toContainEqual(["/data", "/etc"]);
    expect(shown({ source: "./cache/../data" })).toContainEqual(["/data", "data"]);
    expect(shown({ source: "x" }, { path: "../../", readonly: true })[0]).toEqual(["/", "/"]);
    expect(
      ask(
        of({ ociVersion: "1", mounts: [{ type: "bind", destination: "/x", source: "../../../etc" }] }).facts,
        "no-sensitive-paths",
      ),
    ).toHaveLength(1);
  });

  test("keys that mean something to JavaScript are keys like any other", () => {
    const { facts } = of(
      '{"ociVersion":"1","__proto__":{"x":1},"process":{"env":["__proto__=1","constructor=2"],"user":{"__proto__":{"uid":7}}}}',
    );
    expect(Object.keys(facts.spec.environment.set)).toEqual(["__proto__", "constructor"]);
    expect(facts.spec.identity.uid).toBe(0);
  });
});

describe("a filter in BPF", () => {
  test("is judged for the machines that it was made for", () => {
    const { facts } = of(PROGRAM);
    expect(facts.filters.map(({ arch }) => arch)).toEqual(["x86_64"]);
    expect(facts.allowed({ names: ["getpid"] })?.abi).toBe("x86_64");
    expect(facts.allowed({ names: ["read"] })).toBeNull();
    const judged = rulesOf({ ...of(PROGRAM) });
    expect(judged).toMatchObject({
      filter: "clean",
      "deny-by-default": "clean",
      "no-dangerous-calls": "clean",
      "errno-for-new-calls": "broken",
      capabilities: "not judged",
    });
  });

  test("each answer is told, with the file in place of a line", () => {
    expect(explainCall(of(PROGRAM).facts, "getpid")).toMatchObject([
      { abi: "x86_64", verdict: "allow", when: "always", places: [{ file: "/policy", line: 0 }] },
    ]);
    expect(() => of(PROGRAM).facts.spec.seccomp).toThrow(NotStated);
  });

  test("one that cannot be computed is a problem and not a pass", () => {
    const odd = assemble([
      { code: OP.ld, k: 0 },
      { code: OP.tax },
      { code: OP.mul | 8 },
      { code: OP.jeq, k: 9 },
      { code: OP.ret, k: RET.allow },
    ]);
    const refused = read(odd);
    expect(refused.ok ? [] : refused.problems.map(({ kind }) => kind)).toEqual(["filter-undecided"]);
  });

  test("what grows past every limit while it is asked is not decided, and no rule passes on it", () => {
    const { facts } = of(PROGRAM);
    const [filter] = facts.filters;
    const asked = filter?.asked;
    if (asked === undefined) throw new Error("no filter");
    expect(() =>
      asked.decide(() => {
        throw new Undecided("too many nodes");
      }),
    ).toThrow(new NotStated("/seccomp", "what the filter does cannot be decided: too many nodes"));
    const stuck = { ...of(SECCOMP).facts.filters[0] } as FilterFacts;
    const hard = factsFrom({
      ...statedOf(of(SECCOMP)),
      filters: [{ ...stuck, asked: new Stuck(asked.prover, asked.meaning) }],
    });
    expect(ask(hard, "no-io-uring")).toMatchObject([{ object: "not judged", undecided: true }]);
  });

  test("one that nobody can pass is judged for every machine", () => {
    const none = assemble([{ code: OP.ret, k: RET.killProcess }]);
    expect(of(none).facts.filters.map(({ arch }) => arch)).toEqual(["x86_64", "aarch64"]);
  });
});

test("a test of what a document does not say fails, whatever it expects", () => {
  const { facts } = of(SECCOMP);
  for (const expected of ["allow", "deny"] as const) {
    const place = { file: "t", line: 1, column: 1 };
    const subjects = [
      { kind: "capability", name: "CAP_KILL" },
      { kind: "read", path: "/etc" },
      { kind: "property", id: "no-privileges-by-exec" },
    ] as const;
    for (const subject of subjects)
      expect(runCase(facts, { name: "", subject, expected, place }).failure).toMatch(/does not say/);
  }
});
