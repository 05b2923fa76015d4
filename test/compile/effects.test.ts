/**
 * Every field of a profile does something: changing it alone changes the launch program or what the supervisor does.
 * What is not the launcher's to do (the log) must at least change a decision.
 * A field that changes nothing would be a promise that nobody keeps. The Spec is walked, so that a new field needs a row here.
 */
import { describe, expect, test } from "vitest";
import type { LaunchPlan } from "../../src/compile/plan.ts";
import type { HostFacts } from "../../src/host/facts.ts";
import { formatProblem } from "../../src/problems.ts";
import { FS_RIGHT_NAMES, NET_RIGHT_NAMES, NEWEST_ABI } from "../../src/program/landlock.ts";
import { type Case, planFor, recordedHost } from "./plan.ts";

/** Row: what the field is set to, and what must stand beside it for that to make sense. */
interface Change {
  readonly to: unknown;
  readonly with?: Readonly<Record<string, unknown>>;
  /** The value it is compared with; default: the profile's own. */
  readonly from?: unknown;
  readonly host?: string | HostFacts;
}

const NEWEST_LANDLOCK: HostFacts = { ...recordedHost("debian-root-v1-hybrid"), landlockAbi: NEWEST_ABI };

const BIND = { type: "bind", source: "/data", target: "/data" } as const;
const TMPFS = { type: "tmpfs", target: "/data" } as const;
const FILE = { type: "file", target: "/data/f", content: "x" } as const;
const LINK = { type: "symlink", target: "/data/l", link: "/x" } as const;
const mounts = (mount: Readonly<Record<string, unknown>>): readonly unknown[] => [mount];
const SHARED = { "/require/namespaces": "none" };

const CHANGES: Readonly<Record<string, Change | readonly Change[]>> = {
  "/namespaces/network": {
    to: false,
    with: { "/network/mode": "host", "/require/network": "none" },
    from: true,
  },
  "/namespaces/ipc": { to: false, with: { ...SHARED, "/filesystem/devices": [] } },
  "/namespaces/uts": { to: false, with: SHARED },
  "/namespaces/cgroup": { to: false, with: SHARED },
  "/namespaces/time": { to: false, with: SHARED },
  "/identity/uid": { to: 1234 },
  "/identity/gid": { to: 1234 },
  "/identity/map": [
    { to: "subordinate" },
    {
      to: {
        uidMappings: [{ containerID: 0, hostID: 70_000, size: 2000 }],
        gidMappings: [{ containerID: 0, hostID: 70_000, size: 2000 }],
      },
    },
  ],
  "/identity/hostname": { to: "another" },
  "/filesystem/root": [{ to: { type: "empty" } }, { to: { type: "directory", path: "/srv/root" } }],
  "/filesystem/write": [{ to: "ephemeral" }, { to: { directory: "/srv/kept" } }],
  "/filesystem/writeSize": { to: "7M", with: { "/filesystem/write": "ephemeral" } },
  "/filesystem/proc": [{ to: "full" }, { to: "none", with: { "/filesystem/devices": [] } }],
  "/filesystem/mounts": [
    { to: mounts(BIND) },
    { to: mounts({ ...BIND, options: ["rw"] }), from: mounts(BIND) },
    { to: mounts({ ...BIND, options: ["noexec"] }), from: mounts(BIND) },
    { to: mounts({ ...BIND, source: "/else" }), from: mounts(BIND) },
    { to: mounts({ ...BIND, target: "/else" }), from: mounts(BIND) },
    { to: mounts(TMPFS) },
    { to: mounts({ ...TMPFS, size: "3M" }), from: mounts(TMPFS) },
    { to: mounts({ ...TMPFS, inodes: 17 }), from: mounts(TMPFS) },
    { to: mounts({ ...TMPFS, mode: "0700" }), from: mounts(TMPFS) },
    { to: mounts({ ...TMPFS, options: ["exec"] }), from: mounts(TMPFS) },
    { to: mounts({ ...TMPFS, options: ["ro"] }), from: mounts(TMPFS) },
    { to: mounts(FILE) },
    { to: mounts({ ...FILE, content: "y" }), from: mounts(FILE) },
    { to: mounts({ ...FILE, mode: "0400" }), from: mounts(FILE) },
    { to: mounts(LINK) },
    { to: mounts({ ...LINK, link: "/y" }), from: mounts(LINK) },
  ],
  "/filesystem/masked": { to: ["/usr/share"] },
  "/filesystem/readOnly": { to: ["/tmp"] },
  "/filesystem/devices": [
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "pts",
    "shm",
    "mqueue",
    "fd",
  ].map((device) => ({ to: [device], from: [] })),
  "/filesystem/shmSize": { to: "3M" },
  "/filesystem/workdir": [{ to: "rw" }, { to: "ro" }, { to: "ro", from: "rw" }],
  "/capabilities": ["CAP_KILL", "CAP_CHOWN"].map((name) => ({
    to: { bounding: [name], permitted: [name], effective: [name], inheritable: [name], ambient: [name] },
  })),
  "/capabilities/bounding": { to: ["CAP_KILL"] },
  "/capabilities/inheritable": { to: ["CAP_KILL"], with: { "/capabilities/bounding": ["CAP_KILL"] } },
  "/capabilities/permitted": { to: ["CAP_KILL"], with: { "/capabilities/bounding": ["CAP_KILL"] } },
  "/capabilities/effective": {
    to: ["CAP_KILL"],
    with: { "/capabilities/bounding": ["CAP_KILL"], "/capabilities/permitted": ["CAP_KILL"] },
  },
  "/capabilities/ambient": {
    to: ["CAP_KILL"],
    with: {
      "/capabilities/bounding": ["CAP_KILL"],
      "/capabilities/permitted": ["CAP_KILL"],
      "/capabilities/inheritable": ["CAP_KILL"],
    },
  },
  "/noNewPrivileges": { to: false, with: { "/seccomp": null, "/landlock": null } },
  "/seccomp": { to: null },
  "/lsm/type": { to: "none", host: "aarch64-root-v2" },
  "/lsm/apparmorProfile": { to: "tool-profile", host: "aarch64-root-v2" },
  "/lsm/selinuxLabel": { to: "system_u:system_r:tool_t:s0", host: "fedora-root-selinux" },
  "/landlock": { to: null },
  ...Object.fromEntries(
    FS_RIGHT_NAMES.map((right) => [
      `/landlock/fs/${right}`,
      // Devices are made nowhere anyway.
      { to: right === "make_char" || right === "make_block" ? ["/tmp"] : [], host: NEWEST_LANDLOCK },
    ]),
  ),
  ...Object.fromEntries(
    NET_RIGHT_NAMES.flatMap((right) => [
      [
        `/landlock/net/${right}`,
        [
          { to: [], host: NEWEST_LANDLOCK },
          { to: [80], host: NEWEST_LANDLOCK },
        ],
      ],
    ]),
  ),
  "/landlock/scope/abstract_unix_socket": { to: false },
  "/landlock/scope/signal": { to: false },
  "/landlock/log": { to: true },
  "/resources/memory": { to: "99M" },
  "/resources/swap": { to: "5M", host: "user-v2-delegated" },
  "/resources/cpus": { to: 0.25 },
  "/resources/cpuset": { to: "0" },
  "/resources/pids": { to: 7 },
  "/resources/io": { to: [{ device: "8:0", readBps: 1000 }] },
  "/resources/cpuTime": { to: "7s" },
  "/resources/wallTime": { to: "7s" },
  "/resources/fileSize": { to: "7M" },
  "/resources/openFiles": { to: 77 },
  "/resources/coreSize": { to: "7K" },
  "/resources/outputSize": { to: "7K" },
  "/resources/rlimits": { to: { memlock: { soft: 1, hard: 2 } } },
  "/network/mode": { to: "host", with: { "/namespaces/network": false }, from: "none" },
  "/environment/pass": { to: ["FOO"] },
  "/environment/set": { to: { PATH: "/bin" } },
  "/process/workdir": { to: "/usr" },
  "/process/umask": { to: "077" },
  "/process/nice": { to: 3 },
  "/process/oomScoreAdj": { to: 3 },
  "/process/memoryDenyWriteExecute": { to: true },
  "/process/speculationMitigations": { to: true },
  "/process/timeOffsets/monotonic/secs": { to: 5 },
  "/process/timeOffsets/monotonic/nanosecs": { to: 5 },
  "/process/timeOffsets/boottime/secs": { to: 5 },
  "/process/timeOffsets/boottime/nanosecs": { to: 5 },
  "/audit/require": { to: false, with: { "/require/audit": "none" } },
  "/audit/onFailure": { to: "kill" },
};

/** Fields whose effect is not in a plan, and where it is. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "/name": "shown to people",
  "/description": "shown to people",
  "/namespaces/user": "cannot be turned off: refused",
  "/namespaces/mount": "cannot be turned off: refused",
  "/namespaces/pid": "cannot be turned off: refused",
  "/identity/allowRoot": "decides whether uid 0 is refused while the profile is resolved",
  "/lsm/mountLabel": "SELinux's: its part",
  "/process/terminal": "decides which descriptors are terminals, before the plan is made",
  "/audit/redact": "decides what the log says",
  "/require": "decides what is refused",
};

const PATHS: NonNullable<Case["paths"]> = {
  "/sys/dev/block/8:0": { type: "directory" },
  "/data": { type: "directory" },
  "/else": { type: "directory" },
  "/srv/root": { type: "directory" },
  "/srv/kept": { type: "directory" },
  "/tmp": { type: "directory" },
};

/** What a plan does, without the request it was made from: the spec is in the plan too, and would always differ. */
function effect(plan: LaunchPlan): string {
  const { program, supervisor, decisions, idMappings } = plan;
  const { resources: _asked, ...watched } = supervisor;
  const log = decisions.filter(({ control }) => control === "audit").map(({ setting }) => setting);
  return JSON.stringify({ program, watched, idMappings, log }, (_key, value: unknown) =>
    typeof value === "bigint" ? `${value}` : value,
  );
}

function effectOf(host: string | HostFacts, overrides: Readonly<Record<string, unknown>>): string {
  const plan = planFor({
    host,
    paths: PATHS,
    overrides: {
      "/require/resources": "none",
      "/require/process": "none",
      "/require/filesystem": "partial",
      ...overrides,
    },
  });
  if (!plan.ok) throw new Error(plan.problems.map(formatProblem).join("\n"));
  return effect(plan.value);
}

const ROWS = Object.entries(CHANGES).flatMap(([pointer, changes]) =>
  [changes].flat().map((change: Change) => ({ pointer, change, shown: JSON.stringify(change.to) })),
);

test.each(ROWS)("$pointer set to $shown changes the plan", ({ pointer, change }) => {
  const host = change.host ?? "debian-root-v1-hybrid";
  const { [pointer]: _own, ...beside } = change.with ?? {};
  const network = pointer === "/namespaces/network" || pointer === "/network/mode";
  const before = effectOf(host, {
    ...(network ? {} : beside),
    ...(change.from === undefined ? {} : { [pointer]: change.from }),
  });
  expect(effectOf(host, { ...beside, [pointer]: change.to })).not.toBe(before);
});

describe("the table", () => {
  test("has a row for every field of a spec", () => {
    const plan = planFor({ host: "debian-root-v1-hybrid" });
    if (!plan.ok) throw new Error("strict does not compile");
    const known = [...Object.keys(CHANGES), ...Object.keys(ELSEWHERE)];
    const missing = leaves(plan.value.spec).filter(
      (leaf) => !known.some((row) => leaf === row || leaf.startsWith(`${row}/`)),
    );
    expect(missing).toEqual([]);
  });

  test.each(["user", "mount", "pid"])(
    "turning the %s namespace off is refused, with the place",
    (namespace) => {
      const plan = planFor({
        host: "debian-root-v1-hybrid",
        overrides: {
          [`/namespaces/${namespace}`]: false,
          "/filesystem/proc": "none",
          "/filesystem/devices": [],
        },
      });
      const places = plan.ok ? [] : plan.problems.map(({ pointer }) => pointer.split("/")[1]);
      expect(places).toContain("namespaces");
    },
  );
});

function leaves(value: unknown, pointer = ""): readonly string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [pointer];
  return Object.entries(value).flatMap(([key, member]) => leaves(member, `${pointer}/${key}`));
}
