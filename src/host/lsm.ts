/**
 * Takes the files of procfs, securityfs and selinuxfs, gives the state of AppArmor and SELinux. What is hidden counts as not
 * active: nothing can be asked of a module whose files are not there.
 */
import type { Ability, AppArmorFacts, HostFacts, SelinuxFacts } from "./facts.ts";
import type { HostFiles } from "./files.ts";
import { AVAILABLE, unavailable } from "./kernel.ts";

export interface Caller {
  /** Effective capabilities, names. */
  readonly capabilities: readonly string[];
  readonly initialUserNamespace: boolean;
  /** Active modules, as `probeLsms` found them. */
  readonly lsms: readonly string[];
}

export function probeLsm(files: HostFiles, caller: Caller): HostFacts["lsm"] {
  return {
    apparmor: caller.lsms.includes("apparmor") ? probeAppArmor(files, caller) : null,
    selinux: caller.lsms.includes("selinux") ? probeSelinux(files) : null,
  };
}

/** Both directories of securityfs(7) where policy goes in; a container sees neither. */
const POLICY = "/sys/kernel/security/apparmor";
const PARSERS = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];
const ABIS = ["4.0", "3.0"] as const;

function probeAppArmor(files: HostFiles, caller: Caller): AppArmorFacts | null {
  const text = appArmorLabel(files);
  if (text === null) return null;
  const parser = PARSERS.find((path) => files.status(path) !== null) ?? null;
  return {
    // Of "name (enforce)" only the name says whom transitions start from.
    label: text.replace(/ \([a-z]+\)$/, ""),
    confined: text !== "unconfined" && !text.endsWith(" (unconfined)"),
    load: canLoad(files, caller, parser),
    parser,
    abi: ABIS.find((abi) => files.status(`/etc/apparmor.d/abi/${abi}`) !== null) ?? null,
    restrictsUserNamespaces:
      files.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")?.trim() === "1",
  };
}

/** "unconfined", or "name (mode)"; null where AppArmor is not asked. Since Linux 5.8 it has a directory of its own. */
export function appArmorLabel(files: HostFiles): string | null {
  const text = files.read("/proc/self/attr/apparmor/current") ?? files.read("/proc/self/attr/current");
  const label = text?.replaceAll("\0", "").trim() ?? "";
  return label === "" ? null : label;
}

function canLoad(files: HostFiles, caller: Caller, parser: string | null): Ability {
  if (!caller.capabilities.includes("CAP_MAC_ADMIN") || !caller.initialUserNamespace)
    return unavailable("loading an AppArmor profile needs CAP_MAC_ADMIN on the host", "run as root");
  if (!files.writable(`${POLICY}/.replace`)) {
    return unavailable(
      "the files through which AppArmor policy is loaded are not there or not writable",
      "mount -t securityfs securityfs /sys/kernel/security",
    );
  }
  if (parser === null) {
    return unavailable(
      "apparmor_parser is not installed",
      "sudo apt install apparmor (Debian, Ubuntu), sudo zypper install apparmor-parser (openSUSE), sudo pacman -S apparmor (Arch)",
    );
  }
  return AVAILABLE;
}

/** selinux(8). The label ends with a NUL byte. */
function probeSelinux(files: HostFiles): SelinuxFacts | null {
  const enforce = files.read("/sys/fs/selinux/enforce")?.trim();
  const label = files.read("/proc/self/attr/current")?.replaceAll("\0", "").trim() ?? "";
  if ((enforce !== "0" && enforce !== "1") || label === "") return null;
  return {
    mode: enforce === "1" ? "enforcing" : "permissive",
    label,
    mls: files.read("/sys/fs/selinux/mls")?.trim() === "1",
    initialPidNamespace: files.link("/proc/self/ns/pid") === INITIAL_PID_NAMESPACE,
  };
}

/** PROC_PID_INIT_INO of linux/proc_ns.h. */
export const INITIAL_PID_NAMESPACE = "pid:[4026531836]";
