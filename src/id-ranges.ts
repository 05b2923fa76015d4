/**
 * Ranges of host ids for sandboxes of root that map more than one id: each range belongs to one run at a time.
 * A claim is a lock file, so that it ends with its owner, however that ends.
 */
import { mkdirSync } from "node:fs";
import { acquireLock, LockError } from "./audit/lock.ts";
import type { SupervisorPlan } from "./compile/plan.ts";
import type { ClaimedIds } from "./launch/request.ts";

const DIRECTORY = "/run/sandbox/ids";

/** Slots that this process holds: its own locks are not asked for twice. */
const held = new Set<number>();

/** Claim a free range. Starts looking at a place of its own, so that concurrent runs seldom meet. Throws when all are taken. */
export function claimIds({ slots }: NonNullable<SupervisorPlan["idRange"]>): ClaimedIds {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
  const first = (process.pid * 16) % slots;
  for (let tried = 0; tried < slots; tried += 1) {
    const slot = (first + tried) % slots;
    if (held.has(slot)) continue;
    try {
      const unlock = acquireLock(`${DIRECTORY}/${slot}`, { timeout: 0 });
      held.add(slot);
      const release = (): void => {
        held.delete(slot);
        unlock();
      };
      return { slot, release };
    } catch (error) {
      if (!(error instanceof LockError) || error.code !== "ETIMEDOUT") throw error;
    }
  }
  throw new Error(`all ${slots} ranges of ids are taken by running sandboxes`);
}
