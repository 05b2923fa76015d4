/** Reports of recorded runs → evidence. Reads files and nothing else; every file that is none is a problem, and then there is no evidence. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Evidence, evidenceProblem, joinRuns, MAX_REPORT, parseEvidence } from "./image/evidence.ts";
import type { Checked, Problem } from "./problems.ts";

/** What all of the runs opened together; null without a file. */
export function readEvidence(files: readonly string[], cwd: string): Checked<Evidence | null> {
  const problems: Problem[] = [];
  const runs: Evidence[] = [];
  for (const file of files) {
    const read = readOne(resolve(cwd, file));
    if (typeof read === "string") problems.push(evidenceProblem(file, read));
    else runs.push(read);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: joinRuns(runs) };
}

function readOne(path: string): Evidence | string {
  let descriptor: number;
  try {
    // A fifo would wait for its writer; it is no regular file and refused below.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    return error instanceof Error && "code" in error
      ? `it cannot be opened (${String(error.code)})`
      : String(error);
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) return "it is not a regular file";
    if (status.size > MAX_REPORT) return `it is longer than ${MAX_REPORT} bytes`;
    return parseEvidence(readFileSync(descriptor, "utf8"));
  } finally {
    closeSync(descriptor);
  }
}
