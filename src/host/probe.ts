/**
 * Takes the machine, gives HostFacts. Runs before every launch: synchronous reads of small files only, a few
 * milliseconds in a cold process, one in a warm one; starts no process, loads no library, changes nothing. What only an attempt can tell is deduced here
 * and can be verified by `verifyByTrying`.
 */
import { userInfo } from "node:os";
import { probeCgroup } from "./cgroup.ts";
import type { Arch, HostFacts } from "./facts.ts";
import { errorCode, type HostFiles, liveFiles } from "./files.ts";
import { probeSystemEtc, probeSystemRoot, probeTimezone } from "./filesystem.ts";
import {
  deduceLandlockAbi,
  parseRelease,
  probeCpus,
  probeIdmappedMounts,
  probeLibseccomp,
  probeLsms,
  probeMemory,
  probeOverlay,
  probeSeccomp,
} from "./kernel.ts";
import { findLandlockAbi } from "./landlock.ts";
import { hardLimits } from "./limits.ts";
import { probeLsm } from "./lsm.ts";
import { parseMountinfo } from "./mountinfo.ts";
import { probeNamespaces, probeProc, probeUserNamespaces } from "./namespaces.ts";
import { capabilityNames, parseStatus, probeIds, probeUser } from "./user.ts";

/**
 * As `probeHost`, and what only the kernel itself can say: asked once per boot, then read from a file that is kept. `cache`: the directory
 * for it (null: not kept; default: our own); `renew`: ask whatever is kept.
 */
export async function probeMachine(
  options: { readonly cache?: string | null | undefined; readonly renew?: boolean } = {},
): Promise<HostFacts> {
  const facts = probeHost();
  return { ...facts, landlockAbi: await findLandlockAbi(facts.arch, options) };
}

/** Thrown where nothing can be launched at all: another system, a machine of another architecture or without /proc. */
export class UnsupportedHost extends Error {
  override readonly name = "UnsupportedHost";
}

/** Node's name of the architecture → ours. */
export function archOf(name: string): Arch {
  if (name === "x64") return "x86_64";
  if (name === "arm64") return "aarch64";
  throw new UnsupportedHost(`the architecture ${name} is not supported; expected x64 or arm64`);
}

/** For users whom /etc/passwd does not list: the resolver knows those of a directory service. */
function resolverName(uid: number): string {
  try {
    return userInfo().username;
  } catch (error) {
    // ENOENT: this uid has no name anywhere. Containers run so; the number is a name that subuid(5) accepts.
    if (errorCode(error) === "ERR_SYSTEM_ERROR") return String(uid);
    throw error;
  }
}

/**
 * Facts about this machine and this caller. Side-effect free.
 * @throws UnsupportedHost on another system than Linux, when /proc is not mounted, or the architecture is unknown.
 */
export function probeHost(files: HostFiles = liveFiles, arch: Arch = archOf(process.arch)): HostFacts {
  if (files === liveFiles && process.platform !== "linux")
    throw new UnsupportedHost(
      `a sandbox needs a Linux kernel, and this is ${process.platform}; here sandbox profile, check and image work`,
    );
  const statusText = files.read("/proc/self/status");
  if (statusText === null)
    throw new UnsupportedHost("/proc is not mounted; mount it: mount -t proc proc /proc");
  const status = parseStatus(statusText);
  const mounts = parseMountinfo(files.read("/proc/self/mountinfo") ?? "");
  const kernel = parseRelease(files.read("/proc/sys/kernel/osrelease") ?? "");
  const capabilities = capabilityNames(status.get("CapEff") ?? "");
  const user = probeUser(files, status, files === liveFiles ? resolverName : String);
  const pidMax = Number(files.read("/proc/sys/kernel/pid_max")?.trim() ?? 4194304);
  const initialUserNamespace = /^\s*0\s+0\s+4294967295\s*$/.test(files.read("/proc/self/uid_map") ?? "");
  const lsms = probeLsms(files);
  return {
    arch,
    kernel,
    user,
    capabilities,
    hardLimits: hardLimits(files.read("/proc/self/limits") ?? ""),
    lastCapability: Number(files.read("/proc/sys/kernel/cap_last_cap")?.trim() ?? 40),
    userNamespaces: probeUserNamespaces(files, { status, capabilities, mounts }),
    namespaces: probeNamespaces(files),
    pidMax,
    ...probeIds(files, user, capabilities, status.get("NoNewPrivs") === "1", pidMax),
    cgroup: probeCgroup(files, mounts, Number(status.get("Pid")), capabilities.includes("CAP_SYS_ADMIN")),
    overlay: probeOverlay(files, kernel),
    proc: probeProc(mounts),
    idmappedMounts: probeIdmappedMounts(kernel, capabilities, initialUserNamespace),
    seccomp: probeSeccomp(files, status),
    libseccomp: probeLibseccomp(files, arch),
    lsms,
    lsm: probeLsm(files, { capabilities, initialUserNamespace, lsms }),
    landlockAbi: deduceLandlockAbi(kernel, lsms),
    cpus: probeCpus(files),
    memory: probeMemory(files),
    systemRoot: probeSystemRoot(files),
    systemEtc: probeSystemEtc(files),
    mountPoints: [...new Set(mounts.map(({ target }) => target))].toSorted(),
    timezone: probeTimezone(files),
  };
}
