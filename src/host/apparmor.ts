/**
 * AppArmor policy of ours in the kernel: which is loaded, loading, removing. Takes text that the compiler wrote; touches no profile
 * whose name is not of our making. Root of the host only: `HostFacts.lsm.apparmor.load` says who can.
 */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { type Compiling, compilePolicy, readCompiled } from "./apparmor-compiled.ts";
import { errorCode } from "./files.ts";
import { INITIAL_PID_NAMESPACE } from "./lsm.ts";

const INTERFACE = "/sys/kernel/security/apparmor";

/** As `writeAppArmor` names them. */
const OURS = /^(sandbox-[a-z0-9-]*-[0-9a-f]{32})\.\d+$/;

/** Names of profiles of ours that are loaded: apparmorfs has a directory `NAME.NUMBER` for each. */
export function loadedPolicies(): readonly string[] {
  return names(`${INTERFACE}/policy/profiles`).flatMap((name) => OURS.exec(name)?.[1] ?? []);
}

/** What is in a directory; nothing where there is none, or it is closed to the caller. */
export function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (ABSENT.has(errorCode(error) ?? "")) return [];
    throw error;
  }
}

const ABSENT = new Set(["ENOENT", "EACCES", "EPERM", "ESRCH", "EINVAL"]);

/**
 * Whether any process may run under a profile, alone or in a stack. Policy is the machine's, and a pid namespace shows a part of it: who sees
 * less than all processes cannot say no.
 */
export function mayBeHeld(profile: string): boolean {
  return (
    readlinkSync("/proc/self/ns/pid") !== INITIAL_PID_NAMESPACE ||
    names("/proc").some((pid) => /^\d+$/.test(pid) && (labelOf(pid)?.split("//&").includes(profile) ?? true))
  );
}

/** "" for a process that has ended; null: it is not for us to see. */
function labelOf(pid: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/attr/apparmor/current`, "utf8").replace(/ \([a-z]+\)\n$/, "");
  } catch (error) {
    const code = errorCode(error) ?? "";
    if (code === "ENOENT" || code === "ESRCH") return "";
    if (ABSENT.has(code)) return null;
    throw error;
  }
}

/** Put a profile into the kernel, compiled by its parser or kept from then; null when it is in force, else what the parser or the kernel said. */
export function loadPolicy({ name, ...from }: Compiling & { readonly name: string }): string | null {
  const kept = readCompiled(from);
  if (kept !== null && give(kept) === null && loadedPolicies().includes(name)) return null;
  const binary = compilePolicy(from);
  if (typeof binary === "string") return binary;
  const refused = give(binary);
  if (refused !== null) return `the kernel does not take what ${from.parser} made of it: ${refused}`;
  return loadedPolicies().includes(name) ? null : `the kernel took it, and does not list ${name}`;
}

/** null: taken; else the errno's name. */
function give(binary: Uint8Array): string | null {
  try {
    // The kernel takes a whole profile in one write, whatever is there already.
    writeFileSync(`${INTERFACE}/.replace`, binary, { flag: "r+" });
    return null;
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return code;
  }
}

/** Take a profile out of the kernel. What still runs under it would become unconfined: only for what nobody uses. False: it was not there. */
export function removePolicy(name: string): boolean {
  try {
    // The kernel takes the whole name in one write.
    writeFileSync(`${INTERFACE}/.remove`, `${name}\0`, { flag: "r+" });
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}
