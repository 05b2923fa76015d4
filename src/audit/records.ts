/** What can be said in the audit log: a closed union of record kinds, as in audit-record.schema.json. record.ts makes them. */
import type { Decision } from "../compile/plan.ts";
import type { Reason, Usage } from "../launch/outcome.ts";
import type { Status } from "../profile/spec.ts";

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
