/** What is said of a directory that is to keep the writes and cannot: before a launch, and of one that failed. Loads nothing: a run from the cache needs it too. */
import { WRITES_MARK } from "../host/facts.ts";
import type { Problem } from "../problems.ts";

/** The step that fails with EAGAIN when another run has the directory. */
export const WRITES_LOCK_STEP = "writes.lock";

/** An upper layer is changed and emptied by the payload: it is made of nothing but writes. */
export function foreignWrites(directory: string): Omit<Problem, "where" | "pointer"> {
  return {
    kind: "writes-foreign",
    message: `${directory} holds files that no run of this user left there, and the payload could change or hide them`,
    expected: "an empty directory, or one that kept writes before",
    hint: `choose an empty one; if these are writes of an earlier run, say so: install -m 600 /dev/null ${directory}/${WRITES_MARK}`,
  };
}
