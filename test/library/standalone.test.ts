/** Compiled launchers: files that need nothing of ours at run time, started as shells, cron and other programs start things. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { need } from "../host/needs.ts";
import { eventually, marker, processesWith, sandboxCgroups } from "../live/harness.ts";
import { make, problemsOf, scratch } from "./support.ts";

const PYTHON = "/usr/bin/python3";

/** A launcher in a file: without a command of its own when `argv` is null. */
async function launcher(
  argv: readonly string[] | null = null,
  values: Readonly<Record<string, unknown>> = {},
  profile = "strict",
): Promise<string> {
  const { sandbox, directory } = await make(values, { profile, mode: "standalone", audit: { file: null } });
  const { image } = await sandbox.compile(argv);
  const file = join(directory, "launcher");
  writeFileSync(file, image, { mode: 0o755 });
  return file;
}

const strict = await launcher();
const start = (args: readonly string[], options: Parameters<typeof spawnSync>[2] = {}) =>
  spawnSync(strict, args, { timeout: 10_000, ...options, encoding: "utf8" });

/** The end of a child, and what it wrote. */
function finish(child: ChildProcess): Promise<{ readonly code: number | null; readonly stdout: string }> {
  let stdout = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  return new Promise((done, failed) => {
    child.once("error", failed);
    child.once("close", (code) => done({ code, stdout }));
  });
}

describe.each(["strict", "standard"])("a launcher of %s", (profile) => {
  test("takes its command from its arguments", async () => {
    const file = await launcher(null, {}, profile);
    const ran = spawnSync(file, ["/usr/bin/id", "-u"], { encoding: "utf8" });
    expect(ran).toMatchObject({ status: 0, stdout: "1000\n", stderr: "" });
  });

  test("with a command of its own passes its arguments on after it", async () => {
    const file = await launcher(["echo", "a", "b c"], {}, profile);
    expect(spawnSync(file, [], { encoding: "utf8" }).stdout).toBe("a b c\n");
    expect(spawnSync(file, ["d  e"], { encoding: "utf8" }).stdout).toBe("a b c d  e\n");
  });
});

describe("the exit status is", () => {
  test.each([
    ["the payload's", ["sh", "-c", "exit 7"], 7],
    ["128 and the signal", ["sh", "-c", "kill -9 $$"], 137],
    ["126 for what cannot be executed", ["/etc/passwd"], 126],
    ["127 for what is not there", ["no-such-program"], 127],
    ["127 for no command", [], 127],
  ])("%s", (_what, args, status) => {
    expect(start(args).status).toBe(status);
  });

  test("124 after its wall time", async () => {
    const file = await launcher(["sleep", "30"], { "/resources/wallTime": "300ms" });
    const ran = spawnSync(file, [], { encoding: "utf8", timeout: 10_000 });
    expect(ran.status).toBe(124);
    expect(ran.stderr).toContain("wall-time limit");
  });
});

describe("started in an unfriendly way", () => {
  const shell = (script: string) =>
    spawnSync("/bin/sh", ["-c", script, strict], { encoding: "utf8", timeout: 10_000 });

  test.each([
    ["without standard input", "$0 sh -c 'cat; echo read' <&-", /^read\n$/, 0],
    ["without standard output", "$0 sh -c 'exit 5' >&-", /^$/, 5],
    ["without any", "$0 sh -c 'exit 5' <&- >&- 2>&-", /^$/, 5],
    ["from another directory", "cd / && $0 pwd", /^\/\n$/, 0],
    [
      "with a umask that forbids everything",
      "umask 777; $0 sh -c 'cat /etc/hostname >&2; cat /etc/passwd | wc -l'",
      /^[1-9]/,
      0,
    ],
    ["with open descriptors", "exec 9</etc/passwd; $0 sh -c 'ls /proc/self/fd' | wc -l", /^4\n$/, 0],
    ["without an environment", "env -i $0 env | sort", /^HOME=.*\nPATH=.*\n$/, 0],
  ])("%s", (_how, script, stdout, status) => {
    const ran = shell(script);
    expect(ran).toMatchObject({ status, stderr: expect.any(String) });
    expect(ran.stdout).toMatch(stdout);
  });

  test("with every signal ignored and blocked it still ends, and the payload has neither", (context) => {
    need(context, spawnSync(PYTHON, ["-c", ""]).status === 0, "python3 is not installed");
    const script = [
      "import os, signal, sys",
      "for s in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(s, signal.SIG_IGN)",
      "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
      "os.execv(sys.argv[1], [sys.argv[1], 'grep', '-E', 'Sig(Blk|Ign)', '/proc/self/status'])",
    ].join("\n");
    const ran = spawnSync(PYTHON, ["-c", script, strict], { encoding: "utf8", timeout: 10_000 });
    expect(ran).toMatchObject({
      status: 0,
      stdout: "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
    });
  });

  test("with 20,000 arguments and one of 100 kB passes them all", () => {
    const args = [
      "sh",
      "-c",
      "echo $# ${#1}",
      "x",
      "a".repeat(100_000),
      ...Array.from({ length: 20_000 }, () => "b"),
    ];
    expect(start(args).stdout).toBe("20001 100000\n");
  });

  test("with a large environment passes none of it", () => {
    const env = { BIG: "b".repeat(100_000), PATH: "/nowhere" };
    expect(start(["sh", "-c", "echo ${#BIG} $PATH"], { env }).stdout).toBe("0 /usr/bin:/bin\n");
  });
});

describe("signals", () => {
  test.each(["SIGTERM", "SIGHUP", "SIGUSR1"] as const)("%s reaches the payload", async (signal) => {
    const script = `trap 'echo got; exit 9' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`;
    const child = spawn(strict, ["sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.once("data", () => child.kill(signal));
    expect(await finish(child)).toEqual({ code: 9, stdout: "ready\ngot\n" });
  });

  test("SIGKILL of the launcher leaves no process", async () => {
    const word = marker();
    const child = spawn(strict, ["sh", "-c", `echo ready; sleep 300; : ${word}`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.once("data", () => child.kill("SIGKILL"));
    await finish(child);
    expect(await eventually(() => processesWith(word).length === 0, 3000)).toBe(true);
  });
});

test("20 at once each say their own, and leave no process and no cgroup", async () => {
  const word = marker();
  const before = new Set(sandboxCgroups());
  const children = Array.from({ length: 20 }, (_, index) =>
    spawn(strict, ["sh", "-c", `sleep 300 & echo ${index}; : ${word}`], {
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  const pids = children.map(({ pid }) => pid);
  const ran = await Promise.all(children.map(finish));
  expect(ran).toEqual(children.map((_, index) => ({ code: 0, stdout: `${index}\n` })));
  expect(processesWith(word)).toEqual([]);
  const left = sandboxCgroups().filter((path) => !before.has(path));
  expect(left.filter((path) => pids.some((pid) => path.includes(`sandbox-${pid}-`)))).toEqual([]);
});

describe("what a launcher cannot do is refused when it is compiled", () => {
  // An ordinary user's range is in /etc/subuid, and claimed by nobody.
  const claimed = ["a claimed range of ids", { "/identity/map": "subordinate" }, "strict"] as const;
  test.each([...(process.getuid?.() === 0 ? [claimed] : []), ["counting output", {}, "judge"] as const])(
    "%s",
    async (_what, values, profile) => {
      const problems = await problemsOf(launcher(null, values, profile));
      expect(problems.length).toBeGreaterThan(0);
      for (const { where } of problems) expect(where.kind).not.toBe("default");
    },
  );

  test("a closure of no command, but not that of one", async () => {
    const values = { "/filesystem/root": { type: "closure" } };
    expect((await problemsOf(launcher(null, values))).map(({ kind }) => kind)).toEqual(["command-missing"]);
    const file = await launcher(["ls", "/usr/bin"], values);
    expect(spawnSync(file, [], { encoding: "utf8" }).stdout).toBe("ls\n");
  });
});

test("a launcher of build has the working directory of its making, writable", async () => {
  const directory = scratch();
  mkdirSync(join(directory, "sub"));
  const { sandbox } = await make(
    {},
    { profile: "build", mode: "standalone", audit: { file: null }, cwd: directory },
  );
  const { image } = await sandbox.compile(["sh", "-c", "pwd; echo made > sub/file && cat sub/file"]);
  const file = join(directory, "launcher");
  writeFileSync(file, image, { mode: 0o755 });
  expect(spawnSync(file, [], { cwd: "/", encoding: "utf8" })).toMatchObject({
    stdout: `${directory}\nmade\n`,
    status: 0,
  });
});

test("an aarch64 launcher fails closed where its emulator cannot make the namespaces", async (context) => {
  const emulator = "/usr/bin/qemu-aarch64-static";
  need(context, existsSync(emulator), "qemu-user-static is not installed");
  const { sandbox, directory } = await make(
    { "/require/resources": "none" },
    { mode: "standalone", arch: "aarch64", audit: { file: null } },
  );
  const { image } = await sandbox.compile(["/bin/echo", "not sandboxed"]);
  const file = join(directory, "launcher");
  writeFileSync(file, image, { mode: 0o755 });
  // User-mode emulation has one process for monitor and init: it refuses every clone with new namespaces.
  const ran = spawnSync(emulator, [file], { encoding: "utf8", timeout: 15_000 });
  expect(ran).toMatchObject({ status: 125, stdout: "" });
  expect(ran.stderr).toContain("EINVAL");
});
