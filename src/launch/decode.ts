/**
 * From what a run left behind to its outcome.
 *
 * Pure. Takes the plan, the shared memory and what the supervisor saw; gives the outcome. Never turns a failure of
 * the launch into a result of the payload: whatever is not certain is "launch-failed".
 */
import { errnoName } from "../program/errno.ts";
import { hintFor } from "./hints.ts";
import type { Header, MemoryImage } from "./memory.ts";
import type { DegradedStep, LaunchErrorData, Outcome, Reason, Usage } from "./outcome.ts";
import { type OwnNamespaces, readBack } from "./read-back.ts";
import type { RunPlan, StepFacts } from "./sheet.ts";
import { measureUsage } from "./usage.ts";
import { decodeWaitStatus, type Ended } from "./wait-status.ts";

/** Why the supervisor ended a run. */
export type StopReason = Extract<
  Reason,
  "cancelled" | "wall-time-limit" | "cpu-time-limit" | "output-limit" | "audit-failed"
>;

/** What the supervisor saw of a run. */
export interface Observation {
  readonly runId: string;
  readonly command: readonly string[];
  /** Milliseconds, by the supervisor's clock. */
  readonly wallTime: number;
  /** Why the supervisor stopped the run; null when it did not. */
  readonly stop: StopReason | null;
  /** The signal that ended the monitor itself; null when it exited. */
  readonly monitorSignal: string | null;
  readonly stdout: string | null;
  readonly stderr: string | null;
  readonly outputSize: number | null;
  readonly own: OwnNamespaces;
}

export function decodeOutcome(
  plan: RunPlan,
  steps: readonly StepFacts[],
  memory: MemoryImage,
  seen: Observation,
): Outcome {
  const { header } = memory;
  const usage = measureUsage(memory, seen);
  const ended = payloadEnd(header);
  const stop = effectiveStop(header, seen);
  const launchError = stop === null ? findLaunchError(steps, header, ended, seen) : null;
  const ran = header.flags.execReached && header.execErrno === 0;
  return {
    runId: seen.runId,
    exitCode: launchError?.call === "execve" ? null : (ended?.exitCode ?? null),
    // A run that was stopped before its payload could be told apart died with its pid namespace.
    signal: ended?.signal ?? (ended === null && stop !== null ? "SIGKILL" : null),
    reason: stop ?? (launchError === null ? classify(plan, usage, ended) : "launch-failed"),
    launchError,
    usage,
    enforcement: ran ? readBack(plan.decisions, memory, seen.own) : [],
    degraded: findDegraded(plan, steps, memory),
    stdout: seen.stdout,
    stderr: seen.stderr,
  };
}

/** How the payload ended, by init's word, or init's own end when it was killed before it could tell. */
function payloadEnd(header: Header): Ended | null {
  if (header.execErrno !== 0) return null;
  if (header.flags.payloadEnded) return decodeWaitStatus(header.payloadStatus);
  if (!header.flags.initEnded) return null;
  const end = decodeWaitStatus(header.initStatus);
  return end.signal === null ? null : end;
}

/** A stop that came when the payload had already ended by itself changed nothing, unless output was cut off. */
function effectiveStop(header: Header, { stop }: Observation): StopReason | null {
  if (header.flags.timedOut) return "wall-time-limit";
  if (stop === "output-limit" || stop === "audit-failed") return stop;
  return header.flags.payloadEnded && !header.flags.parentDied ? null : stop;
}

function findLaunchError(
  steps: readonly StepFacts[],
  header: Header,
  ended: Ended | null,
  { command, monitorSignal }: Observation,
): LaunchErrorData | null {
  if (header.failedStep !== 0) {
    const step = steps[header.failedStep - 1];
    return makeLaunchError({
      step: step?.id ?? `step ${header.failedStep}`,
      call: step === undefined ? "" : callOf(step),
      errno: errnoName(header.failedErrno),
      target: step === undefined ? "" : targetOf(step),
    });
  }
  if (header.execErrno !== 0) {
    return makeLaunchError({
      step: steps.find(({ kind }) => kind === "exec")?.id ?? "exec",
      call: "execve",
      errno: errnoName(header.execErrno),
      target: command[0] ?? "",
    });
  }
  if (monitorSignal !== null && !header.flags.initEnded) {
    return {
      step: "monitor",
      call: "wait4",
      errno: "EOWNERDEAD",
      target: "",
      hint: `the launcher was ended by ${monitorSignal} before the payload was; nothing of it is left running`,
    };
  }
  if (ended === null || !header.flags.execReached) {
    return {
      step: header.flags.initEnded ? "init" : "monitor",
      call: "exit_group",
      errno: ended?.signal === "SIGKILL" ? "ENOMEM" : "EPROTO",
      target: "",
      hint:
        ended?.signal == null
          ? "the launcher ended without starting the payload and without naming a reason; please report it"
          : `the sandbox was ended by ${ended.signal} before the payload started; a memory limit too small for it does that`,
    };
  }
  return null;
}

/** Completes an error with advice. */
export function makeLaunchError(failure: Omit<LaunchErrorData, "hint">): LaunchErrorData {
  return { ...failure, hint: hintFor(failure) };
}

/** The system call a step stands for. */
function callOf(step: StepFacts): string {
  switch (step.kind) {
    case "call":
      return step.call ?? "";
    case "spawn":
      return step.cgroup === undefined ? "clone" : "clone3";
    case "run":
      return step.path?.slice(step.path.lastIndexOf("/") + 1) ?? "";
    case "exec":
      return "execve";
    case "supervise":
      return "wait4";
    case "report":
      return "write";
    case "exit":
      return "exit_group";
    case "format":
    case "store":
    case "expect":
    case "branch":
    case "environment":
      return step.kind;
  }
}

function targetOf(step: StepFacts): string {
  return (step.kind === "run" ? step.path : step.target) ?? "";
}

/** Why a payload that ended by itself, or was ended by a limit of the kernel, is no longer running. */
function classify(plan: RunPlan, usage: Usage, ended: Ended | null): Reason {
  if (ended === null) return "launch-failed";
  if (ended.signal === "SIGSYS") return "seccomp-kill";
  if (ended.signal === "SIGXFSZ") return "file-size-limit";
  // A payload that came through all the same is not said to have failed by a limit: the counts are in its usage.
  const succeeded = ended.exitCode === 0;
  if (!succeeded && (usage.oomKills ?? 0) > 0) return "memory-limit";
  const cpuLimit = plan.supervisor.cpuTime;
  if (ended.signal === "SIGXCPU") return "cpu-time-limit";
  // RLIMIT_CPU's hard limit is a plain SIGKILL.
  if (ended.signal === "SIGKILL" && cpuLimit !== null && usage.cpuTime >= cpuLimit) return "cpu-time-limit";
  if (!succeeded && (usage.pidsLimitHits ?? 0) > 0) return "pids-limit";
  return ended.signal === null ? "exited" : "signalled";
}

/** Tidying up: that something was already gone weakens nothing. */
const CLEANUP: ReadonlySet<string> = new Set(["close", "unlinkat", "kill", "wait4", "clock_nanosleep"]);

function findDegraded(
  plan: RunPlan,
  steps: readonly StepFacts[],
  memory: MemoryImage,
): readonly DegradedStep[] {
  const degraded: DegradedStep[] = [];
  for (const [index, step] of steps.entries()) {
    if (step.kind !== "call" || step.onError !== "continue" || CLEANUP.has(step.call ?? "")) continue;
    const result = memory.resultAt(index);
    if (result >= 0n || result < -4095n) continue;
    const errno = errnoName(Number(-result));
    // Follows from an open that failed, which is in the list itself.
    if (errno === "EBADF") continue;
    degraded.push({
      step: step.id,
      decision: step.decision,
      call: callOf(step),
      errno,
      target: step.target ?? "",
    });
  }
  if (plan.program.seal && !memory.header.flags.sealed && memory.header.failedStep === 0) {
    degraded.push({ step: "seal", decision: "", call: "memfd_create", errno: "", target: "/proc/self/exe" });
  }
  return degraded;
}
