/** Roles as processes: spawned, supervised, executed; signals, time, and what is left behind. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Arch } from "../../src/host/facts.ts";
import { ERRNO } from "../../src/program/errno.ts";
import { FLAGS } from "../../src/program/program.ts";
import {
  ALL_SIGNALS,
  ARCHES,
  available,
  blockSignals,
  call,
  type DraftProgram,
  type DraftStep,
  exit,
  NATIVE,
  program,
  type RunOptions,
  result,
  run,
  scratch,
  start,
  until,
  value,
  which,
} from "./harness.ts";

const supervise = (child: string, reap: "all" | "child" = "child"): DraftStep => ({
  kind: "supervise",
  id: `${child}.supervise`,
  child: result(child),
  reap,
});
const spawnRole = (role: "init" | "payload", flags = 0n): DraftStep => ({
  kind: "spawn",
  id: role,
  role,
  flags,
});
const unblock = (): DraftStep =>
  call("rt_sigprocmask", [value(2), { kind: "data", name: "none" }, value(0), value(8)]);
const NONE = { name: "none", hex: "0000000000000000" } as const;

interface Shape {
  readonly exec?: Partial<Extract<DraftStep, { kind: "exec" }>>;
  readonly environment?: { set?: readonly string[]; pass?: readonly string[] };
  readonly monitor?: readonly DraftStep[];
  readonly init?: readonly DraftStep[];
  readonly payload?: readonly DraftStep[];
  readonly flags?: bigint;
}

/** monitor → init → payload, which executes the command. */
function sandbox(arch: DraftProgram["arch"], shape: Shape = {}, more: Partial<DraftProgram> = {}) {
  return program({
    ...(arch === undefined ? {} : { arch }),
    data: [ALL_SIGNALS, NONE],
    monitor: [
      blockSignals(),
      spawnRole("init", shape.flags),
      ...(shape.monitor ?? []),
      supervise("init"),
      { kind: "report" },
      exit("outcome"),
    ],
    init: [spawnRole("payload"), ...(shape.init ?? []), supervise("payload", "all"), exit(0)],
    payload: [
      ...(shape.payload ?? [call("setsid", [])]),
      unblock(),
      { kind: "environment", set: shape.environment?.set ?? [], pass: shape.environment?.pass ?? [] },
      { kind: "exec", id: "exec", path: null, search: ["/usr/bin", "/bin"], argv: null, ...shape.exec },
    ],
    ...more,
  });
}

const runStep = (path: string, ...argv: string[]): DraftStep => ({
  kind: "run",
  id: "run",
  path,
  argv: argv.map((text) => ({ text })),
});

const one = (arch: Arch, first: DraftStep) =>
  run(
    program({
      arch,
      buffers: [{ name: "x", size: 8 }],
      data: [ALL_SIGNALS],
      monitor: [blockSignals(), first, exit(9)],
    }),
    { env: { A: "b" } },
  );

describe.each(ARCHES)("%s", (arch) => {
  const go = (argv: readonly string[], shape: Shape = {}, options: RunOptions = {}) =>
    run(sandbox(arch, shape), { argv, ...options });

  test.each([0, 1, 42, 255])("the payload's exit status %i is the launcher's", async (code) => {
    const ended = await go(["sh", "-c", `exit ${code}`]);
    expect(ended).toMatchObject({ code, stderr: "", failed: null });
    expect(ended.header("flags")).toBe(FLAGS.execReached | FLAGS.payloadEnded | FLAGS.initEnded);
    expect(ended.header("payloadStatus")).toBe(code << 8);
    expect(ended.header("initStatus")).toBe(0);
  });

  test("a payload ended by a signal gives 128 + its number", async () => {
    const ended = await go(["sh", "-c", "kill -KILL $$"]);
    expect(ended.code).toBe(137);
    expect(ended.header("payloadStatus") & 0x7f).toBe(9);
  });

  test("arguments arrive unchanged, empty ones and non-ASCII ones too", async () => {
    const ended = await go(["printf", "[%s]", "", "a b", "ü€", "--"]);
    expect(ended.stdout).toBe("[][a b][ü€][--]");
  });

  test("constants come before the launcher's arguments", async () => {
    const ended = await go(["x", "y"], { exec: { path: "/usr/bin/printf", argv: ["printf", "<%s>", "c"] } });
    expect(ended.stdout).toBe("<c><x><y>");
    const none = await go([], { exec: { path: "/usr/bin/printf", argv: ["printf", "<%s>", "c"] } });
    expect(none.stdout).toBe("<c>");
  });

  test("the environment is what is set, and of the own one what is named and not set", async () => {
    const env = { KEEP: "kept", SECRET: "no", BOTH: "own", KEEPER: "no", EMPTY: "" };
    const ended = await go(
      ["env"],
      { environment: { set: ["BOTH=set", "PATH=/x"], pass: ["EMPTY", "MISSING", "BOTH", "KEEP", "KEEP"] } },
      { env },
    );
    expect(ended.stdout).toBe("BOTH=set\nPATH=/x\nEMPTY=\nKEEP=kept\n");
  });

  test("a thousand variables passed do not overflow anything", async () => {
    const env = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`V${index}`, `${index}`]));
    const ended = await go(["env"], { environment: { pass: Object.keys(env) } }, { env });
    expect(ended.stdout.trim().split("\n").toSorted()).toEqual(
      Object.entries(env)
        .map(([name, text]) => `${name}=${text}`)
        .toSorted(),
    );
  });

  test("a missing command is 127, said with its name", async () => {
    const ended = await go(["no-such-command"]);
    expect(ended).toMatchObject({
      code: 127,
      stderr: "sandbox: no-such-command: not found (ENOENT)\n",
      failed: null,
    });
    expect(ended.header("execErrno")).toBe(ERRNO.ENOENT);
    expect(ended.cell("exec")).toBe(-2n);
    expect((await go([scratch("none")])).code).toBe(127);
    expect((await go(["/etc/passwd/x"])).stderr).toBe("sandbox: /etc/passwd/x: not found (ENOTDIR)\n");
    expect((await go([""])).code).toBe(127);
    expect(await go([])).toMatchObject({
      code: 127,
      stderr: "sandbox: no command given: not found (ENOENT)\n",
    });
    expect(await go(["x".repeat(256)])).toMatchObject({ code: 126 });
  });

  test("the search goes on past EACCES, and EACCES is what remains", async () => {
    const folder = scratch("path");
    const [first, second] = [join(folder, "first"), join(folder, "second")];
    mkdirSync(first, { recursive: true });
    mkdirSync(second);
    writeFileSync(join(first, "tool"), "#!/bin/sh\n", { mode: 0o644 });
    const search = ["/etc/passwd", "/nowhere", first, second];
    const refused = await go(["tool"], { exec: { search } });
    expect(refused).toMatchObject({ code: 126, stderr: "sandbox: tool: not executable (EACCES)\n" });
    writeFileSync(join(second, "tool"), "#!/bin/sh\necho second\n", { mode: 0o755 });
    expect(await go(["tool"], { exec: { search } })).toMatchObject({ code: 0, stdout: "second\n" });
    // A name with a slash is never searched.
    expect((await go(["second/tool"], { exec: { search: [folder] } })).code).toBe(127);
    expect(await go(["second/tool"], { exec: { search: ["/"] } }, { cwd: folder })).toMatchObject({
      stdout: "second\n",
    });
  });

  test("a file without a format is not executable, and no shell runs it", async () => {
    const file = scratch("plain");
    writeFileSync(file, "echo a shell ran me\n");
    chmodSync(file, 0o755);
    const ended = await go([file]);
    expect(ended).toMatchObject({ code: 126, stdout: "" });
    expect(ended.header("execErrno")).toBe(ERRNO.ENOEXEC);
  });

  test("a failing step of init or payload is reported by the monitor, and is 125", async () => {
    const bad = call("fchdir", [value(99)], { id: "bad", why: "enter\u001b the root", target: "/new\nroot" });
    for (const role of ["init", "payload"] as const) {
      const ended = await go(["true"], { [role]: [bad] });
      expect(ended).toMatchObject({
        code: 125,
        stderr: "sandbox: enter\\x1b the root: fchdir /new\\x0aroot: EBADF\n",
        failed: { step: "bad", errno: ERRNO.EBADF },
      });
    }
  });

  test("rusage of payload and init is recorded", async () => {
    const ended = await go(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
    const micros = (at: number) =>
      Number(ended.memory.readBigInt64LE(at) * 1_000_000n + ended.memory.readBigInt64LE(at + 8));
    expect(micros(176)).toBeGreaterThan(500);
    expect(micros(32)).toBeGreaterThanOrEqual(micros(176));
    expect(ended.memory.readBigInt64LE(176 + 32)).toBeGreaterThan(100n); // ru_maxrss in kB
  });

  test("the wall-time limit kills and is 124", async () => {
    const timer = { name: "timer", words: [0n, 0n, 0n, 100_000n] } as const;
    const began = Date.now();
    const ended = await run(
      sandbox(
        arch,
        { monitor: [call("setitimer", [value(0), { kind: "data", name: "timer" }, value(0)])], payload: [] },
        { data: [ALL_SIGNALS, NONE, timer] },
      ),
      // Its own output: without a pid namespace it outlives init, and would keep our pipes open.
      { argv: ["sh", "-c", "exec sleep 10 >/dev/null 2>&1"] },
    );
    expect(Date.now() - began).toBeLessThan(5000);
    expect(ended).toMatchObject({ code: 124, stderr: "sandbox: wall-time limit reached\n" });
    expect(ended.header("flags") & FLAGS.timedOut).toBe(FLAGS.timedOut);
    const orphan = Number(ended.cell("payload"));
    process.kill(orphan, "SIGKILL");
  });

  test("a host program that is run and ends with 0 lets the launch go on; any other end fails the step", async () => {
    expect(await one(arch, runStep("/usr/bin/printf", "printf", "%s.", "a", ""))).toMatchObject({
      code: 9,
      stdout: "a..",
    });
    expect(await one(arch, runStep("/usr/bin/env", "env"))).toMatchObject({ code: 9, stdout: "" });
    expect(
      await one(arch, runStep("/bin/grep", "grep", "-q", "SigBlk:.0000000000000000", "/proc/self/status")),
    ).toMatchObject({ code: 9 });
    for (const bad of [
      runStep("/bin/false", "false"),
      runStep(scratch("none"), "x"),
      runStep("/bin/sh", "sh", "-c", "kill -9 $$"),
    ])
      expect(await one(arch, bad)).toMatchObject({ code: 125, failed: { step: "run", errno: ERRNO.ECHILD } });
    expect((await one(arch, runStep("/bin/false", "false"))).cell("run")).toBe(256n);
  });
});

const trapping = (signals: readonly string[]) =>
  `${signals.map((name) => `trap 'echo ${name}' ${name}`).join("; ")}; echo ready; while [ ! -e "$STOP" ]; do sleep 0.02; done`;

describe("signals, natively", () => {
  test("signals sent to the monitor reach the payload, through init", async () => {
    const stop = scratch("stop");
    const running = start(sandbox(NATIVE, { environment: { pass: ["STOP"] } }), {
      argv: ["sh", "-c", trapping(["TERM", "USR1", "INT", "HUP", "QUIT", "WINCH", "ALRM"])],
      env: { STOP: stop },
    });
    let output = "";
    running.child.stdout?.on("data", (text) => {
      output += text;
    });
    await until(() => output.includes("ready"), "the payload");
    for (const name of ["TERM", "USR1", "INT", "HUP", "QUIT", "WINCH", "ALRM"] as const) {
      running.child.kill(`SIG${name}` as NodeJS.Signals);
      await until(() => output.includes(`${name}\n`), name);
    }
    writeFileSync(stop, "");
    const ended = await running.ended;
    // An alarm that a process sent is passed on: only the kernel's own means that time is up.
    expect(ended).toMatchObject({ code: 0, failed: null });
    expect(ended.header("flags") & (FLAGS.timedOut | FLAGS.parentDied)).toBe(0);
  });

  test("a signal that ends the payload ends the launcher with 128 + its number", async () => {
    const running = start(sandbox(NATIVE), { argv: ["sh", "-c", "echo ready; exec sleep 20"] });
    await new Promise((resolve) => running.child.stdout?.once("data", resolve));
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(143);
  });

  test("a child that ended before the loop began is seen", async () => {
    const pause = { name: "pause", words: [0n, 200_000_000n] } as const;
    const wait = call("clock_nanosleep", [value(1), value(0), { kind: "data", name: "pause" }, value(0)]);
    const ended = await run(
      sandbox(NATIVE, { monitor: [wait], init: [wait] }, { data: [ALL_SIGNALS, NONE, pause] }),
      { argv: ["sh", "-c", "exit 3"] },
    );
    expect(ended.code).toBe(3);
  });
});

const inUserNamespace = 0x1000_0000n | 0x2000_0000n; // CLONE_NEWUSER | CLONE_NEWPID
const userNamespaces = spawnSync("unshare", ["-Urp", "--fork", "true"]).status === 0;

describe.runIf(available("user and pid namespaces cannot be made here (unshare -Urp)", userNamespaces))(
  "as pid 1",
  () => {
    test("orphans are reaped, and the payload's status is the one that counts", async () => {
      const ended = await run(sandbox(NATIVE, { flags: inUserNamespace }), {
        argv: ["sh", "-c", "(sh -c 'sleep 0.05; exit 5' &) ; (sh -c 'exit 6' &); sleep 0.2; exit 4"],
      });
      expect(ended).toMatchObject({ code: 4, failed: null });
      expect(ended.cell("payload")).toBe(2n);
    });

    test("what outlives the payload dies with init", async () => {
      const file = scratch("alive");
      const ended = await run(sandbox(NATIVE, { flags: inUserNamespace }), {
        argv: ["sh", "-c", `(sleep 0.3; echo > ${file}) >/dev/null 2>&1 & exit 0`],
      });
      expect(ended.code).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 400));
      expect(() => chmodSync(file, 0o600)).toThrow("ENOENT");
    });

    test("init killed before it could tell gives 128 + 9", async () => {
      const running = start(sandbox(NATIVE, { flags: inUserNamespace }), {
        argv: ["sh", "-c", "echo ready; exec sleep 20"],
      });
      await new Promise((resolve) => running.child.stdout?.once("data", resolve));
      const init = Number(
        readFileSync(`/proc/${running.child.pid}/task/${running.child.pid}/children`, "utf8"),
      );
      process.kill(init, "SIGKILL");
      const ended = await running.ended;
      expect(ended.code).toBe(137);
      expect(ended.header("flags") & FLAGS.payloadEnded).toBe(0);
    });

    test.runIf(available("python3 is not installed", which("python3") !== undefined))(
      "a forged siginfo changes nothing either",
      async () => {
        // rt_sigqueueinfo(2) lets a process choose any negative si_code: SI_TIMER (-2) for an alarm, SI_QUEUE (-1) for the rest.
        const forge = [
          "import ctypes, struct, signal, time",
          "libc = ctypes.CDLL(None, use_errno=True)",
          "def send(number, code, pid):",
          "  info = struct.pack('iiiiii', number, 0, code, 0, pid, 0).ljust(128, b'\\0')",
          `  return libc.syscall(${NATIVE === "x86_64" ? 129 : 138}, 1, number, info)`,
          "got = []",
          "signal.signal(14, lambda n, f: got.append(n))",
          "signal.signal(64, lambda n, f: got.append(n))",
          "print(send(14, -2, 0), send(64, -1, 0), send(14, 0x80, 0), send(64, 0, 0), flush=True)",
          "time.sleep(0.1); time.sleep(0.1)",
          "print(sorted(got))",
        ].join("\n");
        const ended = await run(sandbox(NATIVE, { flags: inUserNamespace }), {
          argv: ["python3", "-c", forge],
        });
        expect(ended).toMatchObject({ code: 0, stdout: "0 0 -1 -1\n[14, 64]\n" });
        expect(ended.header("flags") & (FLAGS.timedOut | FLAGS.parentDied)).toBe(0);
      },
    );

    test("a process inside cannot pretend that the parent died or that time is up", async () => {
      const ended = await run(sandbox(NATIVE, { flags: inUserNamespace }), {
        argv: [
          "sh",
          "-c",
          "trap 'echo forwarded' ALRM; kill -ALRM 1; sleep 0.1; trap '' 64; kill -64 1; sleep 0.1; exit 8",
        ],
      });
      expect(ended.header("flags") & (FLAGS.timedOut | FLAGS.parentDied)).toBe(0);
      expect(ended.stdout).toBe("forwarded\n");
    });
  },
);
