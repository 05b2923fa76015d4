/**
 * The launch plan: decisions, the launch program, and what the supervisor must do around it. Frozen, JSON-serialisable data;
 * same input, byte-identical output. Nothing here knows how it is run.
 */
import type { CgroupFacts, Controller } from "../host/facts.ts";
import type { Provenance } from "../problems.ts";
import type { Control, IdMapping, Resources, Rlimit, Spec, Status } from "../profile/spec.ts";
import type { Program } from "../program/program.ts";
import type { FilterCertificate } from "../prove/certificate.ts";
import type { AppArmorPolicy } from "./lsm/apparmor-policy.ts";

/** One thing that the compiler decided, and who asked for it. */
export interface Decision {
  /** Unique and stable: "namespaces.user", "resources.memory", "mount:/usr". */
  readonly id: string;
  readonly control: Control;
  /** What was chosen, for people: "268435456 bytes (cgroup v1 memory)". */
  readonly setting: string;
  readonly provenance: Provenance;
  readonly status: Status;
  /** Why this setting, or why less than full; "" when there is nothing to say. */
  readonly reason: string;
  /** How to read it back after launch; null for what has no kernel-visible state. */
  readonly check: Check | null;
}

/** What the kernel must say once the payload runs. `expected` is compared as text unless said. */
export type Check =
  /** A field of /proc/PID/status of the payload: "CapEff" → "0000000000000000". */
  | { readonly kind: "status"; readonly field: string; readonly expected: string }
  /** A namespace that must differ from the supervisor's own ("own") or be the same ("host"). */
  | {
      readonly kind: "namespace";
      readonly name: "user" | "mnt" | "pid" | "net" | "ipc" | "uts" | "cgroup" | "time";
      readonly expected: "own" | "host";
    }
  /** A mount point in /proc/1/mountinfo of the sandbox: its options must contain all of these, and none of `without`. */
  | {
      readonly kind: "mount";
      readonly target: string;
      readonly fsType: string | null;
      readonly options: readonly string[];
      readonly without?: readonly string[];
    }
  /** A cgroup file, read back by the monitor after writing. Numbers: equal or rounded to pages. */
  | {
      readonly kind: "cgroup";
      readonly controller: Controller;
      readonly file: string;
      readonly expected: string;
    }
  /** The payload's label of the major security module (/proc/PID/attr/current), as the kernel writes it. */
  | {
      readonly kind: "label";
      readonly expected: string;
      /** The buffer that holds it where it is made at run time; `expected` then says it for people. */
      readonly from?: string;
    }
  /** What a system call answered in the launch: errno name, or "ok"; kept in a shared buffer of 8 bytes. */
  | {
      readonly kind: "answer";
      readonly buffer: string;
      /** What was asked, for people. */
      readonly question: string;
      readonly expected: string;
    }
  /** A row of /proc/PID/limits of the payload: "soft hard". */
  | { readonly kind: "rlimit"; readonly name: Rlimit; readonly expected: string };

/** A cgroup directory of the run, `sandbox-<run id>` is appended to `parent` by the launcher. */
export interface CgroupPlan {
  readonly version: 1 | 2;
  readonly parent: string;
  readonly controllers: readonly Controller[];
}

/** How the launcher's inherited descriptors are numbered; null: not passed. */
export interface DescriptorPlan {
  /** Shared memory. */
  readonly memory: number;
  /** PTY master that the supervisor opened from /dev/ptmx. */
  readonly ptyMaster: number | null;
  /** Write end of a pipe: one byte "T" whenever the payload stopped. */
  readonly events: number | null;
}

export interface SupervisorPlan {
  readonly descriptors: DescriptorPlan;
  readonly cgroups: readonly CgroupPlan[];
  readonly cgroupPrepare: CgroupFacts["prepare"];
  /** Ranges taken by the supervisor from a free region, written as text into the input buffers uid-map and gid-map. */
  readonly idRange: { readonly base: number; readonly size: number; readonly slots: number } | null;
  /** AppArmor policy that must be loaded, under this name, as long as the launcher may run; null: none. */
  readonly apparmor: AppArmorPolicy | null;
  readonly wallTime: number | null;
  readonly cpuTime: number | null;
  readonly outputSize: number | null;
  readonly resources: Resources;
}

/** The payload's terminal: through a PTY of ours, or its descriptors as they are. */
export interface LaunchPlan {
  readonly version: 1;
  readonly mode: "supervised" | "standalone";
  readonly spec: Spec;
  readonly decisions: readonly Decision[];
  readonly program: Program;
  readonly supervisor: SupervisorPlan;
  /** That the filter in the program does what the spec says; null without a filter. */
  readonly filter: FilterCertificate | null;
  /** Explicit mappings in force, null when chosen at run time. */
  readonly idMappings: { readonly uid: readonly IdMapping[]; readonly gid: readonly IdMapping[] } | null;
}
