/**
 * AppArmor policy of ours in the kernel: which is loaded, loading, removing. Takes text that the compiler wrote; touches no profile
 * whose name is not of our making. Root of the host only: `HostFacts.lsm.apparmor.load` says who can.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { errorCode } from "./files.ts";

const INTERFACE = "/sys/kernel/security/apparmor";

/** As `writeAppArmor` names them. */
const OURS = /^(sandbox-[a-z0-9-]*-[0-9a-f]{12})\.\d+$/;

/** Milliseconds; a profile of ours takes some ten. */
export const PATIENCE = 30_000;

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

/** Whether any process runs under a profile, alone or in a stack. */
export function isHeldBy(profile: string): boolean {
  return names("/proc").some((pid) => /^\d+$/.test(pid) && labelOf(pid).split("//&").includes(profile));
}

/** "" for a process that has ended. */
function labelOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/attr/apparmor/current`, "utf8").replace(/ \([a-z]+\)\n$/, "");
  } catch (error) {
    if (ABSENT.has(errorCode(error) ?? "")) return "";
    throw error;
  }
}

/** Compile a profile and give it to the kernel; null when it is in force, else what the parser said. */
export function loadPolicy(parser: string, { name, text }: { name: string; text: string }): string | null {
  const child = spawnSync(parser, ["--replace", "--skip-cache", "--skip-read-cache", "--quiet"], {
    input: text,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    cwd: "/",
    stdio: ["pipe", "ignore", "pipe"],
    timeout: PATIENCE,
    killSignal: "SIGKILL",
    encoding: "utf8",
  });
  if (child.error !== undefined) return child.error.message;
  if (child.status !== 0) {
    const said = child.stderr.trim().replaceAll(/\s*\n\s*/g, "; ");
    return said === "" ? `${parser} ended with ${child.signal ?? `status ${child.status}`}` : said;
  }
  return loadedPolicies().includes(name)
    ? null
    : `${parser} reported success, and the kernel does not list ${name}`;
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
