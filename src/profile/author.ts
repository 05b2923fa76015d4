/**
 * A profile as authors write it, after merging with the defaults and after the validator found its shape right:
 * every field is there, in author units. The TypeScript of profile.schema.json.
 */
import type {
  CapabilitySet,
  Control,
  IdMapping,
  LandlockSpec,
  Namespace,
  ProcMode,
  SeccompCondition,
  Spec,
  Status,
} from "./spec.ts";

/** "256M" or bytes. */
export type AuthorSize = string | number;
/** "10s" or seconds. */
export type AuthorTime = string | number;

export type AuthorMount =
  | {
      readonly type: "bind";
      readonly source: string;
      readonly target: string;
      readonly options?: readonly string[];
      readonly optional?: boolean;
    }
  | {
      readonly type: "tmpfs";
      readonly target: string;
      readonly size?: AuthorSize;
      readonly inodes?: number;
      readonly mode?: string;
      readonly options?: readonly string[];
    }
  | { readonly type: "file"; readonly target: string; readonly content: string; readonly mode?: string }
  | { readonly type: "symlink"; readonly target: string; readonly link: string };

export type AuthorRoot =
  | { readonly type: "system"; readonly etc?: "minimal" | "tools" }
  | { readonly type: "closure" }
  | { readonly type: "directory"; readonly path: string }
  | { readonly type: "empty" };

export interface AuthorSeccompRule {
  readonly names?: readonly string[] | null;
  readonly name?: string | null;
  readonly action: string;
  readonly errnoRet?: number | null;
  readonly errno?: string | null;
  readonly args?:
    | readonly {
        readonly index: number;
        readonly op: string;
        readonly value: string | number;
        readonly valueTwo?: string | number;
      }[]
    | null;
  readonly includes?: Nullable<SeccompCondition> | null;
  readonly excludes?: Nullable<SeccompCondition> | null;
}

export interface AuthorSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | null;
  readonly defaultErrno?: string | null;
  readonly architectures?: readonly string[] | null;
  readonly flags?: readonly string[] | null;
  readonly syscalls?: readonly AuthorSeccompRule[] | null;
}

/** Over a base that turned it off, only what the profile itself says is there. */
export type AuthorLandlock = {
  readonly [K in keyof LandlockSpec]?: LandlockSpec[K] extends boolean
    ? LandlockSpec[K]
    : Partial<LandlockSpec[K]>;
};

type Nullable<T> = { readonly [K in keyof T]?: T[K] | null };

export interface AuthorProfile {
  readonly name?: string;
  readonly description: string;
  readonly namespaces: Readonly<Record<Namespace, boolean>>;
  readonly identity: {
    readonly uid: number;
    readonly gid: number;
    readonly map:
      | "auto"
      | "subordinate"
      | { readonly uidMappings: readonly IdMapping[]; readonly gidMappings: readonly IdMapping[] };
    readonly allowRoot: boolean;
    readonly hostname: string;
  };
  readonly filesystem: {
    readonly root: AuthorRoot;
    readonly write: "none" | "ephemeral" | { readonly directory: string };
    readonly writeSize: AuthorSize;
    readonly proc: ProcMode;
    readonly mounts: readonly AuthorMount[];
    readonly masked: readonly string[];
    readonly readOnly: readonly string[];
    readonly devices: readonly string[];
    readonly shmSize: AuthorSize;
    readonly workdir: "rw" | "ro" | "none";
  };
  readonly capabilities: Readonly<Record<CapabilitySet, readonly string[]>>;
  readonly noNewPrivileges: boolean;
  /** Absent: nobody wrote it, which is refused. */
  readonly seccomp?: AuthorSeccomp | null;
  readonly lsm: Spec["lsm"];
  readonly landlock: AuthorLandlock | null;
  readonly resources: {
    readonly memory: AuthorSize | null;
    readonly swap: AuthorSize | null;
    readonly cpus: number | null;
    readonly cpuset: string | null;
    readonly pids: number | null;
    readonly io: readonly {
      readonly device: string;
      readonly readBps?: AuthorSize | null;
      readonly writeBps?: AuthorSize | null;
      readonly readIops?: number | null;
      readonly writeIops?: number | null;
    }[];
    readonly cpuTime: AuthorTime | null;
    readonly wallTime: AuthorTime | null;
    readonly fileSize: AuthorSize | null;
    readonly openFiles: number | null;
    readonly coreSize: AuthorSize | null;
    readonly outputSize: AuthorSize | null;
    readonly rlimits: Readonly<
      Record<string, { readonly soft: string | number; readonly hard: string | number }>
    >;
  };
  readonly network: Spec["network"];
  readonly environment: Spec["environment"];
  readonly process: Omit<Spec["process"], "umask"> & { readonly umask: string };
  readonly audit: Spec["audit"];
  readonly require: Readonly<Record<Control, Status>>;
}
