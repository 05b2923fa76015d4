/**
 * The plan while it is being made: phases of steps in launch order, decisions, constants, buffers, problems.
 * Each control appends to the phases it concerns; the order of the phases is fixed here and nowhere else.
 */
import type { CgroupFacts, HostFacts, RequestFacts } from "../host/facts.ts";
import { bug, type Problem, type Provenance } from "../problems.ts";
import { locate } from "../profile/provenance.ts";
import type { ResolvedProfile, Spec } from "../profile/spec.ts";
import { data, Listing } from "../program/build.ts";
import type { Data, Operand, Role, SharedBuffer, Step } from "../program/program.ts";
import type { FilterCertificate } from "../prove/certificate.ts";
import type { AppArmorPolicy } from "./lsm/apparmor-policy.ts";
import type { CgroupPlan, Decision } from "./plan.ts";
import type { Wanted } from "./wanted-mounts.ts";

/**
 * The launch, phase by phase, in the order in which the kernel sees it. Why this order:
 * what the monitor opens for init is open before init is made, and inherited; sources are opened with the caller's rights before the identity changes; everything that makes inodes comes after it,
 * so that they belong to the payload's ids; the host's tree is detached before the first path of the payload's root is
 * looked up; privileges go last because all before needs them; seccomp is the very last before execve.
 */
export const PHASES = {
  monitor: [
    "start",
    "cgroup",
    "proc",
    "writes",
    "translate",
    "terminal",
    "spawn",
    "ids",
    "release",
    "wait",
    "failed",
    "end",
    "leave",
  ],
  mapper: ["hold"],
  init: [
    "start",
    "cgroup",
    "namespaces",
    "sources",
    "identity",
    "root",
    "proc",
    "pivot",
    "devices",
    "mounts",
    "masks",
    "close",
    "network",
    "hostname",
    "terminal",
    "privileges",
    "spawn",
    "readback",
    "wait",
  ],
  payload: [
    "session",
    "label",
    "drop",
    "limits",
    "process",
    "privileges",
    "landlock",
    "descriptors",
    "seccomp",
    "exec",
  ],
} as const satisfies Record<Role, readonly string[]>;

export type Phase = { [R in Role]: `${R}.${(typeof PHASES)[R][number]}` }[Role];

/** How a launcher will be run: under a supervisor in Node, or alone. */
export type Mode = "supervised" | "standalone";

/** Everything the compiler takes, besides the profile. */
export interface Target {
  readonly host: HostFacts;
  readonly request: RequestFacts;
  readonly mode: Mode;
  /** Standard descriptors (0, 1, 2) that are terminals and go through a PTY of ours; empty: none. */
  readonly terminal: readonly number[];
  /** The proved filter: sock_filter array and what is kept of the proof; null when the profile has none. */
  readonly filter: { readonly bytes: Uint8Array; readonly certificate: FilterCertificate } | null;
  /** The command line, when it is known at compile time. */
  readonly command: readonly string[] | null;
  /** SHA-256 of a text in lower-case hex: passed in, as the compiler imports nothing. */
  readonly digest: (text: string) => string;
}

export class Draft {
  readonly spec: Spec;
  readonly host: HostFacts;
  readonly request: RequestFacts;
  readonly target: Target;
  readonly decisions: Decision[] = [];
  readonly problems: Problem[] = [];
  readonly cgroups: CgroupPlan[] = [];
  /** What is mounted into the root on somebody's behalf, outer mounts first. */
  readonly mounts: Wanted[] = [];
  /** AppArmor policy that must be loaded before the launch. */
  apparmor: AppArmorPolicy | null = null;
  readonly data: Data[] = [];
  readonly buffers: SharedBuffer[] = [];
  /** Directories inside the root that exist already or are made by an earlier step, without the leading slash. */
  readonly directories = new Set<string>();
  /** Steps that opened a directory of the host: closed once the host's tree is detached, before a path of the payload's root is looked up. */
  readonly hostDescriptors = new Set<string>();
  readonly #profile: ResolvedProfile;
  readonly #phases = new Map<Phase, Step[]>();
  readonly #dataByContent = new Map<string, string>();

  constructor(profile: ResolvedProfile, target: Target) {
    this.#profile = profile;
    this.spec = profile.spec;
    this.host = target.host;
    this.request = target.request;
    this.target = target;
  }

  get supervised(): boolean {
    return this.target.mode === "supervised";
  }

  /** The root holds what somebody else put there: links in it may lead anywhere. */
  get hostileRoot(): boolean {
    const { root, write } = this.spec.filesystem;
    return root.type === "directory" || typeof write === "object";
  }

  /** Run with the rights to map foreign ids: by root, in short. */
  get privileged(): boolean {
    return this.host.idBase !== null;
  }

  get profile(): ResolvedProfile {
    return this.#profile;
  }

  /**
   * The cgroups that this launcher can use. One without a supervisor has nobody who moves processes out of a cgroup that is to be
   * divided: there it has the controllers of the top of the tree, or none.
   */
  get cgroup(): CgroupFacts {
    const { cgroup } = this.host;
    const leaf = cgroup.prepare?.leaf ?? null;
    if (this.supervised || leaf === null) return cgroup;
    const undivided = Object.values(cgroup.controllers).find(
      ({ version, top }) => version === 2 && top === undefined,
    );
    if (undivided === undefined) return cgroup;
    const kept = Object.entries(cgroup.controllers).filter(
      ([, { version, top }]) => version === 1 || top !== undefined,
    );
    return {
      ...cgroup,
      controllers: Object.fromEntries(kept),
      missing: {
        reason: `${undivided.parent} holds processes, and a launcher without a supervisor moves none out of the way`,
        fix: "divide it with one `sandbox run -- true` in it, then compile again",
      },
    };
  }

  /** Where the value at this pointer, or the nearest one around it, was written. */
  provenance(pointer: string): Provenance {
    return locate(this.#profile, pointer);
  }

  /** An id that no other decision has: two mounts may have one target. */
  unique(id: string): string {
    for (let number = 1; ; number += 1) {
      const candidate = number === 1 ? id : `${id}#${number}`;
      if (!this.decisions.some((decision) => decision.id === candidate)) return candidate;
    }
  }

  /** Record a decision and give its id. `pointer` names the field that asked for it. */
  decide(
    decision: Omit<Decision, "provenance" | "reason" | "check"> & {
      pointer: string;
      reason?: string;
      check?: Decision["check"];
    },
  ): string {
    const { pointer, reason, check, ...rest } = decision;
    this.decisions.push({
      ...rest,
      provenance: this.provenance(pointer),
      reason: reason ?? "",
      check: check ?? null,
    });
    return decision.id;
  }

  /** Steps for a phase, on behalf of a decision. */
  phase(phase: Phase, decision: string): Listing {
    const steps = this.#phases.get(phase) ?? [];
    this.#phases.set(phase, steps);
    return new Listing(steps, decision);
  }

  steps(role: Role): readonly Step[] {
    return PHASES[role].flatMap((phase) => this.#phases.get(`${role}.${phase}` as Phase) ?? []);
  }

  /** The address of a NUL-terminated text; equal texts are stored once. */
  text(text: string): Operand {
    if (text.includes("\0")) bug(`NUL byte in ${JSON.stringify(text)}`);
    return this.#constant(`t:${text}`, (name) => ({ name, text }));
  }

  /** The address of bytes given as hex; equal bytes are stored once. */
  bytes(hex: string, align?: number): Operand {
    return this.#constant(`h:${hex}`, (name) => ({ name, hex, ...(align === undefined ? {} : { align }) }));
  }

  /** The address of 64-bit words, of which some are addresses of other constants. */
  words(words: readonly (bigint | { readonly addressOf: string })[]): Operand {
    const name = `w${this.data.length}`;
    this.data.push({ name, words });
    return data(name);
  }

  #constant(key: string, make: (name: string) => Data): Operand {
    const known = this.#dataByContent.get(key);
    if (known !== undefined) return data(known);
    const name = `d${this.data.length}`;
    this.data.push(make(name));
    this.#dataByContent.set(key, name);
    return data(name);
  }

  /** Reserve a named shared buffer once. */
  buffer(name: string, size: number, input = false): string {
    if (!this.buffers.some((known) => known.name === name))
      this.buffers.push({ name, size, ...(input ? { input } : {}) });
    return name;
  }

  problem(problem: Omit<Problem, "where">): void {
    this.problems.push({ ...problem, where: this.provenance(problem.pointer) });
  }
}
