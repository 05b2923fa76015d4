/**
 * What Node says of a system call that failed.
 */

/** The errno name of a system error ("ENOENT"); undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

const ADVICE: Readonly<Record<string, string>> = {
  EMFILE: "raise `ulimit -n`",
  ENFILE: "the machine has too many files open (sysctl fs.file-max)",
  EFBIG: "raise the file-size limit (`ulimit -f`)",
  ENOSPC: "free some space there",
  EDQUOT: "the disk quota is used up",
  ENOMEM: "free some memory, or raise the limit",
  EAGAIN: "the limit of processes is reached (`ulimit -u`)",
};

/** What to say of a system error that is nobody's mistake here: what failed, and what to do where that is known. */
export function describeSystemError(error: Error): string {
  if ("syscall" in error && error.syscall === "uv_cwd")
    return "the current directory does not exist any more; cd to one that does";
  const advice = ADVICE[systemCode(error) ?? ""];
  return advice === undefined ? error.message : `${error.message}; ${advice}`;
}
