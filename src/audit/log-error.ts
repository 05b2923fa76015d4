/** What is wrong with a log: the problem that says what to do, from the errno of a failed system call. */
import type { Problem, Provenance } from "../problems.ts";
import { LockError } from "./lock.ts";

/** The log cannot be written (or its end cannot be trusted). What was appended before is in the file. */
export class AuditError extends Error {
  override readonly name = "AuditError";
  readonly problem: Problem;
  /** Errno name: ENOSPC, EFBIG, EACCES, ETIMEDOUT (lock), ..., or "" when none. */
  readonly code: string;
  constructor(problem: Problem, code: string, cause?: unknown) {
    super(problem.message, { cause });
    this.problem = problem;
    this.code = code;
  }
}

/** What to do about an errno, for people. */
const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: "free space on its file system, or choose another file with --audit FILE",
  EDQUOT: "the disk quota is used up: free space, or choose another file with --audit FILE",
  EMFILE: "raise the limit of open files (ulimit -n)",
  ENFILE: "the machine has too many files open (sysctl fs.file-max)",
  EFBIG: "raise the file-size limit (ulimit -f), or start a new file with --audit FILE",
  EACCES: "choose a file that you may write with --audit FILE",
  EPERM: "choose a file that you may write with --audit FILE",
  EROFS: "its file system is read-only: choose another file with --audit FILE",
  ELOOP: "it is a symbolic link: give the real path with --audit FILE",
  ENOTDIR: "a part of the path is not a directory: choose another file with --audit FILE",
  EPIPE: "nobody reads the stream any more",
};

/** A log as messages name it, and who chose it. */
export class Place {
  readonly shown: string;
  readonly where: Provenance;
  constructor(shown: string, where: Provenance) {
    this.shown = shown;
    this.where = where;
  }

  error(
    what: string,
    hint: string,
    code = "",
    cause?: unknown,
    kind: Problem["kind"] = "audit-unwritable",
  ): AuditError {
    const message = `the audit log ${this.shown} ${what}`;
    return new AuditError({ kind, where: this.where, pointer: "/audit", message, hint }, code, cause);
  }

  /** For a failed system call; anything else is not ours to explain and goes on. */
  failed(what: string, error: unknown): AuditError {
    if (error instanceof AuditError) return error;
    if (error instanceof LockError) {
      const hint =
        error.code === "ETIMEDOUT"
          ? `if no such process runs any more, remove the link ${this.shown}.lock`
          : (HINTS[error.code] ?? "choose another file with --audit FILE");
      return this.error(`cannot be locked: ${error.message}`, hint, error.code, error);
    }
    // Node's own errors have codes such as ERR_OUT_OF_RANGE: those are bugs.
    if (!(error instanceof Error && "code" in error && typeof error.code === "string")) throw error;
    if (!/^E[A-Z0-9]+$/.test(error.code)) throw error;
    const hint = HINTS[error.code] ?? "choose another file with --audit FILE";
    return this.error(`${what}: ${error.code}`, hint, error.code, error);
  }
}
