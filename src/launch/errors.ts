/**
 * What Node's system errors say, typed.
 */

/** "ENOENT" and the like; "" for what is no system error. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
