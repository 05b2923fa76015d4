/** What a run takes: a plan made ready, and what is particular to one run of it. */
import type { LaunchPlan, SupervisorPlan } from "../compile/plan.ts";
import type { StopReason } from "./decode.ts";
import { type PreparedImage, prepareImage } from "./image.ts";
import type { Enforcement } from "./outcome.ts";
import type { Input, Output } from "./output.ts";
import { type LaunchSheet, makeSheet } from "./sheet.ts";

/** A plan that is ready to run, any number of times, also at once. */
export interface PreparedLaunch extends LaunchSheet {
  readonly image: PreparedImage;
  /** Lets go of the image. Runs that were started go on. */
  close(): void;
}

/** A range of ids that no other sandbox uses as long as it is not released. */
export interface ClaimedIds {
  /** 0 <= slot < slots of the plan's range. */
  readonly slot: number;
  release(): void;
}

/** What a caller can do with a run that has started. */
export interface RunControl {
  readonly runId: string;
  /** Of the monitor. */
  readonly pid: number;
  /** Ends everything in the sandbox at once; the first reason given is the one reported. */
  stop(reason: StopReason): void;
  /** Sends a signal to the payload, through monitor and init. */
  kill(signal: NodeJS.Signals): void;
}

export interface LaunchRequest {
  readonly prepared: PreparedLaunch;
  /** From `makeRunId`; made when absent. */
  readonly runId?: string;
  /** The payload's argv; may be empty when the program has its own. */
  readonly command: readonly string[];
  /** The launcher's environment, from which the program takes what it passes on. */
  readonly env: Readonly<Record<string, string>>;
  /** Default: "ignore". */
  readonly stdin?: Input;
  /** Default: "capture". */
  readonly stdout?: Output;
  readonly stderr?: Output;
  /** Milliseconds of wall time for this run; the shorter of this and the plan's holds. */
  readonly timeout?: number;
  /** Ends the run as "cancelled". */
  readonly signal?: AbortSignal;
  /** Pass on this process's signals and take part in job control: for a command line, never for a library. */
  readonly forwardSignals?: boolean;
  /** Needed when the plan has an idRange. */
  readonly claimIds?: (range: NonNullable<SupervisorPlan["idRange"]>) => ClaimedIds;
  /** Called when the launcher has been started. What it throws stops the run and is passed on. */
  readonly onStart?: (control: RunControl) => void;
  /**
   * Called before `launch` resolves when the kernel did not confirm a control that the plan holds to be in full force.
   * The payload has ended by then: this is for evidence and alarm. What must be refused beforehand is an `expect`
   * step of the program.
   */
  readonly onMismatch?: (differing: readonly Enforcement[]) => void;
}

/** Makes the image executable and computes what all runs of it share. Throws the system's error when it cannot. */
export function prepareLaunch(plan: LaunchPlan, image: Uint8Array): PreparedLaunch {
  return prepareSheet(makeSheet(plan), image);
}

/** The same for a plan of which only the sheet is at hand. */
export function prepareSheet(sheet: LaunchSheet, image: Uint8Array): PreparedLaunch {
  const prepared = prepareImage(image);
  return { ...sheet, image: prepared, close: () => prepared.close() };
}
