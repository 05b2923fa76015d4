/**
 * The policy compiler: resolved profile + host facts → launch plan. Pure: it never looks at the machine, and equal input gives
 * byte-identical output. One line per control, in the order in which the kernel will see them.
 */
import type { HostFacts } from "../host/facts.ts";
import type { Checked, Problem } from "../problems.ts";
import { CONTROLS, type Control, type ResolvedProfile, STATUSES, type Status } from "../profile/spec.ts";
import type { Program } from "../program/program.ts";
import { limitByCgroup, startsInCgroup } from "./cgroup.ts";
import { crossCheck } from "./cross-check.ts";
import { provideDevices, provideProc } from "./devices.ts";
import { Draft, type Target } from "./draft.ts";
import { mapIdentity, RANGE_SIZE } from "./identity.ts";
import { spawnPayload, startInit, watchPayload } from "./init.ts";
import { restrictByLandlock } from "./landlock/index.ts";
import { confine } from "./lsm/index.ts";
import { maskPaths } from "./masks.ts";
import {
  EVENTS,
  MEMORY_DESCRIPTOR,
  openLifeline,
  PTY_MASTER,
  spawnInit,
  startMonitor,
  watchInit,
} from "./monitor.ts";
import { mountAll } from "./mounts.ts";
import { separateNamespaces } from "./namespaces.ts";
import { connectNetwork, nameHost } from "./network.ts";
import { findExposure, keepCacheOut } from "./own-places.ts";
import {
  closeDescriptors,
  dropDescriptors,
  executePayload,
  installFilter,
  prepareProcess,
  setEnvironment,
  setPriorities,
} from "./payload.ts";
import type { Decision, LaunchPlan } from "./plan.ts";
import { dropPrivileges } from "./privileges.ts";
import { limitByRlimits } from "./rlimits.ts";
import { buildRoot, closeHostDescriptors, closeRoot, enterRoot } from "./root.ts";
import { provideTerminal } from "./terminal.ts";

export type { Mode, Target } from "./draft.ts";

/** Compile a profile for a host. Problems: what contradicts itself, and what the host cannot give although the profile requires it. */
export function compile(profile: ResolvedProfile, target: Target): Checked<LaunchPlan> {
  const draft = new Draft(profile, target);
  const launch = draft.decide({
    id: "launch",
    control: "process",
    setting: "monitor, init as pid 1, payload",
    pointer: "/process",
    status: "full",
  });
  decideAudit(draft);
  keepCacheOut(draft);

  startMonitor(draft, launch);
  const held = limitByCgroup(draft);
  openLifeline(draft, launch);
  const namespaces = separateNamespaces(draft);
  spawnInit(draft, launch, namespaces, startsInCgroup(draft));
  startInit(draft, launch);
  const maps = mapIdentity(draft);
  buildRoot(draft);
  provideProc(draft);
  enterRoot(draft, "filesystem.root");
  mountAll(draft);
  provideDevices(draft);
  maskPaths(draft);
  closeRoot(draft);
  connectNetwork(draft);
  nameHost(draft);
  provideTerminal(draft);
  dropPrivileges(draft);
  spawnPayload(draft, launch);
  confine(draft);
  dropDescriptors(draft, launch);
  limitByRlimits(draft, held);
  setPriorities(draft);
  prepareProcess(draft);
  setEnvironment(draft);
  restrictByLandlock(draft);
  closeDescriptors(draft);
  installFilter(draft);
  executePayload(draft, launch);
  watchPayload(draft, launch);
  watchInit(draft, launch);
  closeHostDescriptors(draft, "filesystem.root");

  const problems = [...draft.problems, ...crossCheck(profile), ...unmet(draft)];
  if (problems.length > 0) return { ok: false, problems };
  const { spec } = profile;
  return {
    ok: true,
    value: deepFreeze({
      version: 1,
      mode: target.mode,
      spec,
      decisions: draft.decisions,
      program: assemble(draft),
      supervisor: {
        descriptors: {
          memory: MEMORY_DESCRIPTOR,
          ptyMaster: target.terminal.length > 0 ? PTY_MASTER : null,
          events: target.terminal.length > 0 ? EVENTS : null,
        },
        cgroups: draft.cgroups,
        cgroupPrepare: planPreparation(draft),
        idRange:
          maps.kind === "claimed" ? { base: target.host.idBase ?? 0, size: RANGE_SIZE, slots: 4000 } : null,
        apparmor: draft.apparmor,
        wallTime: spec.resources.wallTime,
        cpuTime: spec.resources.cpuTime,
        outputSize: spec.resources.outputSize,
        resources: spec.resources,
      },
      filter: target.filter?.certificate ?? null,
      idMappings:
        maps.kind === "explicit" || maps.kind === "helpers" ? { uid: maps.uid, gid: maps.gid } : null,
    }),
  };
}

/**
 * Of the controllers that could be handed on, those that this plan uses. Nobody needs one that no limit asks for, and cpuset cannot be had
 * where somebody else's process is in the way: on kernels before 6.6 its move takes the right to set that process's affinity.
 */
function planPreparation({ cgroups, host }: Draft): HostFacts["cgroup"]["prepare"] {
  const used = new Set(cgroups.flatMap(({ version, controllers }) => (version === 2 ? controllers : [])));
  const { prepare } = host.cgroup;
  const enable = prepare?.enable.filter((controller) => used.has(controller)) ?? [];
  return prepare === null || enable.length === 0 ? null : { ...prepare, enable };
}

/** A launcher by itself keeps no log: what was decided was said when it was compiled. That is known, and no reason to refuse it. */
function decideAudit(draft: Draft): void {
  const { require, onFailure } = draft.spec.audit;
  const common = { id: "audit", control: "audit", pointer: "/audit" } as const;
  if (!draft.supervised) {
    const reason = "a launcher without a supervisor keeps none; keep the output of sandbox plan with it";
    draft.decide({ ...common, setting: "no log", status: "none", reason });
    return;
  }
  const setting = require ? `required; when it cannot be written: ${onFailure}` : "not required";
  const exposed = findExposure(draft, "log");
  draft.decide({
    ...common,
    setting,
    ...(exposed === null
      ? { status: "full" }
      : {
          status: "partial",
          reason: `the payload may change ${exposed.place}: ${exposed.writable} is writable inside; log elsewhere, or make a narrower directory writable`,
        }),
  });
}

function assemble(draft: Draft): Program {
  return {
    arch: draft.host.arch,
    memory: draft.supervised ? { descriptor: MEMORY_DESCRIPTOR } : "anonymous",
    seal: true,
    data: draft.data,
    buffers: draft.buffers,
    roles: {
      monitor: { onFailure: "failed", steps: draft.steps("monitor") },
      ...(draft.steps("mapper").length === 0
        ? {}
        : { mapper: { onFailure: null, steps: draft.steps("mapper") } }),
      init: { onFailure: null, steps: draft.steps("init") },
      payload: { onFailure: null, steps: draft.steps("payload") },
    },
  };
}

/** A control is as strong as its decisions together: all full, all none, or in between. */
export function controlStatus(decisions: readonly Decision[], control: Control): Status {
  const statuses = decisions.filter((decision) => decision.control === control).map(({ status }) => status);
  if (statuses.every((status) => status === "full")) return "full";
  return statuses.every((status) => status === "none") ? "none" : "partial";
}

/** What the profile requires and the host does not give: a refusal, with every reason. */
function unmet(draft: Draft): readonly Problem[] {
  return CONTROLS.flatMap((control) => {
    if (control === "audit" && !draft.supervised) return [];
    const required = draft.spec.require[control];
    const given = controlStatus(draft.decisions, control);
    if (STATUSES.indexOf(given) <= STATUSES.indexOf(required)) return [];
    const weak = draft.decisions.filter(
      (decision) => decision.control === control && decision.status !== "full",
    );
    return weak.map((decision) => ({
      kind: draft.supervised ? ("host-cannot" as const) : ("compile-cannot" as const),
      where: decision.provenance,
      pointer: `/require/${control}`,
      message: `${decision.id} is only ${decision.status} here, and the profile requires ${control} to be ${required}: ${decision.reason}`,
      hint: `see "sandbox doctor", or accept it with --set /require/${control}='"${given}"'`,
    }));
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
