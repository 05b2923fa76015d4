/**
 * An outcome, and the decisions before it, as lines for people. Pure.
 */
import type { Decision } from "../compile/plan.ts";
import type { LaunchErrorData, Outcome, Reason } from "../launch/outcome.ts";
import { printable } from "../printable.ts";
import { formatPlace } from "../problems.ts";
import type { Resources, Status } from "../profile/spec.ts";
import { formatSize, formatTime } from "../profile/units.ts";

/** "256 MiB", "1000 bytes". */
export function humanSize(bytes: number): string {
  const short = formatSize(bytes);
  const unit = short.at(-1) ?? "";
  return "KMGT".includes(unit) ? `${short.slice(0, -1)} ${unit}iB` : `${short} bytes`;
}

/** "10 s", "500 ms". */
export function humanTime(milliseconds: number): string {
  return formatTime(milliseconds).replace(/(?<=\d)(?=[a-z])/, " ");
}

const of = (limit: string | null): string => (limit === null ? "" : ` of ${limit}`);
const sizeOf = (limit: number | null): string => of(limit === null ? null : humanSize(limit));
const timeOf = (limit: number | null): string => of(limit === null ? null : humanTime(limit));

type Limits = () => Resources;

const memory = (limits: Limits): string => `memory limit${sizeOf(limits().memory)} reached (OOM kill)`;
const pids = (limits: Limits): string => {
  const { pids: most } = limits();
  return `process limit${of(most === null ? null : String(most))} reached (fork refused)`;
};

const OUTSIDE_OOM =
  "killed for want of memory outside of the sandbox: in a cgroup above its own, or in the whole machine";
const OUTSIDE_PIDS =
  "fork refused by a process limit outside of the sandbox: pids.max of a cgroup above its own, which others share";

/** What to say about why a run ended; null: nothing, the exit status says it all. */
const REASONS: Readonly<Record<Reason, (limits: Limits) => string | null>> = {
  exited: () => null,
  signalled: () => null,
  "wall-time-limit": (limits) => `wall-time limit${timeOf(limits().wallTime)} reached`,
  "cpu-time-limit": (limits) => `CPU-time limit${timeOf(limits().cpuTime)} reached`,
  "memory-limit": memory,
  "pids-limit": pids,
  "output-limit": (limits) => `output limit${sizeOf(limits().outputSize)} reached`,
  "file-size-limit": (limits) => `file-size limit${sizeOf(limits().fileSize)} reached (SIGXFSZ)`,
  "seccomp-kill": () =>
    "killed by the seccomp filter (SIGSYS): a system call that the profile does not allow",
  cancelled: () => "cancelled",
  "audit-failed": () => "killed because the audit log could not be written",
  "launch-failed": () => null,
};

/** Failures of ours, which are always told. */
const FAILURES: ReadonlySet<Reason> = new Set(["audit-failed", "launch-failed"]);

function launchFailure(error: LaunchErrorData): string {
  const target = error.target === "" ? "" : ` ${error.target}`;
  const hint = error.hint === "" ? "" : `; ${error.hint}`;
  return error.call === "execve"
    ? `cannot execute${target}: ${error.errno}${hint}`
    : `launch failed at step ${error.step}: ${error.call}${target}: ${error.errno}${hint}`;
}

/**
 * One line per fact worth telling after a run. `always`: even when asked to be quiet.
 * `limits` is asked only when there is a limit to tell of.
 */
export function renderOutcome(
  outcome: Outcome,
  limits: Limits,
): readonly { readonly text: string; readonly always: boolean }[] {
  const lines: { text: string; always: boolean }[] = [];
  if (outcome.launchError !== null) lines.push({ text: launchFailure(outcome.launchError), always: true });
  const why = REASONS[outcome.reason](limits);
  if (why !== null) lines.push({ text: why, always: FAILURES.has(outcome.reason) });
  // A limit may have struck a process that was not the one whose end we saw.
  if (outcome.reason !== "memory-limit" && (outcome.usage.oomKills ?? 0) > 0) {
    lines.push({ text: memory(limits), always: false });
  }
  if (outcome.reason !== "pids-limit" && (outcome.usage.pidsLimitHits ?? 0) > 0) {
    lines.push({ text: pids(limits), always: false });
  }
  if ((outcome.usage.outsideOomKills ?? 0) > 0) lines.push({ text: OUTSIDE_OOM, always: false });
  if ((outcome.usage.outsidePidsHits ?? 0) > 0) lines.push({ text: OUTSIDE_PIDS, always: false });
  for (const { decision, expected, actual, matches, status } of outcome.enforcement) {
    if (!matches && status === "full") {
      lines.push({
        text: `${decision} is not in force: expected ${expected}, found ${actual}`,
        always: true,
      });
    }
  }
  return lines.map(({ text, always }) => ({ text: printable(text), always }));
}

const WORST_FIRST: Readonly<Record<Status, number>> = { none: 0, partial: 1, full: 2 };

/** Every decision on a line, what is less than full first. */
export function renderDecisions(decisions: readonly Decision[]): string {
  const ordered = decisions.toSorted((a, b) => WORST_FIRST[a.status] - WORST_FIRST[b.status]);
  const width = Math.max(0, ...ordered.map(({ id }) => id.length));
  return ordered
    .map(({ id, setting, status, reason, provenance }) => {
      const because = reason === "" ? "" : `; ${reason}`;
      return printable(
        `${status.padEnd(7)} ${id.padEnd(width)}  ${setting}${because} (${formatPlace(provenance)})`,
      );
    })
    .join("\n");
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(3)} s`;

/** Figures of a run in one line. */
export function renderUsage({ usage, reason, runId }: Outcome): string {
  const mebibytes = (usage.peakMemory / 1_048_576).toFixed(1);
  return (
    `sandbox: run ${runId} ${reason}: wall ${seconds(usage.wallTime)}, cpu ${seconds(usage.cpuTime)} ` +
    `(user ${seconds(usage.userTime)}, system ${seconds(usage.systemTime)}), ` +
    `peak memory ${mebibytes} MiB (${usage.peakMemorySource})`
  );
}
