/**
 * What became of a run: one shape for success and failure.
 */
import type { Decision } from "../compile/plan.ts";

/** Why the payload is no longer running. */
export type Reason =
  | "exited"
  | "signalled"
  | "wall-time-limit"
  | "cpu-time-limit"
  | "memory-limit"
  | "pids-limit"
  | "output-limit"
  | "file-size-limit"
  | "seccomp-kill"
  | "cancelled"
  | "audit-failed"
  | "launch-failed";

/** The kernel refused a step of the launch. Crosses process boundaries as data. */
export interface LaunchErrorData {
  /** Step id, for example "mount:/usr.open"; "spawn" when the launcher itself could not be started. */
  readonly step: string;
  readonly call: string;
  /** Errno name, for example "EPERM". */
  readonly errno: string;
  /** Path or setting it acted on, "" when none. */
  readonly target: string;
  /** What to do about it. */
  readonly hint: string;
}

export interface Usage {
  /** Milliseconds of wall time, from before the launch to the end. */
  readonly wallTime: number;
  /** Milliseconds of CPU time, user + system, of the whole sandbox. */
  readonly cpuTime: number;
  readonly userTime: number;
  readonly systemTime: number;
  /** Peak bytes: of the whole cgroup when there is one, else the largest process. */
  readonly peakMemory: number;
  /** Where peakMemory comes from. */
  readonly peakMemorySource: "cgroup" | "rusage";
  /** Bytes written to captured stdout and stderr; null when they were passed through. */
  readonly outputSize: number | null;
  /** Times the kernel's OOM killer or the pids limit struck in the cgroup, for a limit of its own; null without a cgroup. */
  readonly oomKills: number | null;
  readonly pidsLimitHits: number | null;
  /** Kills for want of memory elsewhere: in a cgroup above the sandbox's own, or in the whole machine. */
  readonly outsideOomKills: number | null;
  /** Forks refused by a limit of a cgroup above the sandbox's own; null where that cannot be told. */
  readonly outsidePidsHits: number | null;
}

/** One control as read back from the kernel after launch. */
export interface Enforcement {
  readonly decision: string;
  readonly expected: string;
  readonly actual: string;
  readonly matches: boolean;
  readonly status: Decision["status"];
}

/** A step that failed and that the plan lets the launch go on without. */
export interface DegradedStep {
  readonly step: string;
  /** The decision that asked for it. */
  readonly decision: string;
  readonly call: string;
  /** Errno name, "" when the launcher could not tell. */
  readonly errno: string;
  readonly target: string;
}

/** Files of the root that were opened during a run, where that was asked for; see record-files.ts for what is seen. */
export interface OpenedFiles {
  /** The root directory on the host. */
  readonly root: string;
  /** Paths from the root, with leading "/", links resolved, sorted. */
  readonly opened: readonly string[];
  /** Whether every open that can be seen was. */
  readonly complete: boolean;
  /** Why not. */
  readonly missed: readonly string[];
}

export interface Outcome {
  readonly runId: string;
  /** The payload's exit status, null when a signal ended it or it never ran. */
  readonly exitCode: number | null;
  /** "SIGKILL", null when it exited. */
  readonly signal: string | null;
  readonly reason: Reason;
  readonly launchError: LaunchErrorData | null;
  readonly usage: Usage;
  readonly enforcement: readonly Enforcement[];
  /** Absent from an outcome made before there was a launch. */
  readonly degraded?: readonly DegradedStep[];
  /** Present when it was asked for. */
  readonly files?: OpenedFiles;
  /** Captured bytes as UTF-8, or null when passed through or streamed. */
  readonly stdout: string | null;
  readonly stderr: string | null;
}

/** Exit status of `sandbox run`: 124 wall time, 125 set-up, 126/127 exec, 128+N signal, else the payload's own. */
export function exitStatus(outcome: Outcome, signalNumber: (name: string) => number): number {
  if (outcome.reason === "wall-time-limit") return 124;
  if (outcome.reason === "audit-failed") return 125;
  if (outcome.launchError !== null) {
    if (outcome.launchError.call !== "execve") return 125;
    return outcome.launchError.errno === "ENOENT" || outcome.launchError.errno === "ENOTDIR" ? 127 : 126;
  }
  if (outcome.signal !== null) return 128 + signalNumber(outcome.signal);
  return outcome.exitCode ?? 125;
}
