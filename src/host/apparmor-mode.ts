/**
 * Asks AppArmor how it holds whom a profile confines. Takes a name, gives the mode; changes nothing. Everybody may ask: apparmorfs has a
 * directory for each loaded profile, and in it one for each of its children.
 */
import { readdirSync, readFileSync } from "node:fs";
import { APPARMOR_MODES, type AppArmorMode } from "./facts.ts";
import { errorCode } from "./files.ts";

const PROFILES = "/sys/kernel/security/apparmor/policy/profiles";

/** `name`: as it is written to /proc/self/attr: "tool", "tool//child". null: there is nobody to ask, or it is a profile of another namespace or a stack. */
export function probeMode(name: string, profiles: string = PROFILES): AppArmorMode | null {
  // ":namespace:profile", "profile//&profile"
  if (name.startsWith(":") || name.includes("//&")) return null;
  return find(profiles, name.split("//"));
}

function find(directory: string, [first = "", ...rest]: readonly string[]): AppArmorMode | null {
  const entries = read(() => readdirSync(directory));
  if (entries === null) return null;
  for (const entry of entries) {
    const own = `${directory}/${entry}`;
    if (read(() => readFileSync(`${own}/name`, "utf8"))?.trim() !== first) continue;
    if (rest.length > 0) return find(`${own}/profiles`, rest) ?? "absent";
    const mode = read(() => readFileSync(`${own}/mode`, "utf8"))?.trim();
    return APPARMOR_MODES.find((known) => known === mode) ?? null;
  }
  return "absent";
}

/** null: not there, any more or for this caller. */
function read<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES", "EPERM", "EINVAL"].includes(errorCode(error) ?? "")) return null;
    throw error;
  }
}
