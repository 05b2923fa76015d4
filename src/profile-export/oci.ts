/**
 * The config.json of an OCI bundle, for runc, crun and whoever calls them: to be completed with `process.args`. The root of a bundle is a directory, so
 * that a system root becomes an empty one with the host's system directories bound into it. Pure.
 */
import type { Checked } from "../problems.ts";
import type { Mount, Namespace, Rlimit, Spec } from "../profile/spec.ts";
import { type Exported, type ExportRequest, leftOut, oneMachineLeft } from "./exported.ts";
import { machineRules, portableFilter, tightenedLeft, toExactJson } from "./seccomp-rules.ts";

/** Where ids go when the profile leaves it open: a range that Debian and others give to no user. */
const ID_RANGE = { containerID: 0, hostID: 1_879_048_192, size: 65_536 };

/** runtime-spec, config-linux.md. */
const NAMESPACE_TYPES: Readonly<Partial<Record<Namespace, string>>> = {
  user: "user",
  mount: "mount",
  pid: "pid",
  network: "network",
  ipc: "ipc",
  uts: "uts",
  cgroup: "cgroup",
};

export function toOci({ profile, cwd, arch }: ExportRequest): Checked<Exported> {
  const filter = portableFilter(profile);
  if (!filter.ok) return filter;
  const { spec } = profile;
  const { filesystem, identity, namespaces, capabilities, resources, process, lsm } = spec;
  const mounts = [...systemMounts(spec), ...filesystem.mounts.flatMap(toMount), ...workdirMount(spec, cwd)];
  const document = {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: identity.uid, gid: identity.gid, umask: process.umask },
      args: ["/bin/sh"],
      env: Object.entries(spec.environment.set).map(([name, value]) => `${name}=${value}`),
      cwd: process.workdir ?? "/",
      capabilities,
      rlimits: rlimitsOf(spec),
      noNewPrivileges: spec.noNewPrivileges,
      oomScoreAdj: process.oomScoreAdj,
      ...(lsm.apparmorProfile === null ? {} : { apparmorProfile: lsm.apparmorProfile }),
      ...(lsm.selinuxLabel === null ? {} : { selinuxLabel: lsm.selinuxLabel }),
    },
    root: {
      path: filesystem.root.type === "directory" ? filesystem.root.path : "rootfs",
      readonly: filesystem.write === "none",
    },
    ...(namespaces.uts ? { hostname: identity.hostname } : {}),
    mounts,
    linux: {
      namespaces: Object.entries(NAMESPACE_TYPES).flatMap(([name, type]) =>
        namespaces[name as Namespace] && !(name === "network" && spec.network.mode === "host")
          ? [{ type }]
          : [],
      ),
      ...(namespaces.user ? mappings(spec) : {}),
      resources: {
        devices: [{ allow: false, access: "rwm" }],
        ...(resources.memory === null
          ? {}
          : {
              memory: {
                limit: resources.memory,
                // OCI counts memory and swap together.
                ...(resources.swap === null ? {} : { swap: resources.memory + resources.swap }),
              },
            }),
        ...(resources.cpus === null
          ? {}
          : { cpu: { quota: Math.round(resources.cpus * 100_000), period: 100_000 } }),
        ...(resources.pids === null ? {} : { pids: { limit: resources.pids } }),
      },
      ...(filter.value === null
        ? {}
        : {
            seccomp: {
              ...filter.value.spec,
              ...machineRules(filter.value, arch),
            },
          }),
      maskedPaths: filesystem.masked,
      readonlyPaths: filesystem.readOnly,
      ...(lsm.mountLabel === null ? {} : { mountLabel: lsm.mountLabel }),
    },
  };
  return {
    ok: true,
    value: {
      text: toExactJson(document),
      left: [
        ...leftOut(spec, [
          ...(["seccomp", "arguments", "namespaces", "identity", "hostname", "capabilities"] as const),
          ...([
            "noNewPrivileges",
            "root",
            "mounts",
            "noExec",
            "workdir",
            "procPids",
            "masks",
            "devices",
          ] as const),
          ...(["network", "environment", "memory", "swap", "cpus", "pids", "rlimits", "process"] as const),
          ...(filesystem.write === "none" ? (["write"] as const) : []),
          ...(typeof identity.map === "string" ? [] : (["idMap"] as const)),
          ...(lsm.apparmorProfile === null && lsm.selinuxLabel === null ? [] : (["lsm"] as const)),
        ]),
        ...oneMachineLeft(spec, arch),
        ...(filter.value === null ? [] : tightenedLeft(filter.value)),
      ],
    },
  };
}

function mappings({ identity }: Spec) {
  const { map } = identity;
  return typeof map === "string"
    ? { uidMappings: [ID_RANGE], gidMappings: [ID_RANGE] }
    : { uidMappings: map.uidMappings, gidMappings: map.gidMappings };
}

const SYSTEM_DIRECTORIES = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

function systemMounts({ filesystem, namespaces }: Spec) {
  const { root, proc, devices, shmSize } = filesystem;
  const bound =
    root.type === "system"
      ? SYSTEM_DIRECTORIES.map((path) => ({
          destination: path,
          type: "bind",
          source: path,
          options: ["rbind", "ro", "nosuid", "nodev"],
        }))
      : [];
  const processes = {
    destination: "/proc",
    type: "proc",
    source: "proc",
    options: ["nosuid", "nodev", "noexec", ...(proc === "pids" ? ["subset=pid"] : [])],
  };
  const dev = [
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "noexec", "mode=755", "size=65536k"],
    },
    ...(devices.includes("pts")
      ? [
          {
            destination: "/dev/pts",
            type: "devpts",
            source: "devpts",
            options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
          },
        ]
      : []),
    ...(devices.includes("shm")
      ? [
          {
            destination: "/dev/shm",
            type: "tmpfs",
            source: "shm",
            options: ["nosuid", "nodev", "noexec", "mode=1777", `size=${shmSize}`],
          },
        ]
      : []),
    ...(devices.includes("mqueue") && namespaces.ipc
      ? [
          {
            destination: "/dev/mqueue",
            type: "mqueue",
            source: "mqueue",
            options: ["nosuid", "nodev", "noexec"],
          },
        ]
      : []),
  ];
  return [...bound, ...(proc === "none" ? [] : [processes]), ...dev];
}

function toMount(mount: Mount): readonly unknown[] {
  switch (mount.type) {
    case "bind":
      return [
        {
          destination: mount.target,
          type: "bind",
          source: mount.source,
          options: [
            "rbind",
            mount.readOnly ? "ro" : "rw",
            "nosuid",
            "nodev",
            ...(mount.noExec ? ["noexec"] : []),
          ],
        },
      ];
    case "tmpfs":
      return [
        {
          destination: mount.target,
          type: "tmpfs",
          source: "tmpfs",
          options: [
            "nosuid",
            "nodev",
            mount.readOnly ? "ro" : "rw",
            ...(mount.noExec ? ["noexec"] : []),
            `size=${mount.size}`,
            `nr_inodes=${mount.inodes}`,
            `mode=${mount.mode.toString(8)}`,
          ],
        },
      ];
    // Files and links are content, which belongs into the root of a bundle.
    case "file":
    case "symlink":
      return [];
  }
  return mount satisfies never;
}

function workdirMount({ filesystem: { workdir } }: Spec, cwd: string) {
  if (workdir === "none") return [];
  return [{ destination: cwd, type: "bind", source: cwd, options: ["rbind", workdir, "nosuid", "nodev"] }];
}

function rlimitsOf({ resources }: Spec) {
  const unlimited = 18_446_744_073_709_551_615n;
  const number = (value: number | "unlimited"): number | bigint =>
    value === "unlimited" ? unlimited : value;
  const given: readonly (readonly [Rlimit, number | null])[] = [
    ["nofile", resources.openFiles],
    ["fsize", resources.fileSize],
    ["core", resources.coreSize],
  ];
  return [
    ...given.flatMap(([name, value]) => (value === null ? [] : [{ name, soft: value, hard: value }])),
    ...Object.entries(resources.rlimits).map(([name, { soft, hard }]) => ({
      name,
      soft: number(soft),
      hard: number(hard),
    })),
  ].map(({ name, soft, hard }) => ({ type: `RLIMIT_${name.toUpperCase()}`, soft, hard }));
}
