/**
 * What the kernel and the libraries beside it can do, deduced from files: version, filesystems, security modules.
 */
import { ABI_KERNELS } from "../program/landlock.ts";
import type { Ability, HostFacts } from "./facts.ts";
import type { HostFiles } from "./files.ts";
import type { StatusFields } from "./user.ts";

export const AVAILABLE: Ability = { available: true };

export function unavailable(reason: string, fix: string): Ability {
  return { available: false, reason, fix };
}

export function parseRelease(text: string): HostFacts["kernel"] {
  const release = text.trim();
  const match = /^(\d+)\.(\d+)/.exec(release);
  return { release, major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0) };
}

export function atLeast(kernel: HostFacts["kernel"], major: number, minor: number): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

const MODULE_SUFFIXES = ["", ".zst", ".xz", ".gz"];

/** Since Linux 5.11 overlayfs carries FS_USERNS_MOUNT; the kernel loads the module on first use. */
export function probeOverlay(files: HostFiles, kernel: HostFacts["kernel"]): Ability {
  if (!atLeast(kernel, 5, 11)) {
    return unavailable(
      `Linux ${kernel.release} does not mount overlayfs in a user namespace`,
      "use a kernel of version 5.11 or later",
    );
  }
  const known = /^(nodev)?\s*overlay$/m.test(files.read("/proc/filesystems") ?? "");
  const module = `/lib/modules/${kernel.release}/kernel/fs/overlayfs/overlay.ko`;
  if (known || MODULE_SUFFIXES.some((suffix) => files.status(module + suffix) !== null)) return AVAILABLE;
  return unavailable("this kernel has no overlayfs", "sudo modprobe overlay");
}

/** mount_setattr(2) asks for CAP_SYS_ADMIN in the user namespace that mounted the filesystem: the initial one, for a disk. */
export function probeIdmappedMounts(
  kernel: HostFacts["kernel"],
  capabilities: readonly string[],
  initialUserNamespace: boolean,
): Ability {
  if (!atLeast(kernel, 5, 12)) {
    return unavailable(
      `Linux ${kernel.release} has no id-mapped mounts`,
      "use a kernel of version 5.12 or later",
    );
  }
  if (!capabilities.includes("CAP_SYS_ADMIN") || !initialUserNamespace) {
    return unavailable("id-mapped mounts need CAP_SYS_ADMIN on the host", "run as root");
  }
  return AVAILABLE;
}

export function probeSeccomp(files: HostFiles, status: StatusFields): Ability {
  if (status.has("Seccomp") && files.status("/proc/sys/kernel/seccomp/actions_avail") !== null)
    return AVAILABLE;
  // A masked /proc/sys hides the list of actions, while a filter in force proves the feature.
  if ((status.get("Seccomp") ?? "0") !== "0" || status.has("Seccomp_filters")) return AVAILABLE;
  return unavailable(
    "this kernel has no seccomp filters",
    "use a kernel built with CONFIG_SECCOMP and CONFIG_SECCOMP_FILTER",
  );
}

const LIBRARY_DIRECTORIES: Readonly<Record<HostFacts["arch"], readonly string[]>> = {
  x86_64: ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib"],
  aarch64: [
    "/usr/lib/aarch64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
  ],
};

/** The version from the file that libseccomp.so.2 links to; "2" when the name tells no more. Nothing is loaded. */
export function probeLibseccomp(files: HostFiles, arch: HostFacts["arch"]): string | null {
  for (const directory of LIBRARY_DIRECTORIES[arch]) {
    const path = `${directory}/libseccomp.so.2`;
    const target = files.link(path);
    if (target === null && files.status(path) === null) continue;
    return /\.so\.(\d+(?:\.\d+)*)$/.exec(target ?? path)?.[1] ?? "2";
  }
  return null;
}

/** The kernel's own list; where securityfs is not mounted, what else gives a module away. */
export function probeLsms(files: HostFiles): readonly string[] {
  const list = files.read("/sys/kernel/security/lsm")?.trim();
  if (list !== undefined && list !== "") return list.split(",");
  const found: string[] = [];
  if (files.read("/sys/module/apparmor/parameters/enabled")?.trim() === "Y") found.push("apparmor");
  if (files.status("/sys/fs/selinux/enforce") !== null) found.push("selinux");
  return found;
}

/** Only landlock_create_ruleset(2) knows for sure (see landlock.ts). From files: the list of modules and the version; 0 when the list is hidden. */
export function deduceLandlockAbi(kernel: HostFacts["kernel"], lsms: readonly string[]): number {
  if (!lsms.includes("landlock")) return 0;
  return Object.values(ABI_KERNELS).filter(([major, minor]) => atLeast(kernel, major, minor)).length;
}

/** Number of CPUs in a list such as "0-3,8". */
export function countCpus(list: string): number {
  let count = 0;
  for (const part of list.trim().split(",")) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match !== null) count += Number(match[2] ?? match[1]) - Number(match[1]) + 1;
  }
  return count;
}

export function probeCpus(files: HostFiles): number {
  const online = files.read("/sys/devices/system/cpu/online");
  if (online !== null) return Math.max(1, countCpus(online));
  return Math.max(1, (files.read("/proc/stat") ?? "").match(/^cpu\d+ /gm)?.length ?? 0);
}

/** Bytes of memory of the machine, 0 when /proc/meminfo is hidden. */
export function probeMemory(files: HostFiles): number {
  return Number(/^MemTotal:\s+(\d+) kB$/m.exec(files.read("/proc/meminfo") ?? "")?.[1] ?? 0) * 1024;
}
