/**
 * How each record of the audit log is made from what the stages know.
 *
 * Takes: decisions, host facts, outcomes, and a redactor, so that no secret gets past this point.
 * Gives: plain data, one object per record. Must never: touch a file or a clock.
 */
import { hash } from "node:crypto";
import type { Decision } from "../compile/plan.ts";
import type { HostFacts } from "../host/facts.ts";
import type { Enforcement, LaunchErrorData, OpenedFiles, Outcome, Reason } from "../launch/outcome.ts";
import type { Provenance } from "../problems.ts";
import type { ResolvedProfile, Status } from "../profile/spec.ts";
import type {
  AuditRecord,
  DecisionRecord,
  EnforcementRecord,
  FilesRecord,
  HostSummary,
  Limit,
  LimitRecord,
  RunningRecord,
  RunStart,
  StepRecord,
} from "./records.ts";
import type { Redactor } from "./redact.ts";

export function summariseHost(facts: HostFacts): HostSummary {
  return {
    arch: facts.arch,
    kernel: facts.kernel.release,
    cgroup: facts.cgroup.layout,
    controllers: Object.keys(facts.cgroup.controllers).toSorted(),
    userNamespaces: facts.userNamespaces.available,
    overlay: facts.overlay.available,
    seccomp: facts.seccomp.available,
    libseccomp: facts.libseccomp,
    lsms: facts.lsms,
    landlockAbi: facts.landlockAbi,
    capabilities: facts.capabilities,
    cpus: facts.cpus,
    memory: facts.memory,
  };
}

export interface RunStartInput {
  readonly tool: { readonly name: string; readonly version: string };
  readonly started: string;
  readonly facts: HostFacts;
  readonly cwd: string;
  readonly argv: readonly string[];
  readonly profile: Pick<ResolvedProfile, "sources"> & { readonly spec: { readonly name: string } };
  readonly plan: string;
  readonly launcher: string;
  readonly mode: "supervised" | "standalone";
}

/** The record that opens a run. */
export function recordRunStart(input: RunStartInput, redactor: Redactor): RunStart {
  const { uid, gid, name } = input.facts.user;
  return {
    kind: "run-start",
    tool: input.tool,
    started: input.started,
    user: { uid, gid, name },
    facts: summariseHost(input.facts),
    cwd: redactor.text(input.cwd),
    argv: redactor.argv(input.argv),
    profile: {
      name: input.profile.spec.name,
      sources: input.profile.sources.map(({ file, sha256 }) => ({ file, sha256 })),
    },
    plan: input.plan,
    launcher: input.launcher,
    mode: input.mode,
  };
}

/** One record per decision. A flag (`--env TOKEN=...`) is part of its provenance, so that is redacted too. */
export function recordDecision(decision: Decision, redactor: Redactor): DecisionRecord {
  return {
    kind: "decision",
    id: redactor.text(decision.id),
    control: decision.control,
    setting: redactor.text(decision.setting),
    provenance: redactProvenance(decision.provenance, redactor),
    status: decision.status,
    reason: redactor.text(decision.reason),
  };
}

function redactProvenance(where: Provenance, redactor: Redactor): Provenance {
  switch (where.kind) {
    case "flag":
      return { kind: "flag", flag: redactor.text(where.flag) };
    case "option":
      return { kind: "option", option: redactor.text(where.option) };
    case "profile": {
      const { kind, file, pointer, line, column } = where;
      return { kind, file, pointer, line, column };
    }
    case "default":
      return where;
  }
  return where satisfies never;
}

/** A failed or degraded step. */
export function recordStep(
  error: LaunchErrorData,
  effect: StepRecord["effect"],
  redactor: Redactor,
): StepRecord {
  return {
    kind: "step",
    step: redactor.text(error.step),
    effect,
    call: error.call,
    errno: error.errno,
    target: redactor.text(error.target),
    hint: redactor.text(error.hint),
  };
}

/** One control as read back. */
export function recordEnforcement(enforcement: Enforcement, redactor: Redactor): EnforcementRecord {
  return {
    kind: "enforcement",
    decision: redactor.text(enforcement.decision),
    expected: redactor.text(enforcement.expected),
    actual: redactor.text(enforcement.actual),
    matches: enforcement.matches,
    status: enforcement.status,
  };
}

export function recordRunning(elapsed: number, monitor: number): RunningRecord {
  return { kind: "running", elapsed, monitor };
}

function recordOpened({ root, opened, complete, missed }: OpenedFiles, redactor: Redactor): FilesRecord {
  return {
    kind: "files",
    root: redactor.text(root),
    opened: opened.length,
    sha256: hash("sha256", JSON.stringify(opened)),
    complete,
    missed: missed.map((reason) => redactor.text(reason)),
  };
}

/** The limit behind a reason; null when it is none. Exhaustive, so a new reason has to be placed. */
const LIMIT_OF: Readonly<Record<Reason, Limit | null>> = {
  exited: null,
  signalled: null,
  "wall-time-limit": "wallTime",
  "cpu-time-limit": "cpuTime",
  "memory-limit": "memory",
  "pids-limit": "pids",
  "output-limit": "outputSize",
  "file-size-limit": "fileSize",
  "seccomp-kill": null,
  cancelled: null,
  "audit-failed": null,
  "launch-failed": null,
};

/** Every limit the run met: the one that ended it, and those the cgroup counted. */
export function recordLimits(outcome: Pick<Outcome, "reason" | "usage">): readonly LimitRecord[] {
  const counted: readonly [Limit, number][] = [
    ["memory", outcome.usage.oomKills ?? 0],
    ["pids", outcome.usage.pidsLimitHits ?? 0],
  ];
  const ending = LIMIT_OF[outcome.reason];
  const records: LimitRecord[] = [];
  if (ending !== null) {
    const times = counted.find(([limit]) => limit === ending)?.[1] ?? 0;
    records.push({ kind: "limit", limit: ending, times: Math.max(1, times), ended: true });
  }
  for (const [limit, times] of counted) {
    if (times > 0 && limit !== ending) records.push({ kind: "limit", limit, times, ended: false });
  }
  return records;
}

/**
 * All that is to be said when a run is over: failed step, read-back, limits, opened files, outcome, summary; in that order.
 * @param decisions the plan's, for the summary
 * @param exitStatus what the tool will exit with
 */
export function recordEnd(
  outcome: Outcome,
  decisions: readonly Decision[],
  exitStatus: number,
  redactor: Redactor,
): readonly AuditRecord[] {
  const limits = recordLimits(outcome);
  const { reason, exitCode, signal, usage, enforcement, launchError, files } = outcome;
  const byStatus: Record<Status, number> = { full: 0, partial: 0, none: 0 };
  for (const decision of decisions) byStatus[decision.status] += 1;
  const enforced = enforcement.filter(({ matches }) => matches).length;
  return [
    ...(launchError === null ? [] : [recordStep(launchError, "failed", redactor)]),
    ...enforcement.map((read) => recordEnforcement(read, redactor)),
    ...limits,
    ...(files === undefined ? [] : [recordOpened(files, redactor)]),
    { kind: "outcome", reason, exitCode, signal, usage },
    {
      kind: "run-end",
      reason,
      exitStatus,
      decisions: byStatus,
      enforced,
      mismatched: enforcement.length - enforced,
      failedSteps: launchError === null ? 0 : 1,
      limits: limits.map(({ limit }) => limit),
    },
  ];
}
