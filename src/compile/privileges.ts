/**
 * Privileges: bounding set, securebits, no_new_privs, session keyring, and the five capability sets of the payload.
 * init gives up what it can before it spawns the payload, and the rest right after; the payload sets its own sets before seccomp.
 */

import { CAPABILITIES } from "../profile/capability-names.ts";
import { CAPABILITY_SETS, type CapabilitySet } from "../profile/spec.ts";
import { load, packed } from "../program/build.ts";
import {
  KEYCTL_JOIN_SESSION_KEYRING,
  LINUX_CAPABILITY_VERSION_3,
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_DUMPABLE,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  PR_SET_SECUREBITS,
  SECUREBITS_LOCKED,
  SECUREBITS_LOCKED_WITH_AMBIENT,
} from "../program/constants.ts";
import type { Draft } from "./draft.ts";

const STATUS_FIELD: Readonly<Record<CapabilitySet, string>> = {
  bounding: "CapBnd",
  effective: "CapEff",
  permitted: "CapPrm",
  inheritable: "CapInh",
  ambient: "CapAmb",
};
const SIGKILL = 9;

export function dropPrivileges(draft: Draft): void {
  const { capabilities } = draft.spec;
  const bits = Object.fromEntries(
    CAPABILITY_SETS.map((set) => [set, capabilityBits(capabilities[set])]),
  ) as Record<CapabilitySet, bigint>;
  for (const set of CAPABILITY_SETS) {
    draft.decide({
      id: `capabilities.${set}`,
      control: "capabilities",
      setting: capabilities[set].length === 0 ? "none" : capabilities[set].join(" "),
      pointer: `/capabilities/${set}`,
      status: "full",
      check: { kind: "status", field: STATUS_FIELD[set], expected: bits[set].toString(16).padStart(16, "0") },
    });
  }
  limitBounding(draft, bits.bounding);
  lockSecurebits(draft, bits.ambient !== 0n);
  guardInit(draft);
  setPayloadCapabilities(draft, bits);
  forbidNewPrivileges(draft);
}

function capabilityBits(names: readonly string[]): bigint {
  return names.reduce((bits, name) => bits | (1n << BigInt(CAPABILITIES.indexOf(name as never))), 0n);
}

function limitBounding(draft: Draft, keep: bigint): void {
  const at = draft.phase("init.privileges", "capabilities.bounding");
  for (let capability = 0n; capability <= BigInt(draft.host.lastCapability); capability += 1n) {
    if (((keep >> capability) & 1n) === 1n) continue;
    const name = CAPABILITIES[Number(capability)] ?? `capability ${capability}`;
    at.call(
      `bounding.drop.${capability}`,
      `${name} can never come back`,
      "prctl",
      [PR_CAPBSET_DROP, capability, 0, 0, 0],
      { target: name },
    );
  }
}

function lockSecurebits(draft: Draft, ambient: boolean): void {
  const decision = draft.decide({
    id: "capabilities.securebits",
    control: "capabilities",
    setting: `noroot, no-setuid-fixup${ambient ? "" : ", no-cap-ambient-raise"}, all locked`,
    pointer: "/capabilities",
    status: "full",
    reason: "uid 0 is an ordinary number in there",
  });
  draft
    .phase("init.privileges", decision)
    .call("securebits.lock", "uid 0 gives no capability, now or later", "prctl", [
      PR_SET_SECUREBITS,
      ambient ? SECUREBITS_LOCKED_WITH_AMBIENT : SECUREBITS_LOCKED,
      0,
      0,
      0,
    ]);
}

/** init holds the sandbox together: nobody inside may look into it, and it dies with the monitor. */
function guardInit(draft: Draft): void {
  const guard = draft.decide({
    id: "process.init",
    control: "process",
    setting: "pid 1 is not dumpable, has no capabilities, and dies with the monitor",
    pointer: "/process",
    status: "full",
  });
  // Not earlier: the files in /proc through which its maps and clocks are set would belong to root.
  draft
    .phase("init.identity", guard)
    .call("init.guard", "nobody may ptrace it or read its memory", "prctl", [PR_SET_DUMPABLE, 0, 0, 0, 0]);
  const at = draft.phase("init.privileges", guard);
  const keyring = draft.decide({
    id: "process.keyring",
    control: "process",
    setting: "a fresh session keyring",
    pointer: "/process",
    status: "full",
  });
  draft
    .phase("init.privileges", keyring)
    .call(
      "keyring.fresh",
      "no key of the caller's is reachable",
      "keyctl",
      [KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0],
      {
        // A host whose own filter forbids keyctl leaves the payload without it as well; a kernel without keys has none.
        onError: { errnos: { EPERM: "next", ENOSYS: "next" } },
      },
    );
  // Setting ids clears it, so it comes late; a monitor that died before is noticed on the lifeline right after.
  at.call("init.tie", "init dies with the monitor", "prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]);
  draft.buffer("poll", 8);
  at.store("lifeline.poll.fd", "the lifeline", "poll", 0, 4, load("lifeline", 0, 4));
  const polled = at.call("lifeline.poll", "has the monitor died meanwhile?", "ppoll", [
    { kind: "buffer", name: "poll", offset: 0 },
    1,
    draft.words([0n, 0n]),
    0,
    8,
  ]);
  at.expect("lifeline.alive", "the monitor lives", polled, 0, "ESRCH");

  const late = draft.phase("init.readback", guard);
  late.call("init.capabilities", "init needs none from here on", "capset", [
    capHeader(draft),
    capData(draft, 0n, 0n, 0n),
  ]);
  late.call("init.no-new-privs", "nor can it get any", "prctl", [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
}

function setPayloadCapabilities(draft: Draft, bits: Readonly<Record<CapabilitySet, bigint>>): void {
  const at = draft.phase("payload.privileges", "capabilities.effective");
  at.call("ambient.clear", "ambient capabilities start empty", "prctl", [
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    0,
    0,
    0,
  ]);
  at.call("capabilities.set", "effective, permitted and inheritable, at once", "capset", [
    capHeader(draft),
    capData(draft, bits.effective, bits.permitted, bits.inheritable),
  ]);
  for (const name of draft.spec.capabilities.ambient) {
    at.call(
      `ambient.raise.${name}`,
      `${name} survives execve`,
      "prctl",
      [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAPABILITIES.indexOf(name as never), 0, 0],
      { target: name },
    );
  }
}

function forbidNewPrivileges(draft: Draft): void {
  const wanted = draft.spec.noNewPrivileges;
  const decision = draft.decide({
    id: "noNewPrivileges",
    control: "noNewPrivileges",
    setting: wanted ? "set" : "not set",
    pointer: "/noNewPrivileges",
    status: "full",
    check: { kind: "status", field: "NoNewPrivs", expected: wanted ? "1" : "0" },
  });
  if (wanted)
    draft
      .phase("payload.privileges", decision)
      .call("no-new-privs.set", "execve can never add privileges", "prctl", [
        PR_SET_NO_NEW_PRIVS,
        1,
        0,
        0,
        0,
      ]);
  else if (draft.spec.seccomp !== null) {
    draft.problem({
      kind: "profile-contradiction",
      pointer: "/noNewPrivileges",
      message: "a system call filter needs noNewPrivileges",
      hint: "set /noNewPrivileges to true, or /seccomp to null",
    });
  }
}

/** struct __user_cap_header_struct, for the calling process. */
function capHeader(draft: Draft) {
  return draft.bytes(packed([LINUX_CAPABILITY_VERSION_3, 4], [0, 4]), 8);
}

/** struct __user_cap_data_struct[2]: low words, then high words. */
function capData(draft: Draft, effective: bigint, permitted: bigint, inheritable: bigint) {
  const sets = [effective, permitted, inheritable];
  return draft.bytes(
    [0n, 32n]
      .map((shift) => packed(...sets.map((set) => [(set >> shift) & 0xffff_ffffn, 4] as const)))
      .join(""),
    8,
  );
}
