/**
 * One run in the audit log: how it begins, that it still goes on, how it ends.
 *
 * Takes what the stages know; appends records. What a failure of the log means is the profile's choice (`audit.onFailure`): `continue` goes
 * on; `refuse` runs nothing that cannot be logged; `kill` also ends what runs when the log cannot be written any more.
 */

import type { AuditLog } from "./audit/log.ts";
import { AuditError } from "./audit/log-error.ts";
import { recordEnd, recordRunning, recordRunStart } from "./audit/record.ts";
import type { DecisionRecord } from "./audit/records.ts";
import type { Redactor } from "./audit/redact.ts";
import type { Decision } from "./compile/plan.ts";
import { exitStatus, type Outcome } from "./launch/outcome.ts";
import type { RunControl } from "./launch/request.ts";
import type { Preparation } from "./prepare.ts";
import type { ProfileBrief } from "./prepared-cache.ts";
import { ProfileError } from "./problems.ts";
import { signalNumber } from "./program/signal.ts";
import { TOOL } from "./version.ts";

/** What a run is about, as it is logged. */
export interface LoggedPlan {
  readonly decisions: readonly DecisionRecord[];
  readonly planDigest: string;
  readonly launcherDigest: string;
}

/** Without its records such a run must not be. */
export const mustLog = ({ spec }: ProfileBrief): boolean =>
  spec.audit.require || spec.audit.onFailure !== "continue";

/** Milliseconds after the start of the first proof that the log can still be written. */
const FIRST_LOOK = 1000;
/** Each comes when the run is twice as old, and no later than this after the one before. */
const LONGEST_PAUSE = 60_000;

export class RunLog {
  readonly #audit: AuditLog | null;
  readonly #preparation: Preparation;
  readonly #redactor: Redactor;
  readonly #runId: string;
  #next: NodeJS.Timeout | undefined;

  constructor(audit: AuditLog | null, preparation: Preparation, redactor: Redactor, runId: string) {
    this.#audit = audit;
    this.#preparation = preparation;
    this.#redactor = redactor;
    this.#runId = runId;
  }

  /** Before the launch. Throws ProfileError where there is no run without its records. */
  start(argv: readonly string[], { decisions, planDigest, launcherDigest }: LoggedPlan): void {
    if (this.#audit === null) return;
    const { brief, host, cwd, mode } = this.#preparation;
    const start = recordRunStart(
      {
        tool: TOOL,
        started: new Date().toISOString(),
        facts: host,
        cwd,
        argv,
        profile: brief,
        plan: planDigest,
        launcher: launcherDigest,
        mode,
      },
      this.#redactor,
    );
    try {
      this.#audit.append(this.#runId, [start, ...decisions]);
    } catch (error) {
      if (!(error instanceof AuditError)) throw error;
      if (mustLog(brief)) throw new ProfileError([error.problem]);
    }
  }

  /**
   * Under `kill`: proves again and again that the log can be written, by writing to it, and stops the run when it cannot. A run is
   * unlogged for no longer than it ran before, and for no more than a minute.
   */
  watch(control: RunControl): void {
    if (this.#audit === null || this.#preparation.brief.spec.audit.onFailure !== "kill") return;
    const began = process.hrtime.bigint();
    const look = (): void => {
      const elapsed = Number((process.hrtime.bigint() - began) / 1_000_000n);
      try {
        this.#audit?.append(this.#runId, [recordRunning(elapsed, control.pid)]);
      } catch (error) {
        if (!(error instanceof AuditError)) throw error;
        control.stop("audit-failed");
        return;
      }
      this.#next = setTimeout(look, Math.min(elapsed, LONGEST_PAUSE));
    };
    this.#next = setTimeout(look, FIRST_LOOK);
  }

  /** After the launch. A run without its records is reported as such: the outcome is the only place left to say it. */
  end(outcome: Outcome, decisions: readonly Decision[]): Outcome {
    clearTimeout(this.#next);
    if (this.#audit === null) return outcome;
    const status = exitStatus(outcome, (name) => signalNumber(name) ?? 0);
    try {
      this.#audit.append(outcome.runId, recordEnd(outcome, decisions, status, this.#redactor));
      return outcome;
    } catch (error) {
      if (!(error instanceof AuditError)) throw error;
      if (this.#preparation.brief.spec.audit.onFailure === "continue") return outcome;
      return { ...outcome, reason: "audit-failed" };
    }
  }
}
