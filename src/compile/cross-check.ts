/**
 * The layers against each other: what one of them opens and another one closes, so that it can never happen. Each field is right by itself, and
 * the payload would be refused all the same; better its author hears it than its user. Pure: a resolved profile in, located problems out.
 * Only what is certain is said: a capability is called useless when the filter refuses every call that asks for it.
 */
import type { Problem } from "../problems.ts";
import { locate } from "../profile/provenance.ts";
import type { ResolvedProfile } from "../profile/spec.ts";
import { NET_RIGHT_NAMES, type NetRight } from "../program/landlock.ts";
import { type Admits, admittedBy } from "./seccomp/admits.ts";
import { type SocketType, socketKinds } from "./seccomp/socket-kinds.ts";
import { isBelow } from "./visible.ts";

type Report = (pointer: string, message: string, hint: string) => void;

export function crossCheck(profile: ResolvedProfile): readonly Problem[] {
  const problems: Problem[] = [];
  const report: Report = (pointer, message, hint) => {
    problems.push({ kind: "profile-contradiction", where: locate(profile, pointer), pointer, message, hint });
  };
  const admits = admittedBy(profile);
  capabilities(profile, admits, report);
  ports(profile, admits, report);
  covered(profile, report);
  return problems;
}

/**
 * The calls that ask for a capability, for those that are asked for by calls of their own: capabilities(7) and the kernel's sources. What files,
 * ioctls or socket options may also ask for is left out.
 */
const ASKED_FOR_BY: Readonly<Record<string, readonly string[]>> = {
  CAP_CHOWN: ["chown", "fchown", "lchown", "fchownat"],
  CAP_KILL: ["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
  CAP_NET_BIND_SERVICE: ["bind", "io_uring_setup"],
  CAP_SYS_BOOT: ["reboot", "kexec_load", "kexec_file_load"],
  CAP_SYS_CHROOT: ["chroot", "setns"],
  CAP_SYS_TIME: ["clock_settime", "settimeofday", "adjtimex", "clock_adjtime", "unshare", "clone3"],
};

/** Capabilities that the kernel wants in the host's user namespace (capable(9)); the payload's are always of its own. */
const OF_THE_HOST: readonly string[] = [
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_PACCT",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_CONTROL",
];

function capabilities({ spec }: ResolvedProfile, admits: Admits, report: Report): void {
  const pointer = "/capabilities/effective";
  for (const name of spec.capabilities.effective) {
    if (OF_THE_HOST.includes(name))
      report(
        pointer,
        `${name} has no effect: the kernel asks for it in the host's user namespace, and the payload is in one of its own`,
        "leave it out",
      );
    const calls = ASKED_FOR_BY[name];
    if (calls !== undefined && !calls.some((call) => admits(call)))
      report(
        pointer,
        `${name} has no effect: the system-call filter refuses every call that asks for it (${calls.join(", ")})`,
        "leave it out, or let one of them through in seccomp.syscalls",
      );
  }
}

/** What a right on ports is for: a type of socket, and the calls that take a port of it. A ring takes one too (IORING_OP_BIND since Linux 6.11). */
const PORTS: Readonly<Record<NetRight, { readonly type: SocketType; readonly calls: readonly string[] }>> = {
  bind_tcp: { type: "stream", calls: ["bind", "io_uring_setup"] },
  connect_tcp: { type: "stream", calls: ["connect", "sendto", "sendmsg", "sendmmsg", "io_uring_setup"] },
  bind_udp: { type: "dgram", calls: ["bind", "io_uring_setup"] },
  connect_send_udp: { type: "dgram", calls: ["connect", "sendto", "sendmsg", "sendmmsg", "io_uring_setup"] },
};

/** Ports that Landlock opens one by one, and the filter's sockets. */
function ports(profile: ResolvedProfile, admits: Admits, report: Report): void {
  const { landlock } = profile.spec;
  if (landlock === null) return;
  const made = (wanted: SocketType): boolean =>
    socketKinds(profile).some(
      ({ family, type }) => (family === "inet" || family === "inet6") && type === wanted,
    );
  for (const right of NET_RIGHT_NAMES) {
    const { type, calls } = PORTS[right];
    const rule = landlock.net[right];
    if (rule === "any" || rule.length === 0) continue;
    const missing = !made(type) ? `no internet socket of type ${type} can be made` : null;
    const refused = calls.some((call) => admits(call)) ? null : `${calls.join(", ")} cannot be called`;
    const why = missing ?? refused;
    if (why === null) continue;
    report(
      `/landlock/net/${right}`,
      `it opens ports ${rule.join(", ")}, and the system-call filter closes them: ${why}`,
      "let it through in seccomp.syscalls, or give no ports",
    );
  }
}

/**
 * What is mounted, and then covered by a mask; and what may be written, and then not. Only where both were written by the same hand: a profile that
 * closes what it inherits means to.
 */
function covered(profile: ResolvedProfile, report: Report): void {
  const { spec } = profile;
  const { mounts, masked, readOnly } = spec.filesystem;
  const covering = (paths: readonly string[], field: string, path: string, pointer: string) =>
    paths.find(
      (cover, index) => isBelow(path, cover) && sameHand(profile, pointer, `/filesystem/${field}/${index}`),
    );
  for (const [index, mount] of mounts.entries()) {
    const pointer = `/filesystem/mounts/${index}`;
    const mask = covering(masked, "masked", mount.target, pointer);
    const fixed = covering(readOnly, "readOnly", mount.target, pointer);
    const writable = (mount.type === "bind" || mount.type === "tmpfs") && !mount.readOnly;
    if (mask !== undefined)
      report(
        pointer,
        `nobody can see it: ${mask} is masked, with all below it`,
        "leave out the mount or the mask",
      );
    else if (writable && fixed !== undefined)
      report(
        pointer,
        `it is to be written, and filesystem.readOnly has ${fixed}, with all below it`,
        "mount it read-only, or leave the path out of filesystem.readOnly",
      );
  }
  const { workdir } = spec.process;
  const mask = workdir === null ? undefined : masked.find((path) => isBelow(workdir, path));
  if (mask !== undefined)
    report(
      "/process/workdir",
      `${workdir} is in ${mask}, which is masked`,
      "start in a directory that is shown",
    );
}

function sameHand(profile: ResolvedProfile, one: string, other: string): boolean {
  const [a, b] = [locate(profile, one), locate(profile, other)];
  return a.kind === "profile" && b.kind === "profile" ? a.file === b.file : a.kind === b.kind;
}
