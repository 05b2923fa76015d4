/** Runs that never had a launcher: what kept it from being started, and the outcome that says so. */
import { CgroupPrepareError } from "./cgroup.ts";
import { makeLaunchError } from "./decode.ts";
import { errorCode } from "./errors.ts";
import type { LaunchErrorData, Outcome } from "./outcome.ts";
import type { LaunchRequest } from "./request.ts";
import { noUsage } from "./usage.ts";

/** What kept the launcher from being started. The caller's own mistakes are thrown on. */
export function explainStart(error: unknown, { prepared }: LaunchRequest): LaunchErrorData {
  if (error instanceof CgroupPrepareError) {
    return makeLaunchError({
      step: "cgroup.prepare",
      call: "write",
      errno: error.code,
      target: error.target,
    });
  }
  const errno = errorCode(error);
  // Node's own codes, such as ERR_INVALID_ARG_VALUE for a NUL byte, are no errno.
  if (!/^E[A-Z0-9]+$/.test(errno)) throw error;
  return makeLaunchError({ step: "spawn", call: "spawn", errno, target: prepared.image.path });
}

/** The outcome of a run that never had a launcher. */
export function unstarted(
  runId: string,
  reason: "launch-failed" | "cancelled",
  launchError: LaunchErrorData | null,
  wallTime = 0,
): Outcome {
  return {
    runId,
    exitCode: null,
    signal: null,
    reason,
    launchError,
    usage: noUsage(wallTime),
    enforcement: [],
    degraded: [],
    stdout: null,
    stderr: null,
  };
}
