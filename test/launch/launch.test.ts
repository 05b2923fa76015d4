import { readdirSync, readFileSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import { afterAll, describe, expect, it } from "vitest";
import { launch } from "../../src/launch/launch.ts";
import type { LaunchRequest, RunControl } from "../../src/launch/request.ts";
import { type FixtureOptions, prepare } from "./fixture.ts";

const plain = prepare();
afterAll(() => plain.close());

type Options = Omit<Partial<LaunchRequest>, "prepared" | "command">;
const run = (command: readonly string[], options: Options = {}) =>
  launch({ prepared: plain, command, env: {}, ...options });
const sh = (script: string, options: Options = {}) => run(["/bin/sh", "-c", script], options);

async function runWith(options: FixtureOptions, command: readonly string[], more: Options = {}) {
  const prepared = prepare(options);
  try {
    return await launch({ prepared, command, env: {}, ...more });
  } finally {
    prepared.close();
  }
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

/** A number of seconds to sleep that no other process sleeps. */
const mark = (seconds: number): string => `${seconds}${process.pid}`;

/** Processes anywhere whose arguments contain this. */
function running(argument: string): readonly string[] {
  return readdirSync("/proc").filter(
    (pid) => /^\d+$/.test(pid) && pid !== String(process.pid) && argumentsOf(pid).includes(argument),
  );
}

function argumentsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // Ended between the listing and now.
  }
}

describe("an ordinary run", () => {
  it("reports the exit status and the captured output", async () => {
    const outcome = await sh("echo out; echo err >&2; exit 3");
    expect(outcome).toMatchObject({
      exitCode: 3,
      signal: null,
      reason: "exited",
      launchError: null,
      stdout: "out\n",
      stderr: "err\n",
      usage: { outputSize: 8, peakMemorySource: "rusage", oomKills: null },
    });
    expect(outcome.usage.wallTime).toBeGreaterThan(0);
    expect(outcome.usage.peakMemory).toBeGreaterThan(100_000);
  });

  it("reports the signal that ended the payload", async () => {
    expect(await sh("kill -TERM $$")).toMatchObject({
      exitCode: null,
      signal: "SIGTERM",
      reason: "signalled",
    });
  });

  it("passes only the environment that the program names", async () => {
    const outcome = await run(["env"], { env: { PASSED: "1", SECRET: "2" } });
    expect(outcome.stdout?.trim().split("\n").toSorted()).toEqual(["PASSED=1", "PATH=/usr/bin:/bin"]);
  });

  it("leaves the payload no descriptor above 2", async () => {
    const outcome = await sh("ls /proc/self/fd");
    // The fourth is the directory that ls reads.
    expect(outcome.stdout).toBe("0\n1\n2\n3\n");
  });

  it("runs the launcher from a sealed memfd and says which steps went without", async () => {
    const { degraded } = await run(["true"]);
    expect(degraded).toEqual([
      { step: "absent", decision: "test", call: "openat", errno: "ENOENT", target: "/absent" },
    ]);
  });

  it("counts the CPU time of the payload", async () => {
    const { usage } = await sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
    expect(usage.cpuTime).toBeGreaterThan(20);
    expect(usage.cpuTime).toBeCloseTo(usage.userTime + usage.systemTime, 6);
  });
});

describe("a launch that fails", () => {
  it("names a program that is not there", async () => {
    const outcome = await run(["/no/such/program"]);
    expect(outcome).toMatchObject({
      exitCode: null,
      reason: "launch-failed",
      launchError: { step: "exec", call: "execve", errno: "ENOENT", target: "/no/such/program" },
      enforcement: [],
    });
    expect(outcome.launchError?.hint).toContain("--bind");
  });

  it("names a file that cannot be executed", async () => {
    expect((await run(["/etc/passwd"])).launchError).toMatchObject({ call: "execve", errno: "EACCES" });
  });

  it("names the step, the call, the errno and the target", async () => {
    const outcome = await runWith(
      { init: (at) => at.call("mount:/x", "", "mount", [0, 0, 0, 0, 0], { target: "/x" }) },
      ["true"],
    );
    expect(outcome.reason).toBe("launch-failed");
    expect(outcome.launchError).toMatchObject({ step: "mount:/x", call: "mount", target: "/x" });
    expect(["EFAULT", "EPERM", "EINVAL"]).toContain(outcome.launchError?.errno);
  });

  it("says that the arguments are too long", async () => {
    const outcome = await run(["true", "x".repeat(200_000)]);
    expect(outcome.launchError).toMatchObject({ step: "spawn", errno: "E2BIG" });
    expect(outcome.launchError?.hint).toContain("too long");
  });

  it("says that the launcher cannot be started once its image is closed", async () => {
    const prepared = prepare();
    prepared.close();
    const outcome = await launch({ prepared, command: ["true"], env: {} });
    expect(outcome).toMatchObject({ reason: "launch-failed", launchError: { step: "spawn" } });
  });

  it("rejects an argument that no program can receive", async () => {
    await expect(run(["true", "a\0b"])).rejects.toThrow(/null bytes/);
  });

  it("does not start without the ids that the plan needs", async () => {
    await expect(runWith({ idRange: { base: 1_000_000, size: 1, slots: 4 } }, ["true"])).rejects.toThrow(
      /ids/,
    );
  });
});

describe("standard input", () => {
  it("is text", async () => {
    expect((await run(["cat"], { stdin: { data: "hello" } })).stdout).toBe("hello");
  });

  it("is a stream, to its last byte", async () => {
    const chunks = Array.from({ length: 200 }, (_, index) => `${index}:${"x".repeat(10_000)}\n`);
    const { stdout } = await run(["sha256sum"], { stdin: Readable.from(chunks) });
    const { createHash } = await import("node:crypto");
    expect(stdout).toBe(`${createHash("sha256").update(chunks.join("")).digest("hex")}  -\n`);
  });

  it("may be left unread", async () => {
    expect(await run(["true"], { stdin: { data: "x".repeat(1_000_000) } })).toMatchObject({ exitCode: 0 });
  });

  it("is empty by default", async () => {
    expect((await run(["cat"])).stdout).toBe("");
  });

  it("ends the run and rejects when the caller's stream breaks", async () => {
    const source = new Readable({ read() {} });
    setTimeout(() => source.destroy(new Error("source broke")), 20);
    await expect(run(["cat"], { stdin: source })).rejects.toThrow("source broke");
  });
});

describe("standard output", () => {
  it("goes to a stream with backpressure and without loss", async () => {
    let size = 0;
    const slow = new Writable({
      highWaterMark: 1000,
      write(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        setImmediate(done);
      },
    });
    const outcome = await sh("head -c 20000000 /dev/zero", { stdout: slow });
    expect(outcome).toMatchObject({ exitCode: 0, stdout: null, usage: { outputSize: 20_000_000 } });
    await new Promise((resolve) => slow.end(resolve));
    expect(size).toBe(20_000_000);
  });

  it("takes 100 MB", async () => {
    const outcome = await sh("head -c 100000000 /dev/zero");
    expect(outcome.stdout?.length).toBe(100_000_000);
  });

  it("ends a payload that nobody reads from any more", async () => {
    const gone = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error("gone"), { code: "EPIPE" }));
      },
    });
    // Node's pipes are sockets: by SIGPIPE, or by ECONNRESET when bytes were still unread.
    const { exitCode, signal } = await run(["yes"], { stdout: gone });
    expect(["SIGPIPE/null", "null/1"]).toContain(`${signal}/${exitCode}`);
  });

  it("stops a payload that writes more than it may, and keeps what it may", async () => {
    const outcome = await runWith({ outputSize: 1000 }, ["yes"]);
    expect(outcome).toMatchObject({ reason: "output-limit", signal: "SIGKILL", usage: { outputSize: 1000 } });
    expect(outcome.stdout).toBe("y\n".repeat(500));
  });

  it("lets a payload write exactly what it may", async () => {
    const outcome = await runWith({ outputSize: 1000 }, ["head", "-c", "1000", "/dev/zero"]);
    expect(outcome).toMatchObject({ reason: "exited", exitCode: 0, usage: { outputSize: 1000 } });
  });

  it("counts nothing that is passed through", async () => {
    expect(await run(["true"], { stdout: "ignore", stderr: "ignore" })).toMatchObject({
      stdout: null,
      stderr: null,
      usage: { outputSize: null },
    });
  });
});

describe("limits of time", () => {
  it("ends a run at its timeout", async () => {
    const outcome = await run(["sleep", mark(98761)], { timeout: 100 });
    expect(outcome).toMatchObject({
      reason: "wall-time-limit",
      signal: "SIGKILL",
      exitCode: null,
      launchError: null,
    });
    expect(outcome.usage.wallTime).toBeGreaterThanOrEqual(95);
    expect(outcome.usage.wallTime).toBeLessThan(1000);
    expect(running(mark(98761))).toEqual([]);
  });

  it("takes the plan's limit when it is the shorter", async () => {
    const outcome = await runWith({ wallTime: 100 }, ["sleep", "60"], { timeout: 30_000 });
    expect(outcome.reason).toBe("wall-time-limit");
  });
});

describe("cancelling", () => {
  it("ends everything in the sandbox", async () => {
    const outcome = await sh(`sleep ${mark(98762)} & sleep ${mark(98762)}`, {
      signal: AbortSignal.timeout(100),
    });
    expect(outcome).toMatchObject({ reason: "cancelled", signal: "SIGKILL", launchError: null });
    expect(running(mark(98762))).toEqual([]);
  });

  it("starts nothing when it came first", async () => {
    const outcome = await run(["true"], { signal: AbortSignal.abort() });
    expect(outcome).toMatchObject({ reason: "cancelled", exitCode: null });
  });

  it("works at any moment of the launch", async () => {
    for (let delay = 0; delay < 12; delay += 1) {
      const abort = new AbortController();
      setTimeout(() => abort.abort(), delay / 2);
      const outcome = await run(["sleep", mark(98763)], { signal: abort.signal });
      expect(outcome).toMatchObject({ reason: "cancelled", launchError: null });
    }
    expect(running(mark(98763))).toEqual([]);
  });

  it("changes nothing about a payload that had ended", async () => {
    const abort = new AbortController();
    const outcome = await run(["true"], { signal: abort.signal });
    abort.abort();
    expect(outcome.reason).toBe("exited");
  });

  it("reports the reason of who stopped the run", async () => {
    const outcome = await run(["sleep", "60"], { onStart: (control) => control.stop("audit-failed") });
    expect(outcome.reason).toBe("audit-failed");
  });

  it("passes a signal to the payload", async () => {
    const said: string[] = [];
    let started: RunControl | undefined;
    const stdout = new Writable({
      write(bytes: Buffer, _encoding, done) {
        if (said.push(bytes.toString()) === 1) started?.kill("SIGUSR1");
        done();
      },
    });
    const outcome = await sh("trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.02; done", {
      onStart: (control) => {
        started = control;
      },
      stdout,
    });
    expect(outcome.exitCode).toBe(5);
    expect(said.join("")).toBe("ready\ngot\n");
  });

  it("ends the run and rejects when a callback throws", async () => {
    const failing = run(["sleep", mark(98764)], {
      onStart: () => {
        throw new Error("no log, no run");
      },
    });
    await expect(failing).rejects.toThrow("no log, no run");
    expect(running(mark(98764))).toEqual([]);
  });
});

describe("a launcher that is killed", () => {
  it("leaves no process, and the outcome says what happened", async () => {
    const outcome = await run(["sleep", mark(98765)], {
      onStart: ({ pid }) => setTimeout(() => process.kill(pid, "SIGKILL"), 100),
    });
    expect(outcome).toMatchObject({
      reason: "launch-failed",
      exitCode: null,
      launchError: { step: "monitor", errno: "EOWNERDEAD" },
    });
    expect(outcome.launchError?.hint).toContain("SIGKILL");
    expect(running(mark(98765))).toEqual([]);
  });

  it("is killed when it is stuck, and the run still ends", async () => {
    const outcome = await run(["sleep", mark(98766)], {
      timeout: 100,
      onStart: ({ pid }) => setTimeout(() => process.kill(pid, "SIGSTOP"), 20),
    });
    expect(outcome.reason).toBe("wall-time-limit");
    expect(running(mark(98766))).toEqual([]);
  });
});

describe("many at once", () => {
  it("64 runs of one image each get their own answer and leave no descriptor", async () => {
    await run(["true"]);
    const before = openDescriptors();
    const outcomes = await Promise.all(
      Array.from({ length: 64 }, (_, index) =>
        sh(`read line; echo ${index} $line`, { stdin: { data: `in ${index}\n` } }),
      ),
    );
    expect(outcomes.map(({ stdout }) => stdout)).toEqual(
      outcomes.map((_, index) => `${index} in ${index}\n`),
    );
    expect(new Set(outcomes.map(({ runId }) => runId)).size).toBe(64);
    expect(openDescriptors()).toBe(before);
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });
});

describe("read-back", () => {
  const decision = {
    control: "namespaces",
    setting: "",
    provenance: { kind: "default" },
    status: "full",
    reason: "",
  } as const;

  it("confirms what the kernel confirms and reports what it does not", async () => {
    const differing: string[] = [];
    const outcome = await runWith(
      {
        decisions: [
          { ...decision, id: "namespaces.pid", check: { kind: "namespace", name: "pid", expected: "own" } },
          {
            ...decision,
            id: "noNewPrivileges",
            check: { kind: "status", field: "NoNewPrivs", expected: "1" },
          },
          { ...decision, id: "namespaces.ipc", check: { kind: "namespace", name: "ipc", expected: "own" } },
          { ...decision, id: "environment", check: null },
        ],
      },
      ["true"],
      { onMismatch: (list) => differing.push(...list.map((each) => each.decision)) },
    );
    expect(
      outcome.enforcement.map((each) => [each.decision, each.matches, each.actual.replace(/\d+(?=\])/, "N")]),
    ).toEqual([
      ["namespaces.pid", true, "pid:[N]"],
      ["noNewPrivileges", false, "0"],
      ["namespaces.ipc", false, "not read back"],
    ]);
    expect(differing).toEqual(["noNewPrivileges", "namespaces.ipc"]);
  });
});

describe("ids", () => {
  it("are claimed for the run and released after it", async () => {
    const events: string[] = [];
    const outcome = await runWith({ idRange: { base: 1_000_000, size: 65_536, slots: 4 } }, ["true"], {
      claimIds: (range) => {
        events.push(`claim ${range.base}`);
        return { slot: 2, release: () => events.push("release") };
      },
    });
    expect(outcome.exitCode).toBe(0);
    expect(events).toEqual(["claim 1000000", "release"]);
  });
});
