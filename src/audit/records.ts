/**
 * What can be said in the audit log: a closed union of record kinds, and how each is made from what the stages know.
 *
 * Takes: decisions, host facts, outcomes, and a redactor, so that no secret gets past this point.
 * Gives: plain data, one object per record, as in audit-record.schema.json. Must never: touch a file or a clock.
 */
import { hash } from "node:crypto";
import type { Decision } from "../compile/plan.ts";
import type { HostFacts } from "../host/facts.ts";
import type { Enforcement, LaunchErrorData, OpenedFiles, Outcome, Reason, Usage } from "../launch/outcome.ts";
import type { Provenance } from "../problems.ts";
import type { ResolvedProfile, Status } from "../profile/spec.ts";
import type { Redactor } from "./redact.ts";

/** Version of the record format: `v` of every line. */
export const RECORD_VERSION = 1;

export const RECORD_KINDS = [
  "run-start",
  "decision",
  "step",
  "enforcement",
  "running",
  "limit",
  "files",
  "outcome",
  "run-end",
  "log-repaired",
  "head-signed",
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** What the machine is, short: enough to understand the decisions. */
export interface HostSummary {
  readonly arch: string;
  readonly kernel: string;
  readonly cgroup: string;
  /** Controllers that may be used. */
  readonly controllers: readonly string[];
  readonly userNamespaces: boolean;
  readonly overlay: boolean;
  readonly seccomp: boolean;
  readonly libseccomp: string | null;
  readonly lsms: readonly string[];
  readonly landlockAbi: number | null;
  readonly capabilities: readonly string[];
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
}

export interface RunStart {
  readonly kind: "run-start";
  readonly tool: { readonly name: string; readonly version: string };
  /** Start time of our own process in clock ticks since boot; with pid and boot id it names the process for good. */
  readonly started: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly name: string };
  readonly facts: HostSummary;
  readonly cwd: string;
  readonly argv: readonly string[];
  readonly profile: {
    readonly name: string;
    readonly sources: readonly { readonly file: string; readonly sha256: string }[];
  };
  /** SHA-256 of the launch plan. */
  readonly plan: string;
  /** SHA-256 of the launcher's bytes. */
  readonly launcher: string;
  readonly mode: "supervised" | "standalone";
}

/** A decision of the plan, without how it is read back. */
export interface DecisionRecord extends Omit<Decision, "check"> {
  readonly kind: "decision";
}

/** A launch step that failed (the launch stopped there) or degraded (it went on with less). */
export interface StepRecord {
  readonly kind: "step";
  readonly step: string;
  readonly effect: "failed" | "degraded";
  readonly call: string;
  readonly errno: string;
  readonly target: string;
  readonly hint: string;
}

export interface EnforcementRecord {
  readonly kind: "enforcement";
  readonly decision: string;
  readonly expected: string;
  readonly actual: string;
  readonly matches: boolean;
  readonly status: Status;
}

/** Limits by their names in the profile's `resources`. */
export const LIMITS = ["wallTime", "cpuTime", "memory", "pids", "outputSize", "fileSize"] as const;
export type Limit = (typeof LIMITS)[number];

/** A limit was reached. The payload may have gone on all the same (a refused fork, a killed child). */
export interface LimitRecord {
  readonly kind: "limit";
  readonly limit: Limit;
  /** How often, 1 for those that end the run. */
  readonly times: number;
  /** Whether it is why the run ended. */
  readonly ended: boolean;
}

/** Which files of the root were opened, when that was recorded: how many and a digest of the list, which the report has. */
export interface FilesRecord {
  readonly kind: "files";
  /** The root directory on the host. */
  readonly root: string;
  readonly opened: number;
  /** SHA-256 of the list as JSON, as the report has it. */
  readonly sha256: string;
  readonly complete: boolean;
  /** Why it is not complete. */
  readonly missed: readonly string[];
}

export interface OutcomeRecord {
  readonly kind: "outcome";
  readonly reason: Reason;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly usage: Usage;
}

/** Closes every run; a run without it was cut off. */
export interface RunEnd {
  readonly kind: "run-end";
  readonly reason: Reason;
  /** Exit status of the tool, as sandbox run would give it. */
  readonly exitStatus: number;
  /** Decisions by status. */
  readonly decisions: Readonly<Record<Status, number>>;
  /** Read-backs that agreed and that did not. */
  readonly enforced: number;
  readonly mismatched: number;
  readonly failedSteps: number;
  readonly limits: readonly Limit[];
}

/** A line that a crash or a full disk had torn was cut off the file. */
export interface LogRepaired {
  readonly kind: "log-repaired";
  /** Bytes cut off. */
  readonly bytes: number;
  /** SHA-256 of those bytes. */
  readonly sha256: string;
}

/** The run goes on, and the log can still be written; under `audit.onFailure: "kill"`. */
export interface RunningRecord {
  readonly kind: "running";
  /** Milliseconds since the launcher was started. */
  readonly elapsed: number;
  /** Pid of the launcher's monitor. */
  readonly monitor: number;
}

/** The head of the chain, as it was before this record, was signed. */
export interface HeadSigned {
  readonly kind: "head-signed";
  readonly head: { readonly seq: number; readonly hash: string };
  /** SHA-256 of the public key (SubjectPublicKeyInfo, DER). */
  readonly key: string;
  /** Ed25519, base64. */
  readonly signature: string;
}

/** What a caller appends. */
export type AuditRecord =
  | RunStart
  | DecisionRecord
  | StepRecord
  | EnforcementRecord
  | RunningRecord
  | LimitRecord
  | FilesRecord
  | OutcomeRecord
  | RunEnd
  | LogRepaired
  | HeadSigned;

/** What the log adds to every record. */
export interface Common {
  readonly v: typeof RECORD_VERSION;
  /** RFC 3339, UTC, milliseconds. May step back with the clock; `mono` and `seq` do not. */
  readonly time: string;
  /** From 1, without a gap, per file. */
  readonly seq: number;
  /** CLOCK_MONOTONIC in nanoseconds, decimal; comparable within one boot. */
  readonly mono: string;
  readonly boot: string;
  readonly host: string;
  /** Run id; "" for records about the log itself. */
  readonly run: string;
  readonly pid: number;
  /** Pointers of texts that held bytes which are not UTF-8, each shown as U+FFFD. */
  readonly lossy?: readonly string[];
  /** What was shortened to fit: pointer, and the original length in characters or elements. */
  readonly cut?: readonly { readonly at: string; readonly length: number }[];
  /** SHA-256 of the bytes of the line before, without its newline; 64 zeros in the first. */
  readonly prev: string;
  /** SHA-256 of the bytes of this line up to and without `,"hash"`. */
  readonly hash: string;
}

/** A whole line, parsed. */
export type AuditLine = Common & AuditRecord;

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
