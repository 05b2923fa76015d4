import { describe, expect, it } from "vitest";
import {
  humanSize,
  humanTime,
  renderDecisions,
  renderOutcome,
  renderUsage,
} from "../../src/cli/render-outcome.ts";
import type { Decision } from "../../src/compile/plan.ts";
import type { Outcome, Reason, Usage } from "../../src/launch/outcome.ts";
import type { Resources, Status } from "../../src/profile/spec.ts";

const USAGE: Usage = {
  wallTime: 1234,
  cpuTime: 50,
  userTime: 40,
  systemTime: 10,
  peakMemory: 3_145_728,
  peakMemorySource: "cgroup",
  outputSize: null,
  oomKills: 0,
  pidsLimitHits: 0,
  outsideOomKills: 0,
  outsidePidsHits: 0,
};
const OUTCOME: Outcome = {
  runId: "1-a",
  exitCode: 0,
  signal: null,
  reason: "exited",
  launchError: null,
  usage: USAGE,
  enforcement: [],
  stdout: null,
  stderr: null,
};
const RESOURCES: Resources = {
  memory: 268_435_456,
  swap: 0,
  cpus: 1,
  cpuset: null,
  pids: 64,
  io: [],
  cpuTime: 30_000,
  wallTime: 1500,
  fileSize: 1000,
  openFiles: null,
  coreSize: 0,
  outputSize: null,
  rlimits: {},
};
const texts = (outcome: Partial<Outcome>, resources: Partial<Resources> = {}): readonly string[] =>
  renderOutcome({ ...OUTCOME, ...outcome }, () => ({ ...RESOURCES, ...resources })).map(
    ({ text, always }) => `${always ? "!" : ""}${text}`,
  );

const asked = (): Resources => {
  throw new Error("asked");
};

describe("after a run", () => {
  it.each<readonly [Reason, readonly string[]]>([
    ["exited", []],
    ["signalled", []],
    ["wall-time-limit", ["wall-time limit of 1500 ms reached"]],
    ["cpu-time-limit", ["CPU-time limit of 30 s reached"]],
    ["memory-limit", ["memory limit of 256 MiB reached (OOM kill)"]],
    ["pids-limit", ["process limit of 64 reached (fork refused)"]],
    ["output-limit", ["output limit reached"]],
    ["file-size-limit", ["file-size limit of 1000 bytes reached (SIGXFSZ)"]],
    [
      "seccomp-kill",
      ["killed by the seccomp filter (SIGSYS): a system call that the profile does not allow"],
    ],
    ["cancelled", ["cancelled"]],
    ["audit-failed", ["!killed because the audit log could not be written"]],
  ])("%s is told as %j", (reason, expected) => {
    expect(texts({ reason })).toEqual(expected);
  });

  it("limits that struck another process than the one that ended are told too, once", () => {
    const usage = { ...USAGE, oomKills: 2, pidsLimitHits: 3 };
    const oom = "memory limit of 256 MiB reached (OOM kill)";
    const forks = "process limit of 64 reached (fork refused)";
    expect(texts({ usage })).toEqual([oom, forks]);
    expect(texts({ usage, reason: "memory-limit" })).toEqual([oom, forks]);
    expect(texts({ usage, reason: "pids-limit" })).toEqual([forks, oom]);
  });

  it("a limit that is not the sandbox's own is not said to be", () => {
    expect(texts({ usage: { ...USAGE, outsideOomKills: 1 } })).toEqual([
      "killed for want of memory outside of the sandbox: in a cgroup above its own, or in the whole machine",
    ]);
    expect(texts({ usage: { ...USAGE, outsidePidsHits: 4 } })).toEqual([
      "fork refused by a process limit outside of the sandbox: pids.max of a cgroup above its own, which others share",
    ]);
  });

  it("limits are not asked for when there is none to tell of", () => {
    expect(renderOutcome(OUTCOME, asked)).toEqual([]);
  });

  it("a failed launch names step, call, target, errno and what to do, even when quiet", () => {
    const error = {
      step: "mount:/usr.open",
      call: "open_tree",
      errno: "EPERM",
      target: "/usr",
      hint: "do this",
    };
    expect(texts({ reason: "launch-failed", launchError: error })).toEqual([
      "!launch failed at step mount:/usr.open: open_tree /usr: EPERM; do this",
    ]);
    expect(texts({ reason: "launch-failed", launchError: { ...error, target: "", hint: "" } })).toEqual([
      "!launch failed at step mount:/usr.open: open_tree: EPERM",
    ]);
    expect(
      texts({ reason: "launch-failed", launchError: { ...error, call: "execve", target: "x" } }),
    ).toEqual(["!cannot execute x: EPERM; do this"]);
  });

  it("a control that should be in force and is not is told, even when quiet; a degraded one was told before", () => {
    const entry = { decision: "noNewPrivileges", expected: "1", actual: "0", matches: false };
    expect(texts({ enforcement: [{ ...entry, status: "full" }] })).toEqual([
      "!noNewPrivileges is not in force: expected 1, found 0",
    ]);
    expect(texts({ enforcement: [{ ...entry, status: "partial" }] })).toEqual([]);
    expect(texts({ enforcement: [{ ...entry, matches: true, status: "full" }] })).toEqual([]);
  });

  it("figures fit on a line", () => {
    expect(renderUsage(OUTCOME)).toBe(
      "sandbox: run 1-a exited: wall 1.234 s, cpu 0.050 s (user 0.040 s, system 0.010 s), peak memory 3.0 MiB (cgroup)",
    );
  });
});

const decision = (id: string, status: Status, reason = ""): Decision => ({
  id,
  control: "resources",
  setting: "set",
  provenance: { kind: "flag", flag: "--pids" },
  status,
  reason,
  check: null,
});

describe("decisions", () => {
  it("that are less than full come first, the rest in their order", () => {
    const text = renderDecisions([
      decision("b", "full"),
      decision("a", "full"),
      decision("long", "partial", "no cgroup"),
      decision("x", "none"),
    ]);
    expect(text).toBe(
      [
        "none    x     set (--pids)",
        "partial long  set; no cgroup (--pids)",
        "full    b     set (--pids)",
        "full    a     set (--pids)",
      ].join("\n"),
    );
  });
});

describe("sizes and times", () => {
  it("are in the largest unit that is exact", () => {
    expect([1000, 1024, 268_435_456, 1_610_612_736].map(humanSize)).toEqual([
      "1000 bytes",
      "1 KiB",
      "256 MiB",
      "1536 MiB",
    ]);
    expect([500, 10_000, 90_000, 120_000].map(humanTime)).toEqual(["500 ms", "10 s", "90 s", "2 m"]);
  });
});
