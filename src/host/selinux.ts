/**
 * Asks the loaded SELinux policy whether it knows labels. Takes texts; changes nothing: what is written to selinuxfs's `context` is
 * looked at and forgotten (security_check_context(3)).
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { errorCode } from "./files.ts";

const ORACLE = "/sys/fs/selinux/context";

/** Whether each label is valid in the loaded policy: its names exist, and its user may have its role, type and level. null: not to be asked. */
export function probeLabels(
  labels: readonly string[],
  oracle: string = ORACLE,
): Readonly<Record<string, boolean | null>> {
  return Object.fromEntries(labels.map((label) => [label, isKnown(label, oracle)]));
}

/** A question is one write to a file opened for it. */
function isKnown(label: string, oracle: string): boolean | null {
  let file: number;
  try {
    file = openSync(oracle, constants.O_RDWR);
  } catch (error) {
    if (CLOSED.has(errorCode(error) ?? "")) return null;
    throw error;
  }
  try {
    writeSync(file, label);
    return true;
  } catch (error) {
    const code = errorCode(error) ?? "";
    if (code === "EINVAL") return false;
    if (CLOSED.has(code)) return null;
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Not there, or not for this caller. */
const CLOSED = new Set(["EACCES", "ENOENT", "ENOTDIR", "EPERM", "EROFS"]);
