/**
 * Asks the loaded SELinux policy about labels. Takes texts; changes nothing: what is written to files of selinuxfs is
 * answered and forgotten (security_check_context(3), security_compute_av(3)).
 */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { errorCode } from "./files.ts";

const SELINUXFS = "/sys/fs/selinux";

/** Whether each label is valid in the loaded policy: its names exist, and its user may have its role, type and level. null: not to be asked. */
export function probeLabels(
  labels: readonly string[],
  oracle = `${SELINUXFS}/context`,
): Readonly<Record<string, boolean | null>> {
  return Object.fromEntries(
    labels.map((label) => {
      const answer = ask(oracle, label);
      return [label, answer === null ? null : answer !== INVALID];
    }),
  );
}

/**
 * Whether the policy only logs what it would refuse this domain, though it enforces others. null: not to be asked, or no label of this
 * policy. Neither the label nor "enforcing" says so: a domain is made permissive by itself, in a module or by semanage(8).
 */
export function probePermissive(label: string, oracle = `${SELINUXFS}/access`): boolean | null {
  const answer = ask(oracle, `${label} ${label} ${ANY_CLASS}`);
  return answer === null || answer === INVALID ? null : saysPermissive(answer);
}

/** Of an access vector as the kernel writes it: allowed, decided, auditallow, auditdeny, sequence number, flags. null: it is none. */
export function saysPermissive(answer: string): boolean | null {
  const flags = /^(?:[0-9a-f]+ ){4}\d+ ([0-9a-f]+)$/.exec(answer.trim())?.[1];
  return flags === undefined ? null : (Number.parseInt(flags, 16) & SELINUX_AVD_FLAGS_PERMISSIVE) !== 0;
}

/** The flag is the source's, so it stands in the answer for every class; every policy has a first one. */
const ANY_CLASS = 1;
/** selinux/selinux.h */
const SELINUX_AVD_FLAGS_PERMISSIVE = 1;

const INVALID = Symbol("not in this policy");

/** What the kernel says to one question, which is a write and a read of a file opened for it; null: it cannot be asked. */
function ask(oracle: string, question: string): string | typeof INVALID | null {
  let file: number;
  try {
    file = openSync(oracle, constants.O_RDWR);
  } catch (error) {
    if (CLOSED.has(errorCode(error) ?? "")) return null;
    throw error;
  }
  try {
    writeSync(file, question);
    const answer = Buffer.alloc(4096);
    return answer.toString("latin1", 0, readSync(file, answer, 0, answer.length, 0));
  } catch (error) {
    const code = errorCode(error) ?? "";
    if (code === "EINVAL") return INVALID;
    if (CLOSED.has(code)) return null;
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Not there, or not for this caller. */
const CLOSED = new Set(["EACCES", "ENOENT", "ENOTDIR", "EPERM", "EROFS"]);
