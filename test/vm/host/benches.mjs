/**
 * What is booted, and which tests run there: the one table of the bench. A bench is one boot of one machine.
 *
 * Machines differ in architecture and kernel package; benches of one machine share its root image and differ in what
 * the kernel is told and in the test files. `test/vm/guest/NAME` holds the tests of the bench NAME; what else is listed
 * are tests of this machine's own suite that are worth a second kernel.
 */

/**
 * @typedef {object} Machine
 * @property {string} architecture - Debian's name.
 * @property {string} emulator - The program of QEMU, and the Debian package that has it.
 * @property {string} emulatorPackage
 * @property {readonly string[]} emulatorArguments
 * @property {readonly string[]} emulatorPorts - Serial ports, on the character devices `console` and `results`.
 * @property {string} kernelPackage - A Debian package that depends on the newest kernel image.
 * @property {string} console - The kernel's name of the first serial port.
 * @property {string} port - of the second one.
 * @property {readonly string[]} kernelArguments - For every boot of it.
 * @property {string} shell - What runs /sbin/boot.
 * @property {boolean} foreign - Nothing of the machine that boots it runs there: no Node, so no vitest.
 * @property {readonly string[]} packages - Debian packages of the root image.
 * @property {string} [policyModules] - The root image has Debian's SELinux policy, with the CIL modules of this directory.
 * @property {string} [permissiveModule] - and with that of \`strict\` once more, under this name and permissive.
 */

const words = (text) => text.trim().split(/\s+/);

/** What every guest has that runs Node. */
const SYSTEM = words(`
  base-files bash bsdutils dash coreutils findutils grep sed procps util-linux mount login passwd uidmap kmod busybox-static
  libc-bin libseccomp2 libstdc++6 perl-base python3-minimal
  apparmor`);

/** What people start in sandboxes. */
const TOOLS = words("python3 git make gcc libc6-dev strace openssl tar gzip diffutils");

/** @type {Machine} */
const amd64 = {
  architecture: "amd64",
  emulator: "qemu-system-x86_64",
  emulatorPackage: "qemu-system-x86",
  // Without what is emulated slowly: copying byte by byte, a switch around each access to user memory, deeper page tables.
  emulatorArguments: ["-cpu", "max,-erms,-fsrm,-smap,-la57"],
  kernelPackage: "linux-image-cloud-amd64",
  kernelArguments: [
    // The kernel's test whether timer interrupts arrive panics in an emulator that is starved at that moment.
    "no_timer_check",
    // Memory is not written twice, nor looked at once more when it is copied; no waiting for other processors. A fifth of the time.
    ...words("init_on_alloc=0 transparent_hugepage=never hardened_usercopy=off rcupdate.rcu_expedited=1"),
  ],
  emulatorPorts: ["-serial", "chardev:console", "-serial", "chardev:results"],
  console: "ttyS0",
  port: "ttyS1",
  shell: "/bin/dash",
  foreign: false,
  packages: [...SYSTEM, ...TOOLS],
};

/** @type {Readonly<Record<string, Machine>>} */
export const MACHINES = {
  amd64,
  selinux: {
    ...amd64,
    packages: [
      ...SYSTEM,
      ...words("selinux-policy-default selinux-utils policycoreutils secilc checkpolicy"),
    ],
    policyModules: "test/golden/selinux",
    permissiveModule: "lenient",
  },
  arm64: {
    architecture: "arm64",
    emulator: "qemu-system-aarch64",
    emulatorPackage: "qemu-system-arm",
    emulatorArguments: words("-machine virt -cpu max,pauth-impdef=on"),
    emulatorPorts: words("-serial chardev:console -device pci-serial,chardev=results"),
    kernelPackage: "linux-image-cloud-arm64",
    kernelArguments: [],
    console: "ttyAMA0",
    port: "ttyS0",
    shell: "/bin/busybox sh",
    foreign: true,
    packages: ["busybox-static"],
  },
};

/**
 * @typedef {object} Bench
 * @property {string} machine - one of MACHINES.
 * @property {string} about - One line for --list and for the report.
 * @property {readonly string[]} kernelArguments
 * @property {readonly string[]} [tests] - Test files or directories, from the top of the project.
 * @property {Readonly<Record<string, string>>} [leftOut] - Tests of those files that are not run, by a part of their names, and why.
 * @property {boolean} [launchers] - Instead of tests: launchers that this machine compiled, see launchers.mjs.
 * @property {number} [processors] - One is enough for most, and cheapest: two that wait for each other on a busy machine cost a third more.
 * @property {number} limit - Seconds of processor time for the whole boot, several times what it takes.
 */

const liveTests = (names) => words(names).map((name) => `test/live/${name}.test.ts`);

const BEFORE_THE_KERNEL = "refused before any kernel is asked";

/**
 * The longest first.
 * @type {Readonly<Record<string, Bench>>}
 */
export const BENCHES = {
  live: {
    machine: "amd64",
    about:
      "test/live, unchanged, by root and by an ordinary user: what holds in a sandbox; no security module",
    // Where AppArmor refuses first, it is another errno: the tests name those of the mounts and the filter.
    kernelArguments: ["apparmor=0"],
    tests: liveTests("view hygiene death attempts limits neighbours hostile-root landlock"),
    leftOut: { "alone a symbolic link out": "each by itself; all of them at once are tried" },
    limit: 3600,
  },
  callers: {
    machine: "amd64",
    about: "test/live, unchanged, by root and by an ordinary user: what people get who call it",
    kernelArguments: ["apparmor=0"],
    tests: liveTests("terminal tools audit-failure kept-writes"),
    leftOut: {
      "java: version": "Java is half a gigabyte, and takes minutes there",
      "sort of a million lines": "half a minute that asks little of a kernel",
    },
    limit: 3600,
  },
  promises: {
    machine: "amd64",
    about:
      "test/live, unchanged, by root and by an ordinary user: what the command line promises to scripts and odd callers",
    kernelArguments: ["apparmor=0"],
    tests: liveTests("semantics odd-hosts"),
    leftOut: {
      "an id of": BEFORE_THE_KERNEL,
      "values that look like options": BEFORE_THE_KERNEL,
      "125 for wrong arguments": BEFORE_THE_KERNEL,
      "a sysctl cannot be smuggled in": BEFORE_THE_KERNEL,
    },
    limit: 3600,
  },
  v2: {
    machine: "amd64",
    about: "pure cgroup v2: every limit, in root's tree, delegated and not; and what hostile programs try",
    kernelArguments: ["security=apparmor"],
    tests: ["test/vm/guest/v2/"],
    // What a cpuset keeps from a program must be there.
    processors: 2,
    limit: 900,
  },
  apparmor: {
    machine: "amd64",
    about: "AppArmor is the host's LSM",
    kernelArguments: ["security=apparmor"],
    tests: ["test/vm/guest/apparmor/"],
    limit: 900,
  },
  selinux: {
    machine: "selinux",
    about: "SELinux is the host's LSM, enforcing Debian's policy",
    kernelArguments: ["security=selinux"],
    tests: ["test/vm/guest/selinux/"],
    limit: 900,
  },
  arm64: {
    machine: "arm64",
    about: "aarch64: launchers that this machine compiled, without Node",
    kernelArguments: ["security=apparmor"],
    launchers: true,
    limit: 900,
  },
};
