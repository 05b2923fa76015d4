/**
 * A drop-in for a systemd service: DIR/NAME.service.d/sandbox.conf. systemd names calls without their arguments, so that what a filter says of
 * arguments becomes the setting that means it (namespaces, address families, set-user-id files, personality), and else is left. Pure.
 */
import { type Abi, SERVED } from "../compile/seccomp/abi.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import type { Checked } from "../problems.ts";
import { locate } from "../profile/provenance.ts";
import type { Rlimit, Spec } from "../profile/spec.ts";
import {
  FAMILIES,
  is,
  makesNamespace,
  makesSocket,
  NEW_NAMESPACE,
  SETUID_BITS,
  SETUID_BY_STRUCT,
} from "../profile-rules/calls.ts";
import {
  type FilterFacts,
  filterFacts,
  type Question,
  whatIsAllowed,
} from "../profile-rules/filter-facts.ts";
import { type Exported, type ExportRequest, leftOut } from "./exported.ts";

type Line = readonly [name: string, value: string];

export function toSystemd({ profile, cwd }: ExportRequest): Checked<Exported> {
  const { spec } = profile;
  const filters =
    spec.seccomp === null
      ? { ok: true as const, value: [] }
      : filterFacts(spec.seccomp, spec.capabilities.bounding, (pointer) => locate(profile, pointer));
  if (!filters.ok) return filters;
  const lines: readonly Line[] = [
    ...privileges(spec),
    ...files(spec, cwd),
    ...isolation(spec),
    ...calls(filters.value),
    ...limits(spec),
    ...surroundings(spec),
  ];
  const text = [
    `# ${spec.name.replaceAll(/[\r\n]/g, " ")}: ${spec.description.replaceAll(/[\r\n]/g, " ")}`,
    "[Service]",
    ...lines.map(([name, value]) => `${name}=${value}`),
    "",
  ].join("\n");
  return {
    ok: true,
    value: {
      text,
      left: leftOut(spec, [
        ...(["seccomp", "namespaces", "identity", "capabilities", "noNewPrivileges", "mounts"] as const),
        ...(["noExec", "workdir", "procPids", "masks", "network", "environment", "passed"] as const),
        ...(["memory", "swap", "cpus", "pids", "wallTime", "rlimits", "process"] as const),
        ...(["memoryDenyWriteExecute", "failClosed"] as const),
        ...(spec.filesystem.root.type === "directory" ? (["root"] as const) : []),
        ...(spec.filesystem.write === "none" ? (["write"] as const) : []),
      ]),
    },
  };
}

const yes = (value: boolean): string => (value ? "yes" : "no");
/** Words that systemd splits: systemd.syntax(7). A percent sign begins a specifier. */
const quote = (text: string): string =>
  `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("\n", "\\n")}"`;

function privileges(spec: Spec): readonly Line[] {
  const { capabilities, noNewPrivileges, identity, namespaces } = spec;
  return [
    // An id that nobody else has; the ids of the profile mean something in a user namespace only.
    ...(identity.uid === 0 ? [] : ([["DynamicUser", "yes"]] as const)),
    ["PrivateUsers", yes(namespaces.user)],
    ["NoNewPrivileges", yes(noNewPrivileges)],
    ["CapabilityBoundingSet", capabilities.bounding.join(" ")],
    ["AmbientCapabilities", capabilities.ambient.join(" ")],
    ["KeyringMode", "private"],
  ];
}

function files({ filesystem }: Spec, cwd: string): readonly Line[] {
  const { root, write, mounts, masked, readOnly, workdir, proc } = filesystem;
  const binds = mounts.flatMap((mount): readonly Line[] => {
    if (mount.type === "bind")
      return [
        [mount.readOnly ? "BindReadOnlyPaths" : "BindPaths", quote(`${mount.source}:${mount.target}:rbind`)],
        ...(mount.noExec ? ([["NoExecPaths", quote(mount.target)]] as const) : []),
      ];
    if (mount.type !== "tmpfs") return [];
    const options = `size=${mount.size},nr_inodes=${mount.inodes},mode=${mount.mode.toString(8)}`;
    const extra = `${mount.noExec ? ",noexec" : ""},nosuid,nodev`;
    return [["TemporaryFileSystem", quote(`${mount.target}:${options}${extra}`)]];
  });
  return [
    ...(root.type === "directory" ? ([["RootDirectory", quote(root.path)]] as const) : []),
    ["ProtectSystem", write === "none" ? "strict" : "full"],
    ["ProtectHome", "yes"],
    ["PrivateDevices", "yes"],
    ["DevicePolicy", "closed"],
    ...binds,
    ...(workdir === "none"
      ? []
      : ([[workdir === "rw" ? "BindPaths" : "BindReadOnlyPaths", quote(`${cwd}:${cwd}:rbind`)]] as const)),
    ["ProtectProc", "invisible"],
    ["ProcSubset", proc === "full" ? "all" : "pid"],
    // A dash: a path that is not there is no mistake.
    ...(proc === "full" ? masked.map((path): Line => ["InaccessiblePaths", quote(`-${path}`)]) : []),
    ...(proc === "full" ? readOnly.map((path): Line => ["ReadOnlyPaths", quote(`-${path}`)]) : []),
    ["ProtectKernelTunables", "yes"],
    ["ProtectKernelModules", "yes"],
    ["ProtectKernelLogs", "yes"],
    ["ProtectControlGroups", "yes"],
    ["ProtectClock", "yes"],
    ["RestrictRealtime", "yes"],
  ];
}

function isolation({ namespaces, network }: Spec): readonly Line[] {
  return [
    ["PrivateNetwork", yes(namespaces.network && network.mode === "none")],
    ["PrivateIPC", yes(namespaces.ipc)],
    ["ProtectHostname", yes(namespaces.uts)],
    ["PrivateMounts", "yes"],
    ["RemoveIPC", "yes"],
  ];
}

/** Names of namespaces and address families, as RestrictNamespaces= and RestrictAddressFamilies= have them. */
const NAMESPACE_WORDS: Readonly<Record<string, string>> = {
  CLONE_NEWUSER: "user",
  CLONE_NEWNS: "mnt",
  CLONE_NEWPID: "pid",
  CLONE_NEWNET: "net",
  CLONE_NEWIPC: "ipc",
  CLONE_NEWUTS: "uts",
  CLONE_NEWCGROUP: "cgroup",
};

function calls(filters: readonly FilterFacts[]): readonly Line[] {
  if (filters.length === 0) return [];
  const any = (questions: readonly Question[]): boolean =>
    questions.some((question) => whatIsAllowed(filters, question) !== null);
  const families = Object.entries(FAMILIES).flatMap(([name, number]) =>
    any(makesSocket(number)) ? [`AF_${name.toUpperCase()}`] : [],
  );
  const namespaces = Object.entries(NEW_NAMESPACE).flatMap(([name, flag]) =>
    any(makesNamespace(flag)) ? [NAMESPACE_WORDS[name] ?? name] : [],
  );
  const names = filters.flatMap((filter) => {
    const abi = SERVED[filter.arch][0] as Abi;
    return [...syscallTable(abi).numbers.keys()].filter(
      (name) => whatIsAllowed([filter], { names: [name], abis: [abi] }) !== null,
    );
  });
  return [
    ["SystemCallArchitectures", "native"],
    // A first list without ~ is the list of what is allowed: systemd.exec(5).
    ["SystemCallFilter", [...new Set(names)].toSorted().join(" ")],
    ["SystemCallErrorNumber", "EPERM"],
    ["RestrictNamespaces", namespaces.length === 0 ? "yes" : namespaces.join(" ")],
    ["RestrictAddressFamilies", families.length === 0 ? "none" : families.join(" ")],
    ["RestrictSUIDSGID", yes(!any([...SETUID_BITS, SETUID_BY_STRUCT]))],
    // ADDR_NO_RANDOMIZE, one of the flags that it forbids.
    ["LockPersonality", yes(!any([{ names: ["personality"], conditions: [is(0, 0x0040000n)] }]))],
  ];
}

function limits({ resources }: Spec): readonly Line[] {
  const line = (
    name: string,
    value: number | null,
    text: (value: number) => string = String,
  ): readonly Line[] => (value === null ? [] : [[name, text(value)]]);
  const rlimit = (value: number | "unlimited"): string =>
    value === "unlimited" ? "infinity" : String(value);
  return [
    ...line("MemoryMax", resources.memory),
    ...line("MemorySwapMax", resources.swap),
    ...line("TasksMax", resources.pids),
    ...line("CPUQuota", resources.cpus, (cpus) => `${Math.round(cpus * 100)}%`),
    ...line("RuntimeMaxSec", resources.wallTime, (time) => `${time}ms`),
    ...line("LimitNOFILE", resources.openFiles),
    ...line("LimitFSIZE", resources.fileSize),
    ...line("LimitCORE", resources.coreSize),
    ...Object.entries(resources.rlimits).map(
      ([name, { soft, hard }]): Line => [
        `Limit${(name as Rlimit).toUpperCase()}`,
        `${rlimit(soft)}:${rlimit(hard)}`,
      ],
    ),
  ];
}

function surroundings({ environment, process }: Spec): readonly Line[] {
  const set = Object.entries(environment.set).map(([name, value]) => quote(`${name}=${value}`));
  return [
    ...(set.length === 0 ? [] : ([["Environment", set.join(" ")]] as const)),
    ...(environment.pass.length === 0 ? [] : ([["PassEnvironment", environment.pass.join(" ")]] as const)),
    ["UMask", process.umask.toString(8).padStart(4, "0")],
    ["Nice", String(process.nice)],
    ["OOMScoreAdjust", String(process.oomScoreAdj)],
    ["MemoryDenyWriteExecute", yes(process.memoryDenyWriteExecute)],
    ...(process.workdir === null ? [] : ([["WorkingDirectory", quote(process.workdir)]] as const)),
  ];
}
