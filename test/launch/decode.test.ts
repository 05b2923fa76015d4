import { describe, expect, it } from "vitest";
import { decodeOutcome, type Observation } from "../../src/launch/decode.ts";
import { hintFor } from "../../src/launch/hints.ts";
import { viewMemory } from "../../src/launch/memory.ts";
import { ERRNO } from "../../src/program/errno.ts";
import { FLAGS, HEADER, layoutMemory, type Program, stepOrder } from "../../src/program/program.ts";
import { makePlan } from "./fixture.ts";

const ACCOUNTS = [
  "end.memory.memory.peak",
  "end.memory.memory.max_usage_in_bytes",
  "end.memory.memory.events",
  "end.memory.memory.oom_control",
  "end.cpuacct.cpuacct.usage",
  "end.cpu.cpu.stat",
  "end.pids.pids.events",
  "end.pids.pids.peak",
  "read.cgroup.pids.pids.max",
  "read.cgroup.memory.memory.limit_in_bytes",
];

const base = makePlan({ cpuTime: 1000 });
const program: Program = {
  ...base.program,
  buffers: [...base.program.buffers, ...ACCOUNTS.map((name) => ({ name, size: 256 }))],
};
const plan = { ...base, program };
const layout = layoutMemory(program);
const steps = stepOrder(program);

interface Left {
  readonly flags?: number;
  readonly failed?: readonly [step: string, errno: number];
  readonly execErrno?: number;
  readonly payloadStatus?: number;
  readonly initStatus?: number;
  readonly texts?: Readonly<Record<string, string>>;
  readonly results?: Readonly<Record<string, bigint>>;
  /** Seconds, microseconds of user and of system time, maximal RSS in kB. */
  readonly rusage?: readonly [number, number, number, number, number];
}

/** Memory as a launcher would leave it. */
function memoryWith(left: Left) {
  const bytes = Buffer.alloc(layout.size);
  const [step, errno] = left.failed ?? ["", 0];
  bytes.writeUInt32LE(1 + steps.findIndex(({ id }) => id === step), HEADER.failedStep);
  bytes.writeUInt32LE(errno, HEADER.failedErrno);
  bytes.writeUInt32LE((left.flags ?? 0) | FLAGS.sealed, HEADER.flags);
  bytes.writeUInt32LE(left.execErrno ?? 0, HEADER.execErrno);
  bytes.writeUInt32LE(left.payloadStatus ?? 0, HEADER.payloadStatus);
  bytes.writeUInt32LE(left.initStatus ?? 0, HEADER.initStatus);
  for (const [index, value] of (left.rusage ?? []).entries()) {
    bytes.writeBigInt64LE(BigInt(value), HEADER.initRusage + 8 * index);
  }
  for (const [name, text] of Object.entries(left.texts ?? {}))
    bytes.write(text, layout.buffers.get(name)?.offset ?? 0);
  for (const [id, value] of Object.entries(left.results ?? {})) {
    bytes.writeBigInt64LE(value, layout.results.get(id));
  }
  return viewMemory(bytes, layout);
}

function decode(left: Left, seen: Partial<Observation> = {}) {
  return decodeOutcome(plan, steps, memoryWith(left), {
    runId: "1-0123456789abcdef",
    command: ["prog"],
    wallTime: 12,
    stop: null,
    monitorSignal: null,
    stdout: null,
    stderr: null,
    outputSize: null,
    own: {},
    ...seen,
  });
}

const ENDED = FLAGS.execReached | FLAGS.payloadEnded | FLAGS.initEnded;
const exited = (code: number): Left => ({ flags: ENDED, payloadStatus: code << 8 });
const killed = (signal: number): Left => ({ flags: ENDED, payloadStatus: signal });

describe("the reason", () => {
  it.each<[string, Left, Partial<Observation>, Record<string, unknown>]>([
    ["an exit", exited(7), {}, { reason: "exited", exitCode: 7, signal: null }],
    ["a signal", killed(11), {}, { reason: "signalled", exitCode: null, signal: "SIGSEGV" }],
    ["a signal with a core dump", killed(11 | 0x80), {}, { reason: "signalled", signal: "SIGSEGV" }],
    ["a real-time signal", killed(40), {}, { reason: "signalled", signal: "SIGRTMIN+8" }],
    ["SIGSYS", killed(31), {}, { reason: "seccomp-kill", signal: "SIGSYS" }],
    ["SIGXFSZ", killed(25), {}, { reason: "file-size-limit" }],
    ["SIGXCPU", killed(24), {}, { reason: "cpu-time-limit" }],
    [
      "SIGKILL with the CPU time used up",
      { ...killed(9), texts: { "end.cpuacct.cpuacct.usage": "1000000000\n" } },
      {},
      { reason: "cpu-time-limit" },
    ],
    [
      "SIGKILL with CPU time left",
      { ...killed(9), texts: { "end.cpuacct.cpuacct.usage": "999000000\n" } },
      {},
      { reason: "signalled" },
    ],
    [
      "the OOM killer, v1",
      {
        ...killed(9),
        texts: { "end.memory.memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n" },
      },
      {},
      { reason: "memory-limit", signal: "SIGKILL" },
    ],
    [
      "the OOM killer, v2, that struck init",
      {
        flags: FLAGS.execReached | FLAGS.initEnded,
        initStatus: 9,
        texts: { "end.memory.memory.events": "low 0\noom 2\noom_kill 2\n" },
      },
      {},
      { reason: "memory-limit", signal: "SIGKILL", launchError: null },
    ],
    [
      "the OOM killer, survived",
      { ...exited(0), texts: { "end.memory.memory.events": "oom_kill 2\n" } },
      {},
      { reason: "exited", exitCode: 0 },
    ],
    [
      "the pids limit",
      { ...exited(1), texts: { "end.pids.pids.events": "max 3\n" } },
      {},
      { reason: "pids-limit", exitCode: 1 },
    ],
    [
      "the pids limit, survived",
      { ...exited(0), texts: { "end.pids.pids.events": "max 3\n" } },
      {},
      { reason: "exited" },
    ],
    [
      "the wall-time limit",
      { flags: FLAGS.execReached | FLAGS.initEnded | FLAGS.timedOut, initStatus: 9 },
      {},
      { reason: "wall-time-limit", signal: "SIGKILL", launchError: null },
    ],
    [
      "the wall-time limit during the launch",
      { flags: FLAGS.timedOut, failed: ["parent.same", ERRNO.ESRCH] },
      {},
      { reason: "wall-time-limit", launchError: null },
    ],
    [
      "a cancellation",
      { flags: FLAGS.execReached | FLAGS.initEnded | FLAGS.parentDied, initStatus: 9 },
      { stop: "cancelled" },
      { reason: "cancelled", signal: "SIGKILL", launchError: null },
    ],
    [
      "a cancellation that came too late",
      exited(0),
      { stop: "cancelled" },
      { reason: "exited", exitCode: 0 },
    ],
    [
      "too much output before an exit",
      exited(0),
      { stop: "output-limit" },
      { reason: "output-limit", exitCode: 0 },
    ],
  ])("of %s", (_name, left, seen, expected) => {
    expect(decode(left, seen)).toMatchObject(expected);
  });
});

describe("a failed launch", () => {
  it.each<[string, Left, Partial<Observation>, Record<string, unknown>]>([
    [
      "a step",
      { failed: ["block", ERRNO.EINVAL] },
      {},
      { step: "block", call: "rt_sigprocmask", errno: "EINVAL" },
    ],
    [
      "a spawn",
      { failed: ["init.spawn", ERRNO.EPERM] },
      {},
      { step: "init.spawn", call: "clone", errno: "EPERM" },
    ],
    ["an expectation", { failed: ["parent.same", ERRNO.ESRCH] }, {}, { call: "expect", errno: "ESRCH" }],
    [
      "execve",
      { flags: FLAGS.execReached | FLAGS.initEnded, execErrno: ERRNO.ENOENT },
      {},
      { step: "exec", call: "execve", errno: "ENOENT", target: "prog" },
    ],
    ["a killed monitor", {}, { monitorSignal: "SIGKILL" }, { step: "monitor", errno: "EOWNERDEAD" }],
    [
      "a killed init before the payload",
      { flags: FLAGS.initEnded, initStatus: 9 },
      {},
      { step: "init", errno: "ENOMEM" },
    ],
    ["a launcher that says nothing", { flags: 0 }, {}, { step: "monitor", errno: "EPROTO" }],
  ])("of %s", (_name, left, seen, expected) => {
    const outcome = decode(left, seen);
    expect(outcome).toMatchObject({ reason: "launch-failed", exitCode: null, enforcement: [] });
    expect(outcome.launchError).toMatchObject(expected);
    expect(outcome.launchError?.hint).toBeTypeOf("string");
  });

  it("is not hidden by a payload that exited", () => {
    const outcome = decode({ ...exited(0), failed: ["time.end", ERRNO.EFAULT] });
    expect(outcome).toMatchObject({ reason: "launch-failed", launchError: { step: "time.end" } });
  });
});

describe("usage", () => {
  const rusage = [1, 500_000, 0, 500_000, 2048] as const;

  it("comes from wait4 without a cgroup", () => {
    expect(decode({ ...exited(0), rusage }).usage).toMatchObject({
      wallTime: 12,
      cpuTime: 2000,
      userTime: 1500,
      systemTime: 500,
      peakMemory: 2048 * 1024,
      peakMemorySource: "rusage",
      oomKills: null,
      pidsLimitHits: null,
    });
  });

  it("comes from v1 accounts, split as wait4 splits it", () => {
    const texts = {
      "end.cpuacct.cpuacct.usage": "4000000000\n",
      "end.memory.memory.max_usage_in_bytes": "5000000\n",
      "end.memory.memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
      "end.pids.pids.events": "max 0\n",
    };
    expect(decode({ ...exited(0), rusage, texts }).usage).toMatchObject({
      cpuTime: 4000,
      userTime: 3000,
      systemTime: 1000,
      peakMemory: 5_000_000,
      peakMemorySource: "cgroup",
      oomKills: 0,
      pidsLimitHits: 0,
    });
  });

  const v1 = (peak: number) => ({
    "end.memory.memory.max_usage_in_bytes": `${peak}\n`,
    "end.memory.memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "read.cgroup.memory.memory.limit_in_bytes": "67108864\n",
  });
  const v2 = (oom: number) => ({ "end.memory.memory.events": `max 0\noom ${oom}\noom_kill 1\n` });
  it.each([
    ["v1, the own limit reached", v1(67_108_864), { oomKills: 1, outsideOomKills: 0 }, "memory-limit"],
    ["v1, far from it", v1(33_554_432), { oomKills: 0, outsideOomKills: 1 }, "signalled"],
    ["v2, the own limit reached", v2(2), { oomKills: 1, outsideOomKills: 0 }, "memory-limit"],
    ["v2, not once", v2(0), { oomKills: 0, outsideOomKills: 1 }, "signalled"],
  ])("says whose want of memory killed: %s", (_what, texts, usage, reason) => {
    expect(decode({ ...killed(9), texts })).toMatchObject({ usage, reason });
  });

  it.each([
    ["65", "65", { pidsLimitHits: 7, outsidePidsHits: 0 }, "pids-limit"],
    ["30", "65", { pidsLimitHits: 0, outsidePidsHits: 7 }, "exited"],
    // A kernel before 6.1 keeps no highest count.
    ["", "65", { pidsLimitHits: 7, outsidePidsHits: null }, "pids-limit"],
  ])("says whose limit refused a fork: at most %s of %s at once", (peak, most, usage, reason) => {
    const texts = {
      "end.pids.pids.events": "max 7\n",
      "end.pids.pids.peak": `${peak}\n`,
      "read.cgroup.pids.pids.max": `${most}\n`,
    };
    expect(decode({ ...exited(1), texts })).toMatchObject({ usage, reason });
  });

  it("comes from v2 accounts", () => {
    const texts = {
      "end.cpu.cpu.stat": "usage_usec 3000\nuser_usec 1000\nsystem_usec 2000\nnr_periods 0\n",
      "end.memory.memory.peak": "7000000\n",
      "end.memory.memory.events": "low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\noom_group_kill 0\n",
    };
    expect(decode({ ...exited(0), rusage, texts }).usage).toMatchObject({
      cpuTime: 3,
      userTime: 1,
      systemTime: 2,
      peakMemory: 7_000_000,
      oomKills: 0,
    });
  });
});

describe("degraded steps", () => {
  it("are those that may fail and did; tidying up is none", () => {
    const { degraded } = decode({ ...exited(0), results: { absent: -2n, release0: -9n, "time.end": 0n } });
    expect(degraded).toEqual([
      { step: "absent", decision: "test", call: "openat", errno: "ENOENT", target: "/absent" },
    ]);
  });
});

describe("a hint", () => {
  it.each([
    [{ step: "init.spawn", call: "clone", errno: "EPERM", target: "" }, /sandbox doctor/],
    [{ step: "init.spawn", call: "clone", errno: "ENOSPC", target: "" }, /max_user_namespaces/],
    [{ step: "init.spawn", call: "clone3", errno: "EAGAIN", target: "" }, /processes/],
    [{ step: "proc.mount", call: "fsmount", errno: "EPERM", target: "proc" }, /masked/],
    [{ step: "cgroup.memory.limit.write", call: "write", errno: "EACCES", target: "memory.max" }, /Delegate/],
    [
      { step: "cgroup.prepare", call: "write", errno: "EPERM", target: "/a/cgroup.subtree_control" },
      /cpuset.*scope of its own/,
    ],
    [
      { step: "cgroup.prepare", call: "write", errno: "EACCES", target: "/a/cgroup.subtree_control" },
      /Delegate/,
    ],
    [{ step: "ids.uid-map.write", call: "write", errno: "EPERM", target: "/proc/PID/uid_map" }, /subuid/],
    [{ step: "exec", call: "execve", errno: "ENOEXEC", target: "x" }, /#!/],
    [{ step: "label.set", call: "write", errno: "ENOENT", target: "exec tool" }, /apparmor_parser/],
    [{ step: "label.set", call: "write", errno: "EINVAL", target: "<label.payload>" }, /SELinux.*module/],
    [
      {
        step: "root.fs.option.context",
        call: "fsconfig",
        errno: "EACCES",
        target: "tmpfs context=<label.content>",
      },
      /SELinux.*lsm\.mountLabel/,
    ],
    [{ step: "anything", call: "pipe2", errno: "EMFILE", target: "" }, /ulimit -n/],
  ])("%o", (failure, expected) => {
    expect(hintFor(failure)).toMatch(expected);
  });

  it("is empty when there is nothing to say", () => {
    expect(hintFor({ step: "x", call: "getpid", errno: "EDOM", target: "" })).toBe("");
  });
});
