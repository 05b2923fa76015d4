/** Recorded machines: what the probes read there, and nothing else. */
import { cgroup2, NAMESPACE_LINKS, type Tree, textOf } from "./recorded.ts";

const COMMON: Tree = {
  "/usr": { type: "directory" },
  "/bin": { link: "usr/bin" },
  "/lib": { link: "usr/lib" },
  "/proc/filesystems": "nodev\tproc\nnodev\toverlay\n\text4\n",
  "/proc/meminfo": "MemTotal:       16270796 kB\nMemFree: 1 kB\n",
  "/proc/swaps": "Filename\n",
  "/proc/sys/kernel/cap_last_cap": "40\n",
  "/proc/sys/kernel/pid_max": "4194304\n",
  "/proc/sys/kernel/seccomp/actions_avail": "kill_process allow\n",
  "/proc/sys/user/max_user_namespaces": "60000\n",
  "/sys/devices/system/cpu/online": "0-7\n",
  "/sys/kernel/security/lsm": "lockdown,capability,landlock,yama,apparmor",
  "/etc/localtime": { link: "/usr/share/zoneinfo/Europe/Berlin" },
  "/etc/shadow": "root:x\n",
  "/etc/ssh/ssh_config": "\n",
  "/etc/ssl/certs/ca-certificates.crt": "\n",
  "/etc/ssl/private/key.pem": "\n",
  "/etc/ld.so.cache": "\n",
  ...NAMESPACE_LINKS,
};

const ALL_IDS = "         0          0 4294967295\n";
const V2_MOUNTS = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid,nodev,noexec shared:12 - proc proc rw
24 22 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
31 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
35 23 0:30 / /proc/sys/fs/binfmt_misc rw shared:13 - autofs systemd-1 rw
`;
const USER_STATUS =
  "Name:\tnode\nPid:\t4321\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t27 1000 \n" +
  "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n";
const ROOT_STATUS =
  "Name:\tnode\nPid:\t4321\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n";

const USER: Tree = {
  ...COMMON,
  "/proc/self/status": USER_STATUS,
  "/proc/self/mountinfo": V2_MOUNTS,
  "/proc/self/uid_map": ALL_IDS,
  "/proc/self/gid_map": ALL_IDS,
  "/proc/sys/kernel/osrelease": "6.1.0-37-amd64\n",
  "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n",
  "/etc/subuid": "anna:100000:65536\nbert:165536:65536\n",
  "/etc/subgid": "1000:100000:65536\n",
  "/usr/bin/newuidmap": { mode: 0o4755 },
  "/usr/bin/newgidmap": { mode: 0o4755 },
  "/usr/lib/x86_64-linux-gnu/libseccomp.so.2": { link: "libseccomp.so.2.5.4" },
};

const SLICE = "/sys/fs/cgroup/user.slice/user-1000.slice";
const MANAGER = `${SLICE}/user@1000.service`;
export const SCOPE = `${MANAGER}/app.slice/run-r0a1b2c3d.scope`;

const USER_SLICES: Tree = {
  ...cgroup2("/sys/fs/cgroup", {
    controllers: "cpuset cpu io memory pids",
    subtree: "cpu io memory pids",
    root: true,
  }),
  ...cgroup2("/sys/fs/cgroup/user.slice", { controllers: "cpu memory pids", subtree: "cpu memory pids" }),
  ...cgroup2(SLICE, { controllers: "cpu memory pids", subtree: "cpu memory pids" }),
  ...cgroup2(MANAGER, { controllers: "cpu memory pids", subtree: "cpu memory pids", writable: true }),
  ...cgroup2(`${MANAGER}/app.slice`, {
    controllers: "cpu memory pids",
    subtree: "memory pids",
    writable: true,
  }),
};

/** A login session: its scope belongs to root. */
export const LOGIN: Tree = {
  ...USER,
  ...USER_SLICES,
  "/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n",
  ...cgroup2(`${SLICE}/session-2.scope`, { controllers: "cpu memory pids", procs: "4000\n4321\n" }),
};

/** systemd-run --user --scope -p Delegate=yes. */
export const DELEGATED: Tree = {
  ...USER,
  ...USER_SLICES,
  "/proc/self/cgroup": `0::${SCOPE.slice("/sys/fs/cgroup".length)}\n`,
  ...cgroup2(SCOPE, { controllers: "cpu memory pids", procs: "4300\n4321\n", writable: true }),
};

/** A desktop terminal: a unit of the user's manager that was not made for us. */
export const TERMINAL: Tree = {
  ...USER,
  ...USER_SLICES,
  "/proc/self/cgroup": `0::${MANAGER.slice("/sys/fs/cgroup".length)}/app.slice/app-terminal-77.scope\n`,
  ...cgroup2(`${MANAGER}/app.slice/app-terminal-77.scope`, {
    controllers: "memory pids",
    procs: "4200\n4321\n",
    writable: true,
  }),
};

/** Root in a login session on a pure v2 system. */
export const ROOT_V2: Tree = {
  ...USER,
  "/proc/self/status": ROOT_STATUS,
  "/proc/self/cgroup": "0::/user.slice/user-0.slice/session-1.scope\n",
  ...cgroup2("/sys/fs/cgroup", {
    controllers: "cpuset cpu io memory pids",
    subtree: "cpu io memory pids",
    writable: true,
    root: true,
  }),
  ...cgroup2("/sys/fs/cgroup/user.slice", {
    controllers: "cpu memory pids",
    subtree: "memory pids",
    writable: true,
  }),
  ...cgroup2("/sys/fs/cgroup/user.slice/user-0.slice", {
    controllers: "memory pids",
    subtree: "memory pids",
    writable: true,
  }),
  ...cgroup2("/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope", {
    controllers: "memory pids",
    procs: "4000\n4321\n",
    writable: true,
  }),
};

/** docker run, defaults, cgroup v2: masked /proc, read-only cgroups, seccomp filter. */
export const DOCKER: Tree = {
  ...USER,
  "/.dockerenv": "",
  "/proc/self/status":
    "Name:\tnode\nPid:\t7\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \nCapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n",
  "/proc/self/cgroup": "0::/\n",
  "/proc/self/mountinfo": `500 400 0:60 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l
501 500 0:61 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
505 500 0:64 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
506 505 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate
520 501 0:61 /bus /proc/bus ro,nosuid,nodev,noexec,relatime - proc proc rw
524 501 0:65 / /proc/acpi ro,relatime - tmpfs tmpfs ro
525 501 0:62 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw
`,
  ...cgroup2("/sys/fs/cgroup", { controllers: "cpu memory pids", procs: "1\n7\n" }),
};

/** docker run --privileged --cgroupns=private, started through a shell. */
export const DOCKER_PRIVILEGED: Tree = {
  ...DOCKER,
  "/proc/self/status": ROOT_STATUS.replace("4321", "7"),
  "/proc/self/mountinfo": `500 400 0:60 / / rw,relatime - overlay overlay rw
501 500 0:61 / /proc rw,nosuid - proc proc rw
506 500 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate
`,
  ...cgroup2("/sys/fs/cgroup", { controllers: "cpuset cpu io memory pids", procs: "1\n7\n", writable: true }),
};

const V1 = ["cpu,cpuacct", "memory", "pids", "blkio", "cpuset", "freezer"];
const v1Mounts = V1.map(
  (names, index) =>
    `${40 + index} 30 0:${40 + index} / /sys/fs/cgroup/${names} rw,nosuid shared:${index} - cgroup cgroup rw,${names}`,
).join("\n");

/** Root on a pure v1 system; the memory group of this shell is limited, the rest is at the roots. */
export const ROOT_V1: Tree = {
  ...USER,
  "/proc/self/status": ROOT_STATUS,
  "/proc/self/cgroup":
    "7:memory:/system.slice/job\n6:pids:/gone\n5:blkio:/\n4:cpuset:/\n3:freezer:/\n2:cpu,cpuacct:/\n1:name=systemd:/x\n",
  "/proc/self/mountinfo": `22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:21 / /proc rw - proc proc rw\n${v1Mounts}\n`,
  ...Object.fromEntries(
    [...V1.map((names) => `/sys/fs/cgroup/${names}`), "/sys/fs/cgroup/memory/system.slice/job"].flatMap(
      (path) => [
        [path, { type: "directory" as const, writable: true }],
        [`${path}/cgroup.procs`, { text: "", writable: true }],
      ],
    ),
  ),
  "/sys/fs/cgroup/memory/system.slice/job/memory.memsw.limit_in_bytes": "1\n",
};
/** The same with an empty v2 hierarchy beside it. */
export const ROOT_HYBRID: Tree = {
  ...ROOT_V1,
  "/proc/self/cgroup": `${textOf(ROOT_V1, "/proc/self/cgroup")}0::/\n`,
  "/proc/self/mountinfo": `${textOf(ROOT_V1, "/proc/self/mountinfo")}60 30 0:60 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n`,
  ...cgroup2("/sys/fs/cgroup/unified", { controllers: "hugetlb", writable: true, root: true }),
};
