/**
 * The defaults: what a field is when no profile, flag or option says it. The one place for them; profile.schema.json
 * shows the same values to editors and readers, and a test compares the two.
 * Closed by default. `seccomp` has none on purpose: a profile that forgets it is refused, not left open.
 */
import { FS_RIGHT_NAMES, type FsRight } from "../program/landlock.ts";
import type { Device } from "./spec.ts";

const DEFAULT_DEVICES: readonly Device[] = ["null", "zero", "full", "random", "urandom"];

/** In the units of authors, as if written in a profile that every other one extends. */
export const DEFAULTS = {
  description: "",
  namespaces: {
    user: true,
    mount: true,
    pid: true,
    network: true,
    ipc: true,
    uts: true,
    cgroup: true,
    time: true,
  },
  identity: { uid: 1000, gid: 1000, map: "auto", allowRoot: false, hostname: "sandbox" },
  filesystem: {
    root: { type: "system", etc: "minimal" },
    write: "none",
    writeSize: "256M",
    proc: "pids",
    mounts: [],
    masked: [],
    readOnly: [],
    devices: DEFAULT_DEVICES,
    shmSize: "64M",
    workdir: "none",
  },
  capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
  noNewPrivileges: true,
  lsm: { type: "any", apparmorProfile: null, selinuxLabel: null, mountLabel: null },
  landlock: {
    fs: Object.fromEntries(FS_RIGHT_NAMES.map((right) => [right, "derived" as const])) as Record<
      FsRight,
      "derived"
    >,
    net: { bind_tcp: "any", connect_tcp: "any", bind_udp: "any", connect_send_udp: "any" },
    scope: { abstract_unix_socket: true, signal: true },
    log: false,
  },
  resources: {
    memory: null,
    swap: null,
    cpus: null,
    cpuset: null,
    pids: null,
    io: [],
    cpuTime: null,
    wallTime: null,
    fileSize: null,
    openFiles: null,
    coreSize: "0",
    outputSize: null,
    rlimits: {},
  },
  network: { mode: "none" },
  environment: { pass: [], set: {} },
  process: {
    workdir: null,
    umask: "022",
    nice: 0,
    oomScoreAdj: 0,
    terminal: "auto",
    memoryDenyWriteExecute: false,
    speculationMitigations: false,
    timeOffsets: {
      monotonic: { secs: 0, nanosecs: 0 },
      boottime: { secs: 0, nanosecs: 0 },
    },
  },
  audit: { require: true, onFailure: "refuse", redact: [] },
  require: {
    namespaces: "full",
    identity: "full",
    filesystem: "full",
    capabilities: "full",
    noNewPrivileges: "full",
    seccomp: "full",
    // Asked for everywhere, but which module a kernel enforces was decided when it booted.
    lsm: "none",
    // Derived rules are a second layer; what an author lists is refused where it is missing, whatever stands here.
    landlock: "none",
    resources: "full",
    network: "full",
    environment: "full",
    process: "full",
    audit: "full",
  },
} as const;

/** Default inside a root, which replaces an inherited one as a whole. */
export const ROOT_DEFAULTS = { system: { etc: "minimal" } } as const;

/** Defaults inside a mount; noexec where data lives. */
export const MOUNT_DEFAULTS = {
  bind: { readOnly: true, noExec: false, optional: false },
  tmpfs: { size: "64M", inodes: 65_536, mode: "1777", readOnly: false, noExec: true },
  file: { mode: "0444" },
} as const;
