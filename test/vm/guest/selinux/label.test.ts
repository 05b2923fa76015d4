/** What SELinux adds: labels that read back, denials that nothing else makes, and sandboxes that cannot reach each other. */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  as,
  cli,
  environment,
  finish,
  giveTo,
  marker,
  processesWith,
  type RunOptions,
  type SandboxRan,
  sandbox,
  sandboxArgv,
  scratch,
  start,
  tool,
  USERS,
  type User,
  written,
} from "../../../live/harness.ts";

// On the disk: this kernel translates no owners on tmpfs, where /tmp is.
process.env["TMPDIR"] = "/var/tmp";

/** One cache of prepared launches for each user: a slow processor compiles a profile once. */
const caches = new Map(USERS.map((user) => [user, scratch(user)]));
const cached = (user: User, options: RunOptions = {}): RunOptions => ({
  ...options,
  env: { XDG_CACHE_HOME: caches.get(user) ?? "", ...options.env },
});
const run = async (user: User, command: readonly string[], options: RunOptions = {}): Promise<SandboxRan> =>
  sandbox(user, command, cached(user, options));

const lsmOf = ({ audit }: SandboxRan) => {
  const decision = audit.find(({ kind, id }) => kind === "decision" && id === "lsm");
  const enforced = audit.find(({ kind, decision: about }) => kind === "enforcement" && about === "lsm");
  return {
    status: decision?.["status"],
    reason: decision?.["reason"],
    actual: enforced?.["actual"],
    matches: enforced?.["matches"],
  };
};

/** The same profile without the label: what still fails then is not SELinux's doing. */
const UNLABELLED = ["--set", '/lsm/type="none"'];
const LABEL_OF_ITSELF = ["/bin/sh", "-c", "tr -d '\\0' < /proc/self/attr/current"];
const LABEL = /^unconfined_u:unconfined_r:sandbox_strict\.payload:s0:c\d+,c\d+,c\d+$/;

describe.each(USERS)("strict, as %s", (user) => {
  it("runs under its module's label with categories of its own, and so is all that it mounts", async () => {
    const paths = "/ /usr /usr/bin/id /etc/passwd /dev /dev/null /dev/pts /tmp /dev/shm";
    const script = `cat /proc/self/attr/current; echo; ls -Zd ${paths}; cat; echo said >&2`;
    const ran = await run(user, ["/bin/sh", "-c", script], { stdin: "through a pipe\n" });
    expect(ran).toMatchObject({ code: 0, stderr: "said\n" });
    const [first = "", ...lines] = ran.stdout.trim().split("\n");
    const label = first.replace("\0", "");
    expect(label).toMatch(LABEL);
    expect(lsmOf(ran)).toEqual({ status: "full", reason: "", actual: label, matches: true });
    const categories = label.slice(label.indexOf(":s0:"));
    const content = `unconfined_u:object_r:sandbox_strict.content${categories}`;
    const writable = `unconfined_u:object_r:sandbox_strict.scratch${categories}`;
    const labels = Object.fromEntries(lines.slice(0, -1).map((line) => line.split(" ").toReversed()));
    expect(labels).toEqual({
      "/": content,
      "/usr": content,
      "/usr/bin/id": content,
      "/etc/passwd": content,
      "/dev": content,
      "/dev/null": "system_u:object_r:null_device_t:s0",
      "/dev/pts": writable,
      "/tmp": writable,
      "/dev/shm": writable,
    });
    expect(lines.at(-1)).toBe("through a pipe");
  });

  it("is refused a file that every other layer shows it, and reads it without the label", async () => {
    const shown = join(scratch(user), "shown");
    mkdirSync(shown);
    writeFileSync(join(shown, "log"), "secret\n");
    writeFileSync(join(shown, "tool"), "tool\n");
    execFileSync("chmod", ["-R", "a+rX", join(shown, "..")]);
    giveTo(user, shown);
    giveTo(user, join(shown, "tool"));
    execFileSync("chcon", ["-t", "usr_t", shown]);
    execFileSync("chcon", ["-t", "var_log_t", join(shown, "log")]);
    execFileSync("chcon", ["-t", "bin_t", join(shown, "tool")]);
    // A program of the system's type may be read and run, and a file of any type be written that was opened by the caller: not both at once.
    const command = [
      "/bin/sh",
      "-c",
      "cat /shown/log; cat /shown/tool; echo more >> /shown/tool && echo written",
    ];
    const flags = ["--bind", `${shown}:/shown:rw`];
    const plain = await run(user, command, { flags: [...flags, ...UNLABELLED] });
    expect(plain).toMatchObject({ code: 0, stdout: "secret\ntool\nwritten\n" });
    const refused = await run(user, command, { flags });
    expect(refused).toMatchObject({ stdout: "tool\nmore\n" });
    expect(refused.stderr).toMatch(
      /^cat: \/shown\/log: Permission denied\n.*: cannot create \/shown\/tool: Permission denied\n$/,
    );
    // A flag changed the profile, so the loaded module is that of other rules, and the decision says so.
    expect(lsmOf(refused)).toMatchObject({ status: "partial", matches: true });
    expect(lsmOf(refused).reason).toContain("has other rules than this profile now");
  });

  it("reaches neither the socket nor a file of another sandbox that runs at the same time, and does without the label", async () => {
    const word = marker();
    const server = `
import socket, sys
open("/tmp/secret", "w").write("secret\\n")
s = socket.socket(socket.AF_UNIX); s.bind("\\0${word}"); s.listen()
print("ready", flush=True); sys.stdin.read()`;
    const client = `
import errno, socket, sys
s = socket.socket(socket.AF_UNIX)
try: s.connect("\\0${word}"); print("connected")
except OSError as e: print(errno.errorcode[e.errno])
print(sys.stdin.read(), end="")`;
    // One network for both, or the socket would be out of reach whatever its label; and the first is to outlive the second's slow start.
    const shared = ["--net", "host", "--set", "/namespaces/network=false", "--timeout", "10m"];
    const tryIt = async (flags: readonly string[]): Promise<string> => {
      const [first, second] = [scratch(user), scratch(user)];
      const options = cached(user, { flags: [...shared, ...flags] });
      const serving = start(sandboxArgv(user, first, ["/usr/bin/python3", "-c", server, word], options), {
        ...options,
        directory: first,
      });
      const closed = new Promise((resolve) => serving.once("close", resolve));
      try {
        await new Promise((resolve) => serving.stdout?.once("data", resolve));
        // The host hands the other one an open file of the first: the payload is the last process with that word.
        const pid = processesWith(word)
          .toSorted((a, b) => a - b)
          .at(-1);
        const secret = openSync(`/proc/${pid}/root/tmp/secret`, "r");
        const [program = "", ...args] = sandboxArgv(
          user,
          second,
          ["/usr/bin/python3", "-c", client],
          options,
        );
        const asking = spawn(program, args, {
          cwd: second,
          env: environment(second, options.env),
          stdio: [secret, "pipe", "pipe"],
          detached: true,
        });
        closeSync(secret);
        return (await finish(asking)).stdout;
      } finally {
        serving.stdin?.end();
        await closed;
      }
    };
    expect(await tryIt(UNLABELLED)).toBe("connected\nsecret\n");
    expect(await tryIt([])).toBe("EACCES\n");
  });
});

it.each(USERS)("what build makes in its working directory is there for the next run, as %s", async (user) => {
  const cwd = scratch(user);
  const first = await run(user, ["/bin/sh", "-c", "echo made > file && ls -Z file"], {
    profile: "build",
    cwd,
  });
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toMatch(/^unconfined_u:object_r:user_tmp_t:s0 file\n$/);
  expect(lsmOf(first)).toMatchObject({ status: "full", matches: true });
  const second = await run(user, ["/bin/cat", "file"], { profile: "build", cwd });
  expect(second).toMatchObject({ code: 0, stdout: "made\n" });
});

it("a payload has no label where its module is not loaded; the decision says how to load it, and it is refused where it is required", async () => {
  const other = ["--set", '/name="other"'];
  const ran = await run("user", ["/bin/true"], { flags: other });
  expect(ran).toMatchObject({ code: 0 });
  expect(lsmOf(ran)).toMatchObject({ status: "none", actual: undefined });
  expect(lsmOf(ran).reason).toContain("sudo semodule -i sandbox_other.cil");
  const refused = await run("user", ["/bin/true"], { flags: [...other, "--set", '/require/lsm="partial"'] });
  expect(refused).toMatchObject({ code: 125, stdout: "" });
  expect(refused.stderr).toContain("the SELinux module of this profile is not loaded");
});

it("a compiled launcher labels its payload too, every run otherwise", async () => {
  const directory = scratch("user");
  const launcher = join(directory, "launcher");
  expect(await tool("user", ["compile", "-o", launcher], { cwd: directory })).toMatchObject({ code: 0 });
  const labels = await Promise.all(
    [1, 2].map(async () =>
      finish(start(as("user", [launcher, "/bin/cat", "/proc/self/attr/current"]), { directory })),
    ),
  );
  const [a, b] = labels.map(({ stdout }) => stdout.replace("\0", ""));
  expect([a, b]).toEqual([expect.stringMatching(LABEL), expect.stringMatching(LABEL)]);
  expect(a).not.toBe(b);
});

it("pipelines, files, shared memory and a terminal work under the label as without it", async () => {
  const script = `
    perl -e 'open(F, ">", "/tmp/f") or die; print F "perl\\n"; close F; link("/tmp/f", "/tmp/g") or die; print \`cat /tmp/g\`'
    find /usr/bin -name 'l*' | sort | head -1 | tr a-z A-Z
    mkdir /dev/shm/d && mv /dev/shm/d /dev/shm/e && ls /dev/shm
    readlink /proc/self/exe; echo y > /dev/null && head -c 1 /dev/zero | wc -c; mkfifo /tmp/p && (echo fifo > /tmp/p & cat /tmp/p)
  `;
  const off = await run("root", ["/bin/sh", "-c", script], { flags: UNLABELLED });
  const on = await run("root", ["/bin/sh", "-c", script]);
  expect(off.stdout).toContain("perl\n/USR/BIN/");
  expect(on).toMatchObject({ code: off.code, stdout: off.stdout, stderr: off.stderr });
  const directory = scratch("root");
  const command = `${process.execPath} ${cli("root")} run --audit ${directory}/log -- sh -c 'cat /proc/self/attr/current; tty; echo typed > /dev/tty'`;
  const relayed = await finish(
    start(["script", "-qec", command, "/dev/null"], { ...cached("root"), directory }),
  );
  expect(relayed).toMatchObject({ code: 0, stdout: expect.stringContaining("typed") });
  expect(relayed.stdout).toContain("sandbox_strict.payload:s0:c");
});

it("labels that the profile names are used as they are; unknown ones are refused", async () => {
  const payload = "unconfined_u:unconfined_r:sandbox_build.payload:s0:c1,c2";
  const mounts = "unconfined_u:object_r:sandbox_build.scratch:s0:c1,c2";
  const flags = ["--set", `/lsm/selinuxLabel="${payload}"`, "--set", `/lsm/mountLabel="${mounts}"`];
  const ran = await run("root", ["/bin/sh", "-c", "cat /proc/self/attr/current; echo; ls -Zd /tmp"], {
    flags,
  });
  expect(ran.stdout.replace("\0", "")).toBe(`${payload}\n${mounts} /tmp\n`);
  expect(lsmOf(ran)).toMatchObject({ status: "full", actual: payload, matches: true });
  const unknown = await run("root", ["/bin/true"], {
    flags: ["--set", '/lsm/selinuxLabel="a_u:b_r:c_t:s0"'],
  });
  expect(unknown).toMatchObject({ code: 125 });
  expect(unknown.stderr).toContain("the loaded SELinux policy does not know the label a_u:b_r:c_t:s0");
});

it("a permissive host has a label that holds nothing, and the decision says none", async () => {
  execFileSync("setenforce", ["0"]);
  try {
    const ran = await run("root", ["/bin/true"]);
    expect(ran).toMatchObject({ code: 0 });
    expect(lsmOf(ran)).toMatchObject({ status: "none", matches: true });
  } finally {
    execFileSync("setenforce", ["1"]);
  }
});

it("a domain that the policy made permissive by itself is refused nothing, the decision says none, and it is refused where it is required", async () => {
  const shown = join(scratch("root"), "shown");
  mkdirSync(shown);
  writeFileSync(join(shown, "log"), "secret\n");
  execFileSync("chmod", ["-R", "a+rX", join(shown, "..")]);
  execFileSync("chcon", ["-R", "-t", "var_log_t", shown]);
  const lenient = ["--set", '/name="lenient"'];
  const own = await run("root", ["/bin/true"], { flags: lenient });
  expect(own).toMatchObject({ code: 0 });
  expect(lsmOf(own)).toMatchObject({ status: "none", matches: true });
  expect(lsmOf(own).reason).toMatch(/^the loaded policy has made this domain permissive/);
  const flags = ["--bind", `${shown}:/shown`];
  // The same rules, but for that one word: what they refuse there, they let through here.
  const held = await run("root", ["/bin/cat", "/shown/log"], { flags });
  expect(held).toMatchObject({ code: 1, stderr: "/bin/cat: /shown/log: Permission denied\n" });
  const passed = await run("root", ["/bin/cat", "/shown/log"], { flags: [...flags, ...lenient] });
  expect(passed).toMatchObject({ code: 0, stdout: "secret\n" });
  const named = ["--set", '/lsm/selinuxLabel="unconfined_u:unconfined_r:sandbox_lenient.payload:s0"'];
  for (const refused of [lenient, named]) {
    const ran = await run("user", ["/bin/true"], { flags: [...refused, "--set", '/require/lsm="partial"'] });
    expect(ran).toMatchObject({ code: 125, stdout: "" });
    expect(ran.stderr).toContain("the loaded policy has made this domain permissive");
  }
});

it("in another pid namespace, where monitors may have equal pids and labels, the decision is partial", async () => {
  const labels = await Promise.all(
    [1, 2].map(async () => {
      const directory = scratch("root");
      // The same pids are given in both, one after the other.
      const argv = sandboxArgv("root", directory, LABEL_OF_ITSELF, cached("root"));
      const own = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--", ...argv];
      return { ...(await finish(start(own, { ...cached("root"), directory }))), ...written(directory) };
    }),
  );
  for (const ran of labels) {
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringMatching(LABEL) });
    const decision = ran.audit.find(({ kind, id }) => kind === "decision" && id === "lsm");
    expect(decision).toMatchObject({
      status: "partial",
      reason: expect.stringContaining("not the first pid namespace"),
    });
  }
});
