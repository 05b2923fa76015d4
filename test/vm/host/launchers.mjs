/**
 * Launchers for another architecture: compiled here for facts that describe the guest, run there without Node under its busybox,
 * judged here by what the sandboxed programs said. What a case shows to be refused is first done without a sandbox, so
 * that the refusal means something.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const WHERE = "/project/run/launchers";

/** A recorded machine with what is so in the guest: Linux 6.1, a root of busybox alone, no AppArmor or SELinux. */
function guestFacts(recorded) {
  const facts = JSON.parse(readFileSync(join(PROJECT, `test/golden/hosts/${recorded}.json`), "utf8"));
  return {
    ...facts,
    arch: "aarch64",
    kernel: { release: "6.1.0-arm64", major: 6, minor: 1 },
    lsms: ["lockdown", "capability", "landlock", "yama"],
    lsm: { apparmor: null, selinux: null },
    landlockAbi: 2,
    cpus: 2,
    systemEtc: {},
    timezone: null,
  };
}

/** NAME → what it is compiled from. */
const LAUNCHERS = {
  strict: {
    host: "aarch64-root-v2",
    profile: "strict",
    values: { "/resources/memory": "64M", "/resources/pids": 24 },
  },
  standard: { host: "aarch64-root-v2", profile: "standard", values: {} },
  second: { host: "aarch64-root-v2", profile: "strict", values: { "/resources/wallTime": "1s" } },
  person: { host: "user-no-delegation", profile: "strict", values: {} },
};

const STATUS = "/^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):/";
const NAMESPACES = "user mnt pid net ipc uts cgroup";
/** What a shell tries, and how busybox says that it was refused. */
const ATTEMPTS = [
  ["mount -t tmpfs none /tmp", "mount: permission denied (are you root?)"],
  ["hostname evil", "Operation not permitted"],
  // Landlock, which is asked before the capability is.
  ["mknod /tmp/node c 1 3", "Permission denied"],
  ["chroot / true", "Operation not permitted"],
  ["unshare -m true", "Operation not permitted"],
  ["unshare -U true", "Operation not permitted"],
  ["date -s 2031-01-01", "can't set date: Operation not permitted"],
];

const identity = `for n in ${NAMESPACES}; do echo "$n $(readlink /proc/self/ns/$n)"; done; awk '${STATUS}' /proc/self/status`;
const attempts = ATTEMPTS.map(([line]) => `said=$(${line} 2>&1 >/dev/null); echo "${line}: $? $said"`).join(
  "; ",
);

/** In the order in which the guest runs them: what it says of itself comes before what sandboxes are compared with. */
const CASES = [
  {
    name: "the guest is an aarch64 machine with cgroup v2, and root there has every capability",
    script: `uname -m; cat /sys/fs/cgroup/cgroup.controllers; ${identity}`,
    check: ({ status, stdout }, seen) => {
      seen.outside = fields(stdout);
      return [
        same("status", status, 0),
        has("machine", stdout, "aarch64\n"),
        has("controllers", stdout, "memory"),
        same("capabilities", seen.outside.CapEff, "000001ffffffffff"),
      ];
    },
  },
  {
    name: "without a sandbox, in namespaces of its own, root does what a sandbox will refuse",
    script: `exec unshare -m -u sh -c ${quote(attempts)}`,
    check: ({ stdout }) => ATTEMPTS.map(([line]) => has("done", stdout, `${line}: 0 \n`)),
  },
  ...["strict", "standard", "person"].map((launcher) => ({
    name: `${launcher}: namespaces, capabilities, ids, no_new_privs and the filter are the sandbox's own`,
    launcher,
    argv: ["/bin/sh", "-c", identity],
    check: ({ status, stdout }, { outside }) => {
      const inside = fields(stdout);
      return [
        same("status", status, 0),
        ...NAMESPACES.split(" ").map((name) => differs(name, inside[name], outside[name])),
        ...["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((set) =>
          same(set, inside[set], "0000000000000000"),
        ),
        same("NoNewPrivs", inside.NoNewPrivs, "1"),
        same("Seccomp", inside.Seccomp, "2"),
        same("Uid", inside.Uid, "1000\t1000\t1000\t1000"),
        same("Gid", inside.Gid, "1000\t1000\t1000\t1000"),
      ];
    },
  })),
  ...["strict", "person"].map((launcher) => ({
    name: `${launcher}: mounts, devices, host names, namespaces and clocks are out of reach`,
    launcher,
    argv: ["/bin/sh", "-c", attempts],
    check: ({ stdout }) =>
      ATTEMPTS.map(([line, refusal]) => {
        const said = stdout.split("\n").find((each) => each.startsWith(`${line}: `)) ?? "";
        return has(line, said, refusal);
      }),
  })),
  {
    name: "strict: the root is read-only, /tmp is writable and executes nothing, and the host's tree is gone",
    launcher: "strict",
    argv: [
      "/bin/sh",
      "-c",
      "touch /x; touch /usr/x; touch /tmp/x && echo written; cp /bin/busybox /tmp/busybox; /tmp/busybox true; ls /; ls /project",
    ],
    check: ({ stdout, stderr }) => [
      has("root", stderr, "/x: Read-only file system"),
      has("usr", stderr, "/usr/x: Read-only file system"),
      has("tmp", stdout, "written\n"),
      has("noexec", stderr, "/tmp/busybox: Permission denied"),
      has("project", stderr, "/project: No such file or directory"),
      lacks("root", stdout, "project"),
    ],
  },
  {
    name: "strict: nothing but pid 1 and its own processes are seen, and no descriptor or variable of the host",
    launcher: "strict",
    prefix: "exec 7</etc/passwd; SECRET=1; export SECRET;",
    argv: [
      "/bin/sh",
      "-c",
      "set -- /proc/[0-9]*; echo $#; ls /proc/self/fd | tr '\\n' ' '; env | sort | tr '\\n' ' '",
    ],
    check: ({ stdout }) => [
      // pid 1 and the shell.
      same("processes", stdout.split("\n")[0], "2"),
      has("descriptors", stdout, "\n0 1 2 3 "),
      lacks("environment", stdout, "SECRET"),
    ],
  },
  ...[
    ["the payload's", ["/bin/sh", "-c", "exit 7"], 7],
    ["128 and the signal", ["/bin/sh", "-c", "kill -9 $$"], 137],
    ["126 for what cannot be executed", ["/usr"], 126],
    ["127 for what is not there", ["no-such-program"], 127],
    ["127 for no command", [], 127],
  ].map(([what, argv, expected]) => ({
    name: `strict: the exit status is ${String(what)}`,
    launcher: "strict",
    argv,
    check: ({ status }) => [same("status", status, expected)],
  })),
  {
    name: "strict: a program is found in PATH, gets its arguments as they are, and what it reads is what it is given",
    launcher: "strict",
    prefix: "echo input |",
    argv: ["sh", "-c", 'cat; printf "[%s]" "$@"', "sh", "a", "b  c", "", "ü"],
    check: ({ status, stdout }) => [
      same("status", status, 0),
      same("stdout", stdout, "input\n[a][b  c][][ü]"),
    ],
  },
  {
    name: "second: wall time ends what ignores every signal and has hidden its children, with 124",
    launcher: "second",
    argv: ["/bin/sh", "-c", "trap '' TERM INT HUP; (setsid sleep 77 &); while :; do sleep 77; done"],
    suffix: "; status=$?; pidof sleep && echo alive; exit $status",
    check: ({ status, stdout, stderr }) => [
      same("status", status, 124),
      has("said", stderr, "wall-time limit"),
      same("left", stdout, ""),
    ],
  },
  ...[
    ["TERM", 143],
    ["KILL", 137],
  ].map(([signal, expected]) => ({
    name: `strict: SIG${String(signal)} to the launcher ends the sandbox, and no process of it lives on`,
    // A launcher that is killed cannot remove its cgroup: that it is empty is what there is to show.
    script: `${WHERE}/strict /bin/sh -c 'sleep 66 & sleep 66' & sleep 3; kill -s ${String(signal)} $!; wait $!; status=$?
      sleep 1; pidof sleep; [ ${String(signal)} = KILL ] && rmdir /sys/fs/cgroup/sandbox-*; exit $status`,
    check: ({ status, stdout, stderr }) => [
      same("status", status, expected),
      same("processes", stdout, ""),
      lacks("cgroup", stderr, "rmdir"),
    ],
  })),
  {
    name: "strict: memory beyond the limit is killed",
    launcher: "strict",
    argv: ["/bin/sh", "-c", "tail /dev/zero; echo status $?"],
    check: ({ stdout }) => [has("killed", stdout, "status 137")],
  },
  {
    name: "strict: forks stop at the limit",
    launcher: "strict",
    argv: ["/bin/sh", "-c", "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo all"],
    check: ({ stdout, stderr }) => [lacks("forks", stdout, "all"), has("refused", stderr, "can't fork")],
  },
];

/**
 * Writes the launchers and the cases into a directory of the project's image.
 * @param {string} directory
 */
export async function compileLaunchers(directory) {
  mkdirSync(join(directory, "cases"), { recursive: true });
  const { Preparation } = await import(join(PROJECT, "dist/prepare.js"));
  for (const [name, { host, profile, values }] of Object.entries(LAUNCHERS)) {
    const overrides = Object.entries(values).map(([pointer, value]) => ({
      pointer,
      value,
      source: { kind: "option", option: "test" },
    }));
    const preparation = await Preparation.open({
      request: { profile, overrides, cwd: "/" },
      host: guestFacts(host),
      mode: "standalone",
      cache: null,
    });
    const { image } = await preparation.launcher(null);
    writeFileSync(join(directory, name), image, { mode: 0o755 });
  }
  for (const [index, each] of CASES.entries())
    writeFileSync(join(directory, "cases", String(index).padStart(2, "0")), `${scriptOf(each)}\n`);
}

function scriptOf({ script, launcher, argv, prefix = "", suffix = "" }) {
  if (script !== undefined) return script;
  const command = [`${WHERE}/${launcher}`, ...argv].map(quote).join(" ");
  const started = launcher === "person" ? `su -s /bin/sh person -c ${quote(command)}` : command;
  return `${prefix} ${started}${suffix}`;
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

const seen = {};

/** A test's message of what a case did: no complaint is a pass. */
export function judge({ name, status, ...encoded }) {
  const { check, name: title } = CASES[Number(name)];
  const [stdout, stderr, left] = ["stdout", "stderr", "left"].map((key) =>
    Buffer.from(encoded[key], "base64").toString(),
  );
  const complaints = check({ status, stdout, stderr }, seen).filter(
    (complaint) => typeof complaint === "string",
  );
  if (left !== "") complaints.push(`it left ${left}`);
  const errors =
    complaints.length === 0
      ? []
      : [...complaints, `status ${status}`, `stdout ${stdout}`, `stderr ${stderr}`];
  return { kind: "test", name: title, state: errors.length === 0 ? "passed" : "failed", errors };
}

const show = (value) => JSON.stringify(value) ?? "nothing";
const same = (what, actual, expected) =>
  actual === expected ? null : `${what} is ${show(actual)}, not ${show(expected)}`;
const differs = (what, actual, other) =>
  actual !== undefined && actual !== other ? null : `${what} is ${show(actual)}, as outside`;
const has = (what, text, part) => (text.includes(part) ? null : `${what}: there is no ${show(part)}`);
const lacks = (what, text, part) => (text.includes(part) ? `${what}: there is ${show(part)}` : null);

/** "NAME VALUE" and "NAME:\tVALUE" lines. */
function fields(text) {
  return Object.fromEntries(
    text.split("\n").map((line) => {
      const cut = line.search(/[: ]/);
      return [line.slice(0, cut), line.slice(cut + 1).trim()];
    }),
  );
}
