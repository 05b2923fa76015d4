/**
 * rlimits of the payload: those asked for, and those that stand in for a cgroup controller that is not there.
 */

import { type Resources, RLIMITS, type Rlimit } from "../profile/spec.ts";
import { packed } from "../program/build.ts";
import { RLIM_INFINITY, RLIMIT } from "../program/constants.ts";
import type { Draft } from "./draft.ts";

interface Limit {
  readonly soft: bigint;
  readonly hard: bigint;
  readonly decision: string;
}

/** `held`: resources that a cgroup holds already. */
export function limitByRlimits(draft: Draft, held: ReadonlySet<string>): void {
  const limits = new Map<Rlimit, Limit>();
  const { resources } = draft.spec;
  for (const name of RLIMITS) {
    const asked = resources.rlimits[name];
    if (asked === undefined) continue;
    set(
      draft,
      limits,
      name,
      number(asked.soft),
      number(asked.hard),
      `/resources/rlimits/${name}`,
      `rlimits.${name}`,
    );
  }
  const sized = [
    ["fileSize", "fsize", resources.fileSize],
    ["openFiles", "nofile", resources.openFiles],
    ["coreSize", "core", resources.coreSize],
  ] as const;
  for (const [resource, name, limit] of sized) {
    if (limit !== null)
      set(draft, limits, name, BigInt(limit), BigInt(limit), `/resources/${resource}`, resource);
  }
  if (resources.cpuTime !== null) limitCpuTime(draft, limits, resources.cpuTime);
  if (resources.outputSize !== null) {
    draft.decide({
      id: "resources.outputSize",
      control: "resources",
      setting: `${resources.outputSize} bytes`,
      pointer: "/resources/outputSize",
      status: draft.supervised ? "full" : "none",
      reason: draft.supervised
        ? "counted by the supervisor, for streams that it captures"
        : "a launcher without a supervisor does not see the output",
    });
  }
  standIn(draft, held, resources, limits);

  for (const [name, limit] of limits) {
    draft
      .phase("payload.limits", limit.decision)
      .call(
        `rlimit.${name}`,
        `${name} ${show(limit.soft)}`,
        "prlimit64",
        [0, RLIMIT[name], draft.bytes(packed([limit.soft, 8], [limit.hard, 8]), 8), 0],
        { target: `RLIMIT_${name.toUpperCase()}` },
      );
  }
}

const show = (limit: bigint): string => (limit === RLIM_INFINITY ? "unlimited" : `${limit}`);
const number = (limit: number | "unlimited"): bigint =>
  limit === "unlimited" ? RLIM_INFINITY : BigInt(limit);

function set(
  draft: Draft,
  limits: Map<Rlimit, Limit>,
  name: Rlimit,
  soft: bigint,
  hard: bigint,
  pointer: string,
  id: string,
): void {
  const given = lower(draft, name, { soft, hard }, pointer);
  const decision = draft.decide({
    id: `resources.${id}`,
    control: "resources",
    setting: `RLIMIT_${name.toUpperCase()} ${show(given.soft)}${given.soft === given.hard ? "" : ` (hard ${show(given.hard)})`}`,
    pointer,
    status: given.reason === "" ? "full" : "partial",
    reason: given.reason,
    check: { kind: "rlimit", name, expected: `${show(given.soft)} ${show(given.hard)}` },
  });
  limits.set(name, { ...given, decision });
}

/**
 * Nobody in the sandbox may raise a limit above the caller's hard one: that takes CAP_SYS_RESOURCE in the initial user namespace
 * (setrlimit(2)). Where the profile accepts less, what the caller has is given; else it is a problem here rather than a launch that fails.
 */
function lower(
  draft: Draft,
  name: Rlimit,
  { soft, hard }: Pick<Limit, "soft" | "hard">,
  pointer: string,
): Pick<Limit, "soft" | "hard"> & { readonly reason: string } {
  const most = draft.host.hardLimits[name];
  if (most === undefined || hard <= BigInt(most)) return { soft, hard, reason: "" };
  const raise = `as root: prlimit --pid $$ --${name}=${show(hard)}`;
  if (draft.spec.require.resources === "full") {
    draft.problem({
      kind: "host-cannot",
      pointer,
      message: `RLIMIT_${name.toUpperCase()} ${show(hard)} is above the caller's own hard limit`,
      expected: `at most ${most}`,
      hint: `raise it first (${raise}), or take what there is with --set /require/resources='"partial"'`,
    });
    return { soft, hard, reason: "" };
  }
  const cap = BigInt(most);
  const reason = `${show(hard)} was asked for, and the caller's own hard limit is ${most}; ${raise}`;
  return { soft: soft < cap ? soft : cap, hard: cap, reason };
}

/** The supervisor watches the sum in the cgroup; the rlimit, whole seconds and per process, holds without it. */
function limitCpuTime(draft: Draft, limits: Map<Rlimit, Limit>, milliseconds: number): void {
  const seconds = BigInt(Math.max(1, Math.ceil(milliseconds / 1000)));
  const watched =
    draft.supervised &&
    draft.cgroups.some(({ version, controllers }) => controllers.includes(version === 1 ? "cpuacct" : "cpu"));
  const pointer = "/resources/cpuTime";
  const given = lower(draft, "cpu", { soft: seconds, hard: seconds + 1n }, pointer);
  const perProcess = watched ? [] : ["per process: nobody adds up the CPU time of the whole sandbox"];
  const reasons = [...perProcess, ...(given.reason === "" ? [] : [given.reason])];
  const decision = draft.decide({
    id: "resources.cpuTime",
    control: "resources",
    setting: `${milliseconds} ms${watched ? " in all" : ""}, RLIMIT_CPU ${given.soft} s (hard ${given.hard} s)`,
    pointer,
    status: reasons.length === 0 ? "full" : "partial",
    reason: reasons.join("; "),
    check: { kind: "rlimit", name: "cpu", expected: `${given.soft} ${given.hard}` },
  });
  limits.set("cpu", { ...given, decision });
}

/** Limits that no controller holds: an rlimit per process is less than a limit on the whole, and said to be so. */
function standIn(
  draft: Draft,
  held: ReadonlySet<string>,
  resources: Resources,
  limits: Map<Rlimit, Limit>,
): void {
  const missing = draft.cgroup.missing;
  const because =
    missing === null ? "no controller for it on this host" : `${missing.reason}; ${missing.fix}`;
  const stand = (resource: "memory" | "pids", name: Rlimit, limit: number, note: string): void => {
    if (limits.has(name)) return;
    const given = lower(draft, name, { soft: BigInt(limit), hard: BigInt(limit) }, `/resources/${resource}`);
    const decision = draft.decide({
      id: `resources.${resource}`,
      control: "resources",
      setting: `RLIMIT_${name.toUpperCase()} ${given.hard}`,
      pointer: `/resources/${resource}`,
      status: "partial",
      reason: `${note}: ${because}${given.reason === "" ? "" : `; ${given.reason}`}`,
      check: { kind: "rlimit", name, expected: `${given.soft} ${given.hard}` },
    });
    limits.set(name, { ...given, decision });
  };
  if (resources.memory !== null && !held.has("memory"))
    stand("memory", "data", resources.memory, "per process, private memory only");
  // init is a process of the same user in the same user namespace.
  if (resources.pids !== null && !held.has("pids"))
    stand("pids", "nproc", resources.pids + 1, "processes of this user in this user namespace");
  for (const resource of ["swap", "cpus", "cpuset", "io"] as const) {
    const limit = resources[resource];
    const asked = Array.isArray(limit)
      ? limit.length > 0
      : limit !== null && !(resource === "swap" && resources.memory === null);
    if (!asked || held.has(resource)) continue;
    draft.decide({
      id: `resources.${resource}`,
      control: "resources",
      setting: "not limited",
      pointer: `/resources/${resource}`,
      status: "none",
      reason: because,
    });
  }
}
