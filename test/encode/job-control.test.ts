/** Stopping and continuing: what a shell and a terminal expect of the launcher. */

import { execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { encodeProgram } from "../../src/encode/index.ts";
import { ERRNO } from "../../src/program/errno.ts";
import { FLAGS, layoutMemory, type Operand } from "../../src/program/program.ts";
import {
  ALL_SIGNALS,
  available,
  blockSignals,
  call,
  type DraftStep,
  exit,
  program,
  result,
  run,
  scratch,
  start,
  until,
  value,
} from "./harness.ts";

const NONE = { name: "none", hex: "0000000000000000" } as const;
const unblock: DraftStep = call("rt_sigprocmask", [
  value(2),
  { kind: "data", name: "none" },
  value(0),
  value(8),
]);
const environment: DraftStep = { kind: "environment", set: [], pass: [] };
const exec: DraftStep = { kind: "exec", path: null, search: ["/usr/bin", "/bin"], argv: null };

const state = (pid: number): string =>
  /^State:\t(.)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";

function jobs(flags = 0n) {
  return program({
    data: [ALL_SIGNALS, NONE],
    monitor: [
      blockSignals(),
      { kind: "spawn", id: "init", role: "init", flags },
      { kind: "supervise", child: result("init"), reap: "child" },
      exit("outcome"),
    ],
    init: [
      { kind: "spawn", id: "payload", role: "payload", flags: 0n },
      // Standard output stands for the supervisor's pipe.
      { kind: "supervise", child: result("payload"), reap: "all", stopNotify: value(1) },
      exit(0),
    ],
    payload: [call("setsid", []), unblock, environment, exec],
  });
}

describe("job control", () => {
  test("SIGTSTP stops the payload and the monitor, and SIGCONT continues both; each stop is told once", async () => {
    const go = scratch("go");
    execFileSync("mkfifo", [go]);
    const running = start(jobs(), {
      // No child meanwhile: one that is stopped between vfork(2) and its exec keeps its parent from stopping.
      argv: ["sh", "-c", 'echo ready; read line < "$0"; exit 3', go],
    });
    const { pid } = running.child;
    if (pid === undefined) throw new Error("not started");
    let output = "";
    running.child.stdout?.on("data", (chunk) => {
      output += chunk;
    });
    await until(() => output.includes("ready"), "the payload");
    running.child.kill("SIGTSTP");
    await until(() => output.includes("T"), "the notice of the stop");
    await until(() => state(pid) === "T", "the monitor to stop");
    const memory = readFileSync(running.memoryFile);
    expect(memory.readUInt32LE(8) & 4).toBe(0);
    running.child.kill("SIGCONT");
    // Waits for the reader.
    writeFileSync(go, "go\n");
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 3, stdout: "ready\nT", failed: null });
  });

  test("a payload that stops itself is told, and does not end the launch", async () => {
    const running = start(jobs(), {
      argv: ["sh", "-c", "(sleep 0.2; kill -CONT $$) & kill -STOP $$; exit 5"],
    });
    expect(await running.ended).toMatchObject({ code: 5, stdout: "T" });
  });

  test("waiting uses no processor time", async () => {
    const running = start(jobs(), { argv: ["sh", "-c", "echo ready; exec sleep 0.5"] });
    await new Promise((resolve) => running.child.stdout?.once("data", resolve));
    await new Promise((resolve) => setTimeout(resolve, 300));
    // proc_pid_stat(5): utime and stime are the 12th and 13th fields behind the name.
    const fields = readFileSync(`/proc/${running.child.pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    expect(fields.slice(11, 13)).toEqual(["0", "0"]);
    expect((await running.ended).code).toBe(0);
  });
});

const ptmx = (id: string) =>
  call("openat", [value(-100), { kind: "data", name: "ptmx" }, value(0x80102), value(0)], { id });

describe("the window", () => {
  test("its size is copied when it changes", async () => {
    const TIOCGWINSZ = value(0x5413);
    const ended = await run(
      program({
        data: [
          ALL_SIGNALS,
          { name: "ptmx", text: "/dev/ptmx" },
          { name: "size", hex: "1900640001000200" },
          { name: "pause", words: [0n, 200_000_000n] },
        ],
        buffers: [{ name: "now", size: 8 }],
        monitor: [
          blockSignals(),
          ptmx("from"),
          ptmx("to"),
          call("ioctl", [result("from"), value(0x5414), { kind: "data", name: "size" }]),
          { kind: "spawn", id: "init", role: "init", flags: 0n },
          call("getpid", [], { id: "own" }),
          call("kill", [result("own"), value(28)]),
          {
            kind: "supervise",
            child: result("init"),
            reap: "child",
            winsize: { from: result("from"), to: result("to") },
          },
          call("ioctl", [result("to"), TIOCGWINSZ, { kind: "buffer", name: "now", offset: 0 }]),
          exit(0),
        ],
        init: [
          call("clock_nanosleep", [value(1), value(0), { kind: "data", name: "pause" }, value(0)]),
          exit(0),
        ],
      }),
    );
    expect(ended).toMatchObject({ code: 0, failed: null });
    expect(ended.buffer("now").toString("hex")).toBe("1900640001000200");
  });
});

describe("the parent's death", () => {
  test("kills the child, and says so", async () => {
    const made = program({
      data: [ALL_SIGNALS, NONE],
      monitor: [
        blockSignals(),
        call("prctl", [value(1), value(64)]),
        { kind: "spawn", id: "init", role: "init", flags: 0n },
        { kind: "supervise", child: result("init"), reap: "child" },
        exit(0),
      ],
      init: [unblock, environment, exec],
    });
    const launcher = scratch("launcher");
    const memoryFile = scratch("memory");
    writeFileSync(launcher, encodeProgram(made), { mode: 0o755 });
    writeFileSync(memoryFile, Buffer.alloc(layoutMemory(made).size));
    const descriptor = openSync(memoryFile, "r+");
    const parent = spawn("sh", ["-c", '"$@"; true', "sh", launcher, "sleep", "20"], {
      stdio: ["ignore", "ignore", "ignore", descriptor],
    });
    closeSync(descriptor);
    const flags = () => readFileSync(memoryFile).readUInt32LE(8);
    const pid = () =>
      Number(readFileSync(memoryFile).readBigInt64LE(layoutMemory(made).results.get("init") ?? -1));
    await until(() => pid() > 0, "the launch");
    // The kernel has taken the signal once exec is reached: prctl came before the spawn.
    await until(() => (flags() & FLAGS.execReached) !== 0, "the exec");
    parent.kill("SIGKILL");
    await until(() => (flags() & FLAGS.initEnded) !== 0, "the end");
    expect(flags() & FLAGS.parentDied).toBe(FLAGS.parentDied);
    expect(readFileSync(memoryFile).readUInt32LE(20) & 0x7f).toBe(9);
    expect(existsSync(`/proc/${pid()}`)).toBe(false);
  });
});

const TIME = 0x80n; // CLONE_NEWTIME, which clone(2) would take for part of the exit signal
const root = process.getuid?.() === 0;

const spawning = (cgroup: Operand | null) =>
  program({
    data: [ALL_SIGNALS, { name: "proc", text: "/proc/self/cgroup" }],
    buffers: [{ name: "line", size: 4096 }],
    monitor: [
      blockSignals(),
      {
        kind: "spawn",
        id: "init",
        role: "init",
        flags: 0n,
        ...(cgroup === null ? {} : { cgroup }),
      },
      { kind: "supervise", child: result("init"), reap: "child" },
      exit(0),
    ],
    init: [exit(7)],
  });

describe("spawn by clone3", () => {
  test("a cgroup descriptor that is none fails the step with EBADF", async () => {
    // Descriptor 0 is /dev/null, not a cgroup directory.
    const ended = await run(spawning(value(0)));
    expect(ended).toMatchObject({ code: 125, failed: { step: "init", errno: ERRNO.EBADF } });
    expect(await run(spawning(null))).toMatchObject({ code: 0 });
  });

  const unified = readFileSync("/proc/mounts", "utf8").match(/^\S+ (\S+) cgroup2 /m)?.[1];
  test.runIf(available("a cgroup v2 hierarchy that root may write is needed", root && unified !== undefined))(
    "the child begins in the cgroup given",
    async () => {
      const group = `${unified}/sandbox-encode-test-${process.pid}`;
      mkdirSync(group);
      try {
        const ended = await run(
          program({
            data: [
              ALL_SIGNALS,
              { name: "group", text: group },
              { name: "cgroup", text: "/proc/self/cgroup" },
            ],
            buffers: [{ name: "line", size: 4096 }],
            monitor: [
              blockSignals(),
              call("openat", [value(-100), { kind: "data", name: "group" }, value(0x90000), value(0)], {
                id: "dir",
              }),
              { kind: "spawn", id: "init", role: "init", flags: 0n, cgroup: result("dir") },
              { kind: "supervise", child: result("init"), reap: "child" },
              exit(0),
            ],
            init: [
              call("openat", [value(-100), { kind: "data", name: "cgroup" }, value(0), value(0)], {
                id: "file",
              }),
              call("read", [result("file"), { kind: "buffer", name: "line", offset: 0 }, value(4095)]),
              exit(0),
            ],
          }),
        );
        expect(ended).toMatchObject({ code: 0, failed: null });
        expect(ended.buffer("line").toString()).toContain(`/sandbox-encode-test-${process.pid}\n`);
      } finally {
        rmdirSync(group);
      }
    },
  );

  test.runIf(available("a time namespace needs root", root))(
    "flags beyond clone(2) are honoured",
    async () => {
      const own = program({
        data: [ALL_SIGNALS, { name: "ns", text: "/proc/self/ns/time" }],
        buffers: [
          { name: "outside", size: 64 },
          { name: "inside", size: 64 },
        ],
        monitor: [
          blockSignals(),
          call("readlinkat", [
            value(-100),
            { kind: "data", name: "ns" },
            { kind: "buffer", name: "outside", offset: 0 },
            value(63),
          ]),
          { kind: "spawn", id: "init", role: "init", flags: TIME },
          { kind: "supervise", child: result("init"), reap: "child" },
          exit(0),
        ],
        init: [
          call("readlinkat", [
            value(-100),
            { kind: "data", name: "ns" },
            { kind: "buffer", name: "inside", offset: 0 },
            value(63),
          ]),
          exit(0),
        ],
      });
      const ended = await run(own);
      expect(ended).toMatchObject({ code: 0, failed: null });
      expect(ended.buffer("inside").toString()).toMatch(/^time:\[\d+\]/);
      expect(ended.buffer("inside")).not.toEqual(ended.buffer("outside"));
    },
  );
});
