/**
 * A small but real launch plan: monitor, init in namespaces of its own, payload. No mounts and no privileges dropped:
 * what is tested here is the supervisor's side.
 */

import type { CgroupPlan, Decision, LaunchPlan } from "../../src/compile/plan.ts";
import { encodeProgram } from "../../src/encode/index.ts";
import type { Arch } from "../../src/host/facts.ts";
import { type PreparedLaunch, prepareLaunch } from "../../src/launch/request.ts";
import type { Spec } from "../../src/profile/spec.ts";
import { buffer, data, Listing, load, result, value } from "../../src/program/build.ts";
import {
  PARENT_DEATH_SIGNAL,
  type Program,
  type SharedBuffer,
  type Step,
} from "../../src/program/program.ts";

const ARCH: Arch = process.arch === "arm64" ? "aarch64" : "x86_64";

export interface FixtureOptions {
  readonly wallTime?: number;
  readonly cpuTime?: number;
  readonly outputSize?: number;
  /** v1 directory whose `sandbox-<run id>` init joins. */
  readonly cgroup?: CgroupPlan;
  readonly terminal?: boolean;
  readonly decisions?: readonly Decision[];
  /** Appended to init before the payload is spawned. */
  readonly init?: (at: Listing) => void;
  readonly idRange?: LaunchPlan["supervisor"]["idRange"];
}

const MEMORY = 3;
const PTY_MASTER = 4;
const EVENTS = 5;
const CLONE_NEWUSER_NEWPID = 0x1000_0000n | 0x2000_0000n;
const PR_SET_PDEATHSIG = 1;
const TIOCSPTLCK = 0x4004_5431n;
const TIOCGPTPEER = 0x5441n;
const TIOCSCTTY = 0x540en;
const TIOCSPGRP = 0x5410n;
const TCGETS = 0x5401n;
const O_RDWR_NOCTTY_CLOEXEC = 0o2n | 0o400n | 0o2000000n;

export function makeProgram(options: FixtureOptions = {}): Program {
  const monitor = listing();
  const init = listing();
  const payload = listing();
  const terminal = options.terminal === true;

  monitor.call("block", "", "rt_sigprocmask", [0, data("all"), 0, 8]);
  monitor.call("tie", "", "prctl", [PR_SET_PDEATHSIG, PARENT_DEATH_SIGNAL, 0, 0, 0]);
  const parent = monitor.call("parent", "", "getppid", []);
  monitor.expect("parent.same", "", parent, load("supervisor-pid", 0, 4), "ESRCH");
  monitor.call("time.start", "", "clock_gettime", [1, buffer("time.start")]);
  if (options.cgroup !== undefined) makeCgroup(monitor, options.cgroup);
  if (terminal) monitor.call("pty.unlock", "", "ioctl", [PTY_MASTER, TIOCSPTLCK, data("zero")]);
  monitor.call("wall-time", "", "setitimer", [0, buffer("wall-time"), 0]);
  monitor.step({ kind: "spawn", role: "init", flags: CLONE_NEWUSER_NEWPID }, "init.spawn", "");
  for (const fd of terminal ? [1, 2] : [0, 1, 2])
    monitor.call(`release${fd}`, "", "close", [fd], { onError: "continue" });
  monitor.step(
    {
      kind: "supervise",
      child: result("init.spawn"),
      reap: "child",
      ...(terminal ? { winsize: { from: value(0), to: value(PTY_MASTER) } } : {}),
    },
    "init.supervise",
    "",
  );
  monitor.call("time.end", "", "clock_gettime", [1, buffer("time.end")]);
  if (options.cgroup !== undefined) removeCgroup(monitor);
  monitor.step({ kind: "exit", code: "outcome" }, "monitor.exit", "");

  init.call("init.tie", "", "prctl", [PR_SET_PDEATHSIG, 9, 0, 0, 0]);
  if (options.cgroup !== undefined)
    init.call("join", "", "write", [result("cgroup.tasks"), data("zero-text"), 1]);
  init.call("status.open", "", "openat", [-100, data("status"), 0, 0]);
  init.call("status.read", "", "read", [result("status.open"), buffer("read.status"), 4095]);
  init.call("pid-ns", "", "readlinkat", [-100, data("pid-ns"), buffer("read.ns.pid"), 63]);
  init.call("absent", "", "openat", [-100, data("absent"), 0, 0], { onError: "continue", target: "/absent" });
  if (terminal) openSession(init);
  options.init?.(init);
  init.step({ kind: "spawn", role: "payload", flags: 0n }, "payload.spawn", "");
  // Only the payload holds its terminal: the master sees the end when it has gone.
  if (terminal) init.call("pty.release", "", "close", [result("pty.peer")]);
  for (const fd of [0, 1, 2]) init.call(`init.release${fd}`, "", "close", [fd], { onError: "continue" });
  init.step(
    {
      kind: "supervise",
      child: result("payload.spawn"),
      reap: "all",
      ...(terminal ? { stopNotify: value(EVENTS) } : {}),
    },
    "payload.supervise",
    "",
  );
  init.step({ kind: "exit", code: "outcome" }, "init.exit", "");

  if (terminal) takeTerminal(payload);
  else payload.call("session", "", "setsid", []);
  payload.call("unblock", "", "rt_sigprocmask", [2, data("none"), 0, 8]);
  payload.step({ kind: "environment", set: ["PATH=/usr/bin:/bin"], pass: ["PASSED", "TERM"] }, "env", "");
  payload.call("inherit-nothing", "", "close_range", [3, 0xffff_ffffn, 0]);
  payload.step({ kind: "exec", path: null, search: ["/usr/bin", "/bin"], argv: null }, "exec", "");

  return {
    arch: ARCH,
    memory: { descriptor: MEMORY },
    seal: true,
    data: [
      { name: "all", hex: "ff".repeat(8), align: 8 },
      { name: "none", hex: "00".repeat(8), align: 8 },
      { name: "zero", hex: "00000000", align: 4 },
      { name: "zero-text", text: "0" },
      { name: "status", text: "/proc/self/status" },
      { name: "pid-ns", text: "/proc/self/ns/pid" },
      { name: "absent", text: "/absent" },
      ...(options.cgroup === undefined
        ? []
        : [
            { name: "cgroup-parent", text: options.cgroup.parent },
            { name: "tasks", text: "tasks" },
          ]),
    ],
    buffers: buffers(options),
    roles: {
      monitor: { onFailure: null, steps: monitor.steps },
      init: { onFailure: null, steps: init.steps },
      payload: { onFailure: null, steps: payload.steps },
    },
  };
}

const listing = (): Listing => new Listing([] as Step[], "test");

function buffers(options: FixtureOptions): readonly SharedBuffer[] {
  const inputs = ["uid-map", "gid-map"].map((name) => ({ name, size: 64, input: true }));
  return [
    { name: "run-id", size: 64, input: true },
    { name: "supervisor-pid", size: 8, input: true },
    { name: "wall-time", size: 32, input: true },
    ...(options.idRange == null ? [] : inputs),
    { name: "read.status", size: 4096 },
    { name: "read.ns.pid", size: 64 },
    { name: "time.start", size: 16 },
    { name: "time.end", size: 16 },
    { name: "termios", size: 64 },
    { name: "group", size: 8 },
    ...(options.cgroup === undefined ? [] : [{ name: "cgroup-name", size: 96 }]),
  ];
}

function makeCgroup(at: Listing, { parent }: CgroupPlan): void {
  at.format("cgroup.name", "", "cgroup-name", [{ text: "sandbox-" }, { buffer: "run-id" }]);
  const above = at.call("cgroup.parent", "", "openat", [-100, data("cgroup-parent"), 0o200000, 0], {
    target: parent,
  });
  at.call("cgroup.make", "", "mkdirat", [above, buffer("cgroup-name"), 0o755], { target: parent });
  const own = at.call("cgroup.dir", "", "openat", [above, buffer("cgroup-name"), 0o200000, 0]);
  at.call("cgroup.tasks", "", "openat", [own, data("tasks"), 1, 0]);
}

function removeCgroup(at: Listing): void {
  at.call("cgroup.remove", "", "unlinkat", [result("cgroup.parent"), buffer("cgroup-name"), 0x200], {
    onError: "continue",
  });
}

/**
 * init leads the session, and the payload a process group of its own in it: a group whose parent is in another session
 * is orphaned and never stops at Ctrl-Z.
 */
function openSession(at: Listing): void {
  at.call("session", "", "setsid", []);
  const peer = at.call("pty.peer", "", "ioctl", [PTY_MASTER, TIOCGPTPEER, O_RDWR_NOCTTY_CLOEXEC]);
  at.call("pty.control", "", "ioctl", [peer, TIOCSCTTY, 0]);
}

/** The standard descriptors that are terminals become the payload's side of the pseudo-terminal. */
function takeTerminal(at: Listing): void {
  const peer = result("pty.peer");
  at.call("group", "", "setpgid", [0, 0]);
  const pid = at.call("group.pid", "", "getpid", []);
  at.store("group.store", "", "group", 0, 4, pid);
  at.call("group.front", "", "ioctl", [peer, TIOCSPGRP, buffer("group")]);
  for (const fd of [0, 1, 2]) {
    at.call(`pty.is${fd}`, "", "ioctl", [fd, TCGETS, buffer("termios")], {
      onError: { errnos: { ENOTTY: `pty.not${fd}` } },
    });
    at.call(`pty.take${fd}`, "", "dup3", [peer, fd, 0]);
    at.label(`pty.not${fd}`);
  }
}

export function makePlan(options: FixtureOptions = {}): LaunchPlan {
  const terminal = options.terminal === true;
  return {
    version: 1,
    mode: "supervised",
    spec: SPEC,
    decisions: options.decisions ?? [],
    program: makeProgram(options),
    supervisor: {
      descriptors: {
        memory: MEMORY,
        ptyMaster: terminal ? PTY_MASTER : null,
        events: terminal ? EVENTS : null,
      },
      cgroups: options.cgroup === undefined ? [] : [options.cgroup],
      cgroupPrepare: null,
      idRange: options.idRange ?? null,
      apparmor: null,
      wallTime: options.wallTime ?? null,
      cpuTime: options.cpuTime ?? null,
      outputSize: options.outputSize ?? null,
      resources: SPEC.resources,
    },
    filter: null,
    idMappings: null,
  };
}

/** Encoded and ready; the caller closes it. */
export function prepare(options: FixtureOptions = {}): PreparedLaunch {
  const plan = makePlan(options);
  return prepareLaunch(plan, encodeProgram(plan.program));
}

const SPEC: Spec = {
  name: "test",
  description: "",
  namespaces: {
    user: true,
    mount: true,
    pid: true,
    network: true,
    ipc: true,
    uts: true,
    cgroup: true,
    time: true,
  },
  identity: { uid: 1000, gid: 1001, map: "auto", allowRoot: true, hostname: "sandbox" },
  filesystem: {
    root: { type: "empty" },
    write: "none",
    writeSize: 0,
    proc: "none",
    mounts: [],
    masked: [],
    readOnly: [],
    devices: [],
    shmSize: 0,
    workdir: "none",
  },
  capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
  noNewPrivileges: true,
  seccomp: null,
  lsm: { type: "none", apparmorProfile: null, selinuxLabel: null, mountLabel: null },
  landlock: null,
  resources: {
    memory: null,
    swap: null,
    cpus: null,
    cpuset: null,
    pids: null,
    io: [],
    cpuTime: null,
    wallTime: null,
    fileSize: null,
    openFiles: null,
    coreSize: null,
    outputSize: null,
    rlimits: {},
  },
  network: { mode: "none" },
  environment: { pass: [], set: {} },
  process: {
    workdir: null,
    umask: 0o022,
    nice: 0,
    oomScoreAdj: 0,
    terminal: "auto",
    memoryDenyWriteExecute: false,
    speculationMitigations: false,
    timeOffsets: { monotonic: { secs: 0, nanosecs: 0 }, boottime: { secs: 0, nanosecs: 0 } },
  },
  audit: { require: false, onFailure: "continue", redact: [] },
  require: {
    namespaces: "full",
    identity: "full",
    filesystem: "full",
    capabilities: "full",
    noNewPrivileges: "full",
    seccomp: "full",
    lsm: "none",
    landlock: "full",
    resources: "full",
    network: "full",
    environment: "full",
    process: "full",
    audit: "full",
  },
};
