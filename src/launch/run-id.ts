/**
 * The name of one run: unique on this machine, and the name of everything the run makes (`sandbox-<run id>`).
 */
import { randomBytes } from "node:crypto";

/** Matches every run id; the first group is the supervisor's process id, by which leftovers are told from live runs. */
export const RUN_ID = /^(\d+)-[0-9a-f]{16}$/;

/**
 * `<supervisor pid>-<16 hex digits>`. The pid says who to ask whether the run is alive; the random part
 * keeps names apart when pids are reused and when one supervisor runs many sandboxes.
 */
export function makeRunId(): string {
  return `${process.pid}-${randomBytes(8).toString("hex")}`;
}
