/** What a run of the library takes and gives: streams, time, cancelling, and how the command ended. */
import { Readable, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import type { Outcome, Sandbox } from "../../src/index.ts";
import { make, problemsOf } from "./support.ts";

const { sandbox } = await make();
const run = (script: string, options?: Parameters<Sandbox["run"]>[1]): Promise<Outcome> =>
  sandbox.run(["/bin/sh", "-c", script], options);

/** Collects what is written to it; `heard` resolves with the first piece. */
function sink(): {
  readonly stream: Writable;
  readonly text: () => string;
  readonly heard: Promise<void>;
} {
  const chunks: Buffer[] = [];
  let hear: () => void = () => undefined;
  const heard = new Promise<void>((done) => {
    hear = done;
  });
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      hear();
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString(), heard };
}

describe("output", () => {
  test("is captured, each stream for itself", async () => {
    const outcome = await run("echo out; echo err >&2");
    expect(outcome).toMatchObject({ stdout: "out\n", stderr: "err\n", exitCode: 0, reason: "exited" });
    expect(outcome.usage.outputSize).toBe(8);
  });

  test("of a megabyte arrives whole", async () => {
    const outcome = await run("head -c 1000000 /dev/zero | tr '\\0' x");
    expect(outcome.stdout).toBe("x".repeat(1_000_000));
  });

  test("goes to a stream of the caller's as it comes, which stays open", async () => {
    const { stream, text } = sink();
    const outcome = await run("echo one; echo two", { stdout: stream });
    expect(outcome.stdout).toBeNull();
    expect(text()).toBe("one\ntwo\n");
    expect(stream.writableEnded).toBe(false);
  });

  test("that is ignored is not captured", async () => {
    expect(await run("echo out", { stdout: "ignore" })).toMatchObject({
      stdout: null,
      stderr: "",
      exitCode: 0,
    });
  });
});

describe("input", () => {
  test.each([
    ["text", "zwölf\n", "zwölf\n"],
    ["an empty text", "", ""],
    ["bytes", Uint8Array.of(65, 0, 66), "A\0B"],
  ])("is %s, and ends", async (_kind, stdin, expected) => {
    expect((await run("cat", { stdin })).stdout).toBe(expected);
  });

  test("is a stream that is piped until it ends", async () => {
    expect((await run("cat", { stdin: Readable.from(["one ", "two"]) })).stdout).toBe("one two");
  });

  test("is nothing when nothing is given", async () => {
    expect((await run("cat")).stdout).toBe("");
  });

  test("that is not read is no error", async () => {
    expect(await run("exit 3", { stdin: "x".repeat(500_000) })).toMatchObject({
      exitCode: 3,
      reason: "exited",
    });
  });

  test("whose stream breaks rejects with the stream's error, and nothing is left running", async () => {
    const broken = new Readable({
      read() {
        this.destroy(new Error("the source broke"));
      },
    });
    await expect(run("cat; sleep 30", { stdin: broken })).rejects.toThrow("the source broke");
  });
});

describe("the end", () => {
  test.each([0, 1, 7, 124, 125, 255])("with status %d is reported as it is", async (code) => {
    expect(await run(`exit ${code}`)).toMatchObject({
      exitCode: code,
      signal: null,
      reason: "exited",
      launchError: null,
    });
  });

  test.each(["TERM", "KILL", "SEGV", "USR1", "PIPE"])("by SIG%s names the signal", async (name) => {
    expect(await run(`kill -${name} $$`)).toMatchObject({
      exitCode: null,
      signal: `SIG${name}`,
      reason: "signalled",
    });
  });

  test.each([
    ["a name that no directory of PATH has", "no-such-program", "ENOENT"],
    ["a path that is not there", "/usr/bin/no-such-program", "ENOENT"],
    ["a file that is not executable", "/usr/share/common-licenses/GPL-3", "EACCES"],
    ["a directory", "/usr", "EACCES"],
  ])("is a launch error for %s, with call, errno, target and hint", async (_what, command, errno) => {
    const outcome = await sandbox.run([command]);
    expect(outcome).toMatchObject({ exitCode: null, signal: null, reason: "launch-failed" });
    expect(outcome.launchError).toMatchObject({ step: "exec", call: "execve", errno, target: command });
    expect(outcome.launchError?.hint).not.toBe("");
  });

  test("comes for everything when the command ends", async () => {
    const outcome = await run("sleep 300 & sleep 300 & exec true");
    expect(outcome.reason).toBe("exited");
    expect(outcome.usage.wallTime).toBeLessThan(5000);
  });
});

describe("time", () => {
  test.each([
    ["as text", "300ms"],
    ["in seconds", 0.3],
  ])("is limited %s", async (_how, timeout) => {
    const outcome = await run("sleep 30", { timeout });
    expect(outcome).toMatchObject({ reason: "wall-time-limit", exitCode: null });
    expect(outcome.usage.wallTime).toBeGreaterThanOrEqual(290);
    expect(outcome.usage.wallTime).toBeLessThan(5000);
  });

  test("keeps the profile's limit when that is shorter", async () => {
    const short = await make({ "/resources/wallTime": "300ms" });
    const outcome = await short.sandbox.run(["/bin/sleep", "30"], { timeout: "20s" });
    expect(outcome.reason).toBe("wall-time-limit");
    expect(outcome.usage.wallTime).toBeLessThan(5000);
  });

  test.each(["soon", "", "0s", 0, -1, Number.NaN])("%j is refused by name", async (timeout) => {
    const [problem, ...more] = await problemsOf(run("true", { timeout }));
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ where: { kind: "option", option: "timeout" } });
  });
});

describe("cancelling", () => {
  test("before the start starts nothing", async () => {
    const outcome = await run("echo never", { signal: AbortSignal.abort() });
    expect(outcome).toMatchObject({ reason: "cancelled", exitCode: null, launchError: null });
    expect(outcome.stdout ?? "").toBe("");
  });

  test("while it runs ends everything and keeps what was said", async () => {
    const controller = new AbortController();
    const { stream, text, heard } = sink();
    const running = run("echo here; sleep 300", { signal: controller.signal, stdout: stream });
    await heard;
    controller.abort();
    const outcome = await running;
    expect(outcome).toMatchObject({ reason: "cancelled", exitCode: null });
    expect(text()).toBe("here\n");
    expect(outcome.usage.wallTime).toBeLessThan(5000);
  });

  test("after the end changes nothing", async () => {
    const controller = new AbortController();
    const outcome = await run("exit 4", { signal: controller.signal });
    controller.abort();
    expect(outcome).toMatchObject({ reason: "exited", exitCode: 4 });
  });
});
