/** Each rule finds what it is about, where it was decided, and nothing in the shipped profile strict. */
import { describe, expect, it } from "vitest";
import { policyFiles } from "../../src/gate/files.ts";
import { loadPolicy } from "../../src/gate/policy.ts";
import { CAPABILITIES } from "../../src/profile/capability-names.ts";
import { PROFILE_RULES } from "../../src/profile-rules/registry.ts";
import { allow, ask, type Change, factsOf, filterOf } from "./facts.ts";

const STRICT = factsOf("strict");

const bind = (source: string, options: readonly string[] = ["ro"]): Change => [
  "/filesystem/mounts/-",
  { type: "bind", source, target: "/shown", options },
];
const hostNetwork: readonly Change[] = [
  ["/namespaces/network", false],
  ["/network/mode", "host"],
];
const withCapability = (name: string): readonly Change[] =>
  ["bounding", "permitted", "effective"].map((set) => [`/capabilities/${set}`, [name]] as const);
const masked = (index: number, bits: string) => [
  { index, op: "SCMP_CMP_MASKED_EQ", value: bits, valueTwo: bits },
];

/** Rule, options, what is changed in strict, and the objects found. */
const VIOLATIONS: readonly (readonly [
  id: string,
  changes: readonly Change[],
  objects: readonly string[],
  options?: Readonly<Record<string, unknown>>,
])[] = [
  ["own-user-namespace", [["/namespaces/user", false]], ["user"]],
  [
    "own-pid-namespace",
    [
      ["/namespaces/pid", false],
      ["/filesystem/proc", "none"],
      ["/filesystem/devices", ["null"]],
    ],
    ["pid"],
  ],
  ["own-network-namespace", hostNetwork, ["network"]],
  ["own-ipc-namespace", [["/namespaces/ipc", false]], ["ipc"]],
  ["own-uts-namespace", [["/namespaces/uts", false]], ["uts"]],
  ["own-cgroup-namespace", [["/namespaces/cgroup", false]], ["cgroup"]],
  ["own-time-namespace", [["/namespaces/time", false]], ["time"]],
  [
    "not-root",
    [
      ["/identity/allowRoot", true],
      ["/identity/uid", 0],
    ],
    ["uid"],
  ],
  [
    "no-host-root",
    [
      [
        "/identity/map",
        {
          uidMappings: [{ containerID: 1000, hostID: 0, size: 1 }],
          gidMappings: [{ containerID: 1000, hostID: 1000, size: 1 }],
        },
      ],
    ],
    ["root"],
  ],
  ["no-host-root", [["/namespaces/user", false]], ["root"]],
  [
    "no-new-privileges",
    [
      ["/noNewPrivileges", false],
      ["/seccomp", null],
      ["/landlock", null],
    ],
    ["noNewPrivileges"],
  ],
  ["capabilities", withCapability("CAP_SYS_ADMIN"), ["CAP_SYS_ADMIN"]],
  [
    "capabilities",
    [["/capabilities/bounding", ["CAP_CHOWN", "CAP_KILL"]]],
    ["CAP_KILL"],
    { allow: ["CAP_CHOWN"] },
  ],
  ["not-privileged", [...withCapability("CAP_SYS_ADMIN"), ["/namespaces/user", false]], ["privileged"]],
  [
    "not-privileged",
    ["bounding", "permitted", "effective"].map((set): Change => [`/capabilities/${set}`, CAPABILITIES]),
    ["privileged"],
  ],
  ["security-module", [["/lsm/type", "none"]], ["lsm"]],
  ["security-module", [], ["lsm"], { required: true }],
  ["landlock", [["/landlock", null]], ["landlock"]],
  ["landlock", [["/landlock/scope/signal", false]], ["signal"]],
  ["landlock", [["/landlock/scope/abstract_unix_socket", false]], ["abstract_unix_socket"]],
  ["landlock", [], ["landlock"], { required: true }],
  ["read-only-root", [["/filesystem/write", "ephemeral"]], ["/"]],
  ["read-only-root", [["/filesystem/write", { directory: "/srv/out" }]], ["/"], { discarded: true }],
  ["no-host-writes", [["/filesystem/write", { directory: "/srv/out" }]], ["/srv/out"]],
  [
    "no-host-writes",
    [bind("/srv/a", ["rw"]), ["/filesystem/workdir", "rw"]],
    ["/srv/a", "working directory"],
  ],
  ["no-host-paths", [bind("/srv/a")], ["/srv/a"]],
  ["no-host-paths", [["/filesystem/root", { type: "directory", path: "/srv/root" }]], ["/srv/root"]],
  ["no-sensitive-paths", [bind("/etc")], ["/etc"]],
  ["no-sensitive-paths", [bind("/")], ["/"]],
  ["no-sensitive-paths", [bind("/etc/cron.d", ["rw"])], ["/etc/cron.d"]],
  ["no-engine-socket", [bind("/run/docker.sock")], ["/run/docker.sock"]],
  ["no-engine-socket", [bind("/run/podman")], ["/run/podman/podman.sock"]],
  ["no-host-devices", [bind("/dev/dri")], ["/dev/dri"]],
  [
    "kernel-paths-masked",
    [
      ["/filesystem/proc", "full"],
      ["/filesystem/masked", ["/proc/kcore"]],
      ["/filesystem/readOnly", ["/proc/sys"]],
    ],
    ["/proc/keys", "/proc/irq"],
    { masked: ["/proc/kcore", "/proc/keys"], readOnly: ["/proc/sys", "/proc/irq"] },
  ],
  ["no-writable-programs", [["/filesystem/mounts/0/options", ["exec"]]], ["/tmp"]],
  [
    "no-writable-programs",
    [filterOf("SCMP_ACT_ERRNO", { names: ["memfd_create", "execve"], action: "SCMP_ACT_ALLOW" })],
    ["memfd_create"],
  ],
  ["filter", [["/seccomp", null]], ["seccomp"]],
  [
    "deny-by-default",
    [filterOf("SCMP_ACT_ALLOW", { names: ["mount"], action: "SCMP_ACT_ERRNO" })],
    ["default"],
  ],
  ["deny-by-default", [filterOf("SCMP_ACT_LOG")], ["default"]],
  ["native-calls-only", [["/seccomp/architectures", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]]], ["i386"]],
  ["no-dangerous-calls", [allow(["@bpf", "keyctl"])], ["bpf", "keyctl"]],
  // Allowed for one value of an argument is allowed.
  ["no-dangerous-calls", [allow(["bpf"], [{ index: 0, op: "SCMP_CMP_EQ", value: 17 }])], ["bpf"]],
  [
    "no-dangerous-calls",
    [filterOf("SCMP_ACT_ALLOW", { names: ["ptrace"], action: "SCMP_ACT_KILL" })],
    ["bpf"],
    { calls: ["bpf", "ptrace"] },
  ],
  ["socket-families", [allow(["socket"], [{ index: 0, op: "SCMP_CMP_EQ", value: 38 }])], []],
  [
    "socket-families",
    [
      filterOf("SCMP_ACT_ERRNO", {
        names: ["socket"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, op: "SCMP_CMP_LE", value: 11 }],
      }),
    ],
    ["ax25", "ipx", "appletalk", "netrom", "x25", "rose"],
  ],
  ["errno-for-new-calls", [filterOf("SCMP_ACT_KILL_PROCESS")], ["newer"]],
  // strict refuses clone3 by name, so that a further rule cannot open it.
  ["no-new-user-namespaces", [allow(["clone3"])], []],
  ["no-new-user-namespaces", [allow(["unshare"], masked(0, "0x10000000"))], ["system calls"]],
  [
    "no-new-user-namespaces",
    [filterOf("SCMP_ACT_ERRNO", { names: ["clone3"], action: "SCMP_ACT_ALLOW" })],
    ["system calls"],
  ],
  ["no-namespace-changes", [allow(["unshare"], masked(0, "0x4000000"))], ["system calls"]],
  ["no-namespace-changes", [allow(["setns"])], ["system calls"]],
  ["no-af-alg", [allow(["io_uring_setup"])], ["system calls"]],
  [
    "no-af-alg",
    [
      [
        "/seccomp",
        {
          defaultAction: "SCMP_ACT_ERRNO",
          architectures: ["SCMP_ARCH_X86"],
          syscalls: [{ names: ["socketcall"], action: "SCMP_ACT_ALLOW" }],
        },
      ],
    ],
    ["system calls"],
  ],
  ["no-io-uring", [allow(["io_uring_enter"])], ["system calls"]],
  [
    "no-packet-sockets",
    [...hostNetwork, ...withCapability("CAP_NET_RAW"), ["/seccomp", null]],
    ["system calls, capabilities, network namespace"],
  ],
  ["no-packet-sockets", hostNetwork, ["network namespace"], { layers: 3 }],
  [
    "no-setuid-files",
    [bind("/srv/a", ["rw"]), filterOf("SCMP_ACT_ERRNO", { names: ["fchmod"], action: "SCMP_ACT_ALLOW" })],
    ["files, system calls"],
  ],
  ["no-mounting", [...withCapability("CAP_SYS_ADMIN"), allow(["fsopen"])], ["system calls, capabilities"]],
  [
    "no-kernel-code",
    [...withCapability("CAP_SYS_MODULE"), ["/namespaces/user", false], allow(["finit_module"])],
    ["system calls, capabilities, user namespace"],
  ],
  ["no-tracing-of-others", [allow(["ptrace"])], ["system calls"], { layers: 3 }],
  ["no-terminal-injection", [allow(["ioctl"])], [], { layers: 1 }],
  [
    "no-terminal-injection",
    [filterOf("SCMP_ACT_ERRNO", { names: ["ioctl"], action: "SCMP_ACT_ALLOW" })],
    ["system calls"],
    { layers: 2 },
  ],
  ["no-privileges-by-exec", [["/capabilities/bounding", ["CAP_CHOWN"]]], ["capabilities"], { layers: 3 }],
  ["no-code-at-run-time", [], ["system calls, memory"]],
  [
    "memory-limit",
    [
      ["/resources/memory", null],
      ["/resources/swap", null],
    ],
    ["/resources/memory"],
  ],
  ["memory-limit", [], ["/resources/memory"], { max: 1024 }],
  ["process-limit", [["/resources/pids", null]], ["/resources/pids"]],
  [
    "cpu-limit",
    [
      ["/resources/cpus", null],
      ["/resources/cpuTime", null],
    ],
    ["/resources/cpus"],
  ],
  ["time-limit", [["/resources/wallTime", null]], ["/resources/wallTime"]],
  ["time-limit", [], ["/resources/wallTime"], { max: 1000 }],
  ["open-file-limit", [["/resources/openFiles", null]], ["/resources/openFiles"]],
  ["no-core-dumps", [["/resources/coreSize", "1M"]], ["/resources/coreSize"]],
  ["limits-in-force", [["/require/resources", "none"]], ["/require/resources"]],
  ["limits-in-force", [], ["/require/resources"], { least: "full" }],
  ["no-secret-variables", [["/environment/pass", ["LANG", "GITHUB_TOKEN", "MONKEY"]]], ["GITHUB_TOKEN"]],
  ["no-secret-variables", [["/environment/set", { DB_PASSWORD: "x" }]], ["DB_PASSWORD"]],
  [
    "audit-required",
    [
      ["/audit/require", false],
      ["/require/audit", "none"],
    ],
    ["audit"],
  ],
  ["audit-required", [["/audit/onFailure", "continue"]], ["audit"]],
  ["fails-closed", [["/require/seccomp", "none"]], ["seccomp"]],
  ["exposure-limit", [["/seccomp", null]], ["exposure"]],
];

describe("a rule finds", () => {
  it.for(VIOLATIONS)("%s, %j: %j", ([id, changes, objects, options]) => {
    const found = ask(factsOf("strict", changes), id, options);
    expect(found.map(({ object }) => object)).toEqual(objects);
    for (const { message } of found) expect(message).toMatch(/^\S.*[^.\s]$/);
  });

  it("what it is about, each of them", () => {
    // No profile is without a mount namespace: resolving refuses it.
    const tested = new Set([...VIOLATIONS.map(([id]) => id), "own-mount-namespace"]);
    expect(PROFILE_RULES.rules.map(({ id }) => id).filter((id) => !tested.has(id))).toEqual([]);
  });
});

describe("strict", () => {
  it.each(PROFILE_RULES.rules.map(({ id }) => id).filter((id) => id !== "no-code-at-run-time"))(
    "passes %s",
    (id) => {
      expect(ask(STRICT, id)).toEqual([]);
    },
  );

  it.each(["hardened", "cis-docker-5", "pss-baseline", "pss-restricted"])(
    "passes every rule of %s",
    (name) => {
      const policy = loadPolicy(
        { policy: name, cwd: "/", source: { kind: "default" } },
        PROFILE_RULES,
        policyFiles(),
      );
      expect(policy.ok).toBe(true);
      const settings = policy.ok ? [...policy.value.settings] : [];
      expect(settings.length).toBeGreaterThan(5);
      for (const [id, { options }] of settings) expect([id, ask(STRICT, id, options)]).toEqual([id, []]);
    },
  );
});

describe("what stands in a profile but does not hold", () => {
  it("counts for nothing: a rule that another one overrides", () => {
    // Both rules name bpf; the stricter one answers.
    const both: readonly Change[] = [
      allow(["bpf"]),
      ["/seccomp/syscalls/-", { names: ["bpf"], action: "SCMP_ACT_ERRNO" }],
    ];
    expect(ask(factsOf("strict", both), "no-dangerous-calls")).toEqual([]);
  });

  it("counts for nothing: conditions on capabilities that nobody has", () => {
    const conditional: readonly Change[] = [
      ["/seccomp/syscalls/-", { names: ["bpf"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_BPF"] } }],
    ];
    expect(ask(factsOf("strict", conditional), "no-dangerous-calls")).toEqual([]);
    const had = [...conditional, ["/capabilities/bounding", ["CAP_BPF"]] as const];
    expect(ask(factsOf("strict", had), "no-dangerous-calls").map(({ object }) => object)).toEqual(["bpf"]);
  });

  it("does not hide a refusal that holds for some values only", () => {
    const partial = filterOf("SCMP_ACT_ALLOW", {
      names: ["clone", "unshare", "clone3"],
      action: "SCMP_ACT_ERRNO",
      args: [{ index: 0, op: "SCMP_CMP_EQ", value: "0x10000000" }],
    });
    // Exactly CLONE_NEWUSER is refused, CLONE_NEWUSER with another flag is not.
    expect(ask(factsOf("strict", [partial]), "no-new-user-namespaces")).toHaveLength(1);
  });
});

describe("a finding of a rule about calls", () => {
  it("is at the name that lets the call, in the file that has it, and at what brought that in", () => {
    const [found] = ask(factsOf("build"), "socket-families");
    const places = found?.places.map(({ file, line }) => [file.replace(/.*\//, ""), line > 1]);
    expect(places).toEqual([
      ["standard.json", true],
      ["build.json", true],
    ]);
  });
});
