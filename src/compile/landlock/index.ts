/**
 * Landlock: what the payload may do with files, ports and processes, said once more by another part of the kernel than the mounts, the
 * namespaces and the filter. The payload alone is restricted: monitor and init stay outside its domain, and so out of its reach.
 */

import type { LandlockSpec, Status } from "../../profile/spec.ts";
import { ABI_KERNELS, FS_RIGHTS, LOG_FLAGS_SINCE, NET_RIGHTS, SCOPES } from "../../program/landlock.ts";
import type { Draft } from "../draft.ts";
import { admittedBy } from "../seccomp/admits.ts";
import { socketKinds } from "../seccomp/socket-kinds.ts";
import { derivePlaces } from "./derive.ts";
import { type Downgraded, downgrade, isEmpty, type Ruleset } from "./ruleset.ts";
import { canProve, enforce, PROOF } from "./steps.ts";
import { refuseEmptyPromises, wantedRuleset } from "./want.ts";

export function restrictByLandlock(draft: Draft): void {
  const { landlock } = draft.spec;
  if (landlock === null) {
    draft.decide({
      id: "landlock",
      control: "landlock",
      setting: "off",
      pointer: "/landlock",
      status: "full",
    });
    return;
  }
  // What could not be asked for is not counted on.
  const abi = draft.host.landlockAbi ?? 0;
  const derived = derivePlaces(draft);
  refuseEmptyPromises(draft, landlock, derived);
  const wanted = wantedRuleset(landlock, derived);
  const downgraded = downgrade(wanted, abi);
  const decision = decide(draft, wanted, downgraded);
  refuseLostLists(draft, landlock, downgraded);
  if (!isEmpty(downgraded.kept)) enforce(draft, decision, downgraded.kept, abi);
}

/** One decision for each part that is wanted; gives the first. */
function decide(draft: Draft, wanted: Ruleset, { kept, lost }: Downgraded): string {
  const check = canProve(kept) ? PROOF : null;
  const part = (
    name: "fs" | "net" | "scope" | "log",
    setting: string,
    gone: readonly string[],
    status: Status,
    beside: string | null = null,
  ): string =>
    draft.decide({
      id: `landlock.${name}`,
      control: "landlock",
      setting,
      pointer: `/landlock/${name}`,
      status: status === "full" && beside !== null ? "partial" : status,
      reason: status === "full" ? (beside ?? "") : explain(draft, gone, status),
      check: status === "none" || name === "log" ? null : check,
    });
  const ids = [
    part("fs", describePaths(wanted), lost.fs, statusOf(kept.fs, lost.fs)),
    ...(wanted.net.length === 0
      ? []
      : [part("net", describePorts(wanted), lost.net, statusOf(kept.net, lost.net), unheld(draft, kept))]),
    ...(wanted.scoped.length === 0
      ? []
      : [
          part(
            "scope",
            `${wanted.scoped.join(", ")}: not beyond the sandbox`,
            lost.scoped,
            statusOf(kept.scoped, lost.scoped),
          ),
        ]),
    ...(wanted.log ? [part("log", "denials leave audit records", ["log"], kept.log ? "full" : "none")] : []),
  ];
  return ids[0] ?? "landlock.fs";
}

/**
 * What is derived is a second layer, and may be missing. What an author lists may be the only one: a profile that names the ports it
 * connects to must not run where nothing keeps it to them.
 */
function refuseLostLists(draft: Draft, landlock: LandlockSpec, { lost }: Downgraded): void {
  const refuse = (pointer: string, right: string): void =>
    draft.problem({
      kind: draft.supervised ? "host-cannot" : "compile-cannot",
      pointer,
      message: `nothing keeps the payload to what is listed: ${explain(draft, [right], "partial")}`,
      hint: "leave the list out to go on without it; `sandbox doctor` says which Landlock this host has",
    });
  for (const right of lost.fs) if (landlock.fs[right] !== "derived") refuse(`/landlock/fs/${right}`, right);
  for (const right of lost.net) refuse(`/landlock/net/${right}`, right);
}

/** What no Landlock holds of listed ports; null: nothing. */
function unheld({ profile }: Draft, { net }: Ruleset): string | null {
  const listens =
    net.includes("bind_tcp") &&
    admittedBy(profile)("listen") &&
    socketKinds(profile).some(({ family, type }) => /^inet6?$/.test(family) && type === "stream");
  return listens
    ? "listen(2) on a TCP socket without a port takes one of the kernel's choice, and no Landlock is asked; without listen in seccomp.syscalls there is no such port"
    : null;
}

function statusOf(kept: readonly unknown[], lost: readonly unknown[]): Status {
  if (lost.length === 0) return "full";
  return kept.length === 0 ? "none" : "partial";
}

const SINCE: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    [FS_RIGHTS, NET_RIGHTS, SCOPES].flatMap((table) =>
      Object.entries(table).map(([name, { since }]) => [name, since]),
    ),
  ),
  log: LOG_FLAGS_SINCE,
};

/** What is missing, and which Linux has it. */
function explain(draft: Draft, gone: readonly string[], status: Status): string {
  const { landlockAbi: abi } = draft.host;
  if (abi === null)
    return "the kernel could not be asked for its Landlock: a program of one system call did not run to its end";
  if (abi === 0)
    return "this kernel has no Landlock: older than 5.13, built without it, or it is not in the list of lsm=";
  if (status === "none" && gone.includes("execute"))
    return `Landlock ABI ${abi} forbids moving files between directories and cannot allow it, which this profile does; since ABI ${FS_RIGHTS.refer.since} (Linux ${linux(FS_RIGHTS.refer.since)}) it can`;
  const missing = gone.map((name) => `${name} (Linux ${linux(SINCE[name] ?? 0)})`);
  return `this kernel has Landlock ABI ${abi}, which does not know ${missing.join(", ")}`;
}

const linux = (abi: number): string => ABI_KERNELS[abi]?.join(".") ?? "";

/** "read_file, read_dir: /; execute: /usr": rights with equal places stand together. */
function describePaths({ fs, paths }: Ruleset): string {
  const byPlaces = new Map<string, string[]>();
  for (const right of fs) {
    const places = paths.filter(({ rights }) => rights.includes(right)).map(({ path }) => path);
    const key = places.length === 0 ? "nowhere" : places.join(" ");
    byPlaces.set(key, [...(byPlaces.get(key) ?? []), right]);
  }
  return [...byPlaces].map(([places, rights]) => `${rights.join(", ")}: ${places}`).join("; ");
}

function describePorts({ net, ports }: Ruleset): string {
  return net
    .map((right) => {
      const open = ports.filter(({ rights }) => rights.includes(right)).map(({ port }) => port);
      return `${right}: ${open.length === 0 ? "none" : open.join(" ")}`;
    })
    .join("; ");
}
