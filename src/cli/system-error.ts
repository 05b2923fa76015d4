/**
 * What Node says of a system call that failed.
 */

/** The errno name of a system error ("ENOENT"); undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
