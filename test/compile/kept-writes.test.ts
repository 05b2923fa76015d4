/** A directory that keeps writes: nobody's files are taken for writes, and one run at a time has it. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { WRITES_MARK } from "../../src/host/facts.ts";
import { createSandbox, type Outcome, type Sandbox } from "../../src/index.ts";
import { needRoot } from "../host/needs.ts";
import { isRoot, make, overrides, problemsOf, scratch } from "../library/support.ts";
import { childrenOf, eventually, readProc } from "../live/harness.ts";

const keeping = (directory: string) => ({ "/filesystem/write": { directory } });
const keeper = async (directory: string): Promise<Sandbox> => (await make(keeping(directory))).sandbox;
const write = (sandbox: Sandbox): Promise<Outcome> => sandbox.run(["sh", "-c", "echo kept > /usr/kept"]);

describe("a directory that holds somebody's files", () => {
  test("is refused before anything runs, with both ways out, and stays as it is", async () => {
    const directory = scratch();
    writeFileSync(join(directory, "thesis"), "years of work");
    const problems = await problemsOf(make(keeping(directory)));
    expect(problems).toMatchObject([
      {
        kind: "writes-foreign",
        where: { kind: "option", option: "test" },
        pointer: "/filesystem/write",
        expected: "an empty directory, or one that kept writes before",
        hint: expect.stringContaining(`install -m 600 /dev/null ${directory}/${WRITES_MARK}`),
      },
    ]);
    expect(readdirSync(directory)).toEqual(["thesis"]);
  });

  test("is taken when its owner says that these are writes", async () => {
    const directory = scratch();
    mkdirSync(join(directory, "usr.upper"));
    writeFileSync(join(directory, WRITES_MARK), "", { mode: 0o600 });
    expect(await write(await keeper(directory))).toMatchObject({ launchError: null, exitCode: 0 });
    expect(readdirSync(join(directory, "usr.upper"))).toContain("kept");
  });

  const marks: Readonly<Record<string, (mark: string) => void>> = {
    "others may read": (mark) => chmodSync(mark, 0o644),
    "is a link": (mark) => {
      renameSync(mark, `${mark}.moved`);
      symlinkSync(`${mark}.moved`, mark);
    },
    "is a directory": (mark) => {
      unlinkSync(mark);
      mkdirSync(mark, { mode: 0o600 });
    },
    ...(isRoot ? { "is another user's": (mark: string) => chownSync(mark, 12_345, 12_345) } : {}),
  };
  test.each(Object.entries(marks))("is not ours by a mark that %s", async (_what, spoil) => {
    const directory = scratch();
    const mark = join(directory, WRITES_MARK);
    mkdirSync(join(directory, "usr.upper"));
    writeFileSync(mark, "", { mode: 0o600 });
    const sandbox = await keeper(directory);
    expect(await write(sandbox)).toMatchObject({ launchError: null });
    spoil(mark);
    // The launcher sees for itself: what was prepared before does not run either.
    const refused = await write(sandbox);
    expect(refused).toMatchObject({ reason: "launch-failed", exitCode: null });
    expect(refused.launchError?.step).toMatch(/^writes\./);
    expect(refused.launchError?.hint).toContain("mode 0600");
    expect((await problemsOf(write(sandbox)))[0]).toMatchObject({ kind: "writes-foreign" });
    expect((await problemsOf(make(keeping(directory))))[0]).toMatchObject({ kind: "writes-foreign" });
  });
});

describe("an empty directory", () => {
  test("becomes ours with the first run, whatever the umask, and a plan leaves it alone", async () => {
    const directory = scratch();
    mkdirSync(join(directory, "lost+found"));
    const before = process.umask();
    onTestFinished(() => void process.umask(before));
    const sandbox = await keeper(directory);
    await sandbox.planFor(["true"]);
    expect(readdirSync(directory)).toEqual(["lost+found"]);
    process.umask(0o277);
    const running = write(sandbox);
    expect(await running).toMatchObject({ launchError: null, exitCode: 0 });
    process.umask(before);
    expect(statSync(join(directory, WRITES_MARK)).mode & 0o2777).toBe(0o600);
    expect(await write(sandbox)).toMatchObject({ launchError: null, exitCode: 0 });
  });

  test("that the caller may not write is refused, with its name", async (context) => {
    if (isRoot) context.skip("root may write anywhere");
    const problems = await problemsOf(keeper("/var/empty-for-sandbox").then(write));
    expect(problems[0]?.message).toContain("/var/empty-for-sandbox");
  });
});

describe("two runs at once", () => {
  /** Resolves to a run that has the directory, and how to let it end. */
  async function holding(sandbox: Sandbox): Promise<{ end: () => void; outcome: Promise<Outcome> }> {
    const ended = new AbortController();
    const lines: string[] = [];
    const { PassThrough } = await import("node:stream");
    const stdout = new PassThrough();
    const started = new Promise<void>((heard) => stdout.once("data", () => heard()));
    stdout.on("data", (chunk: Buffer) => lines.push(chunk.toString()));
    const outcome = sandbox.run(["sh", "-c", "echo here; exec sleep 60"], { stdout, signal: ended.signal });
    await started;
    return { end: () => ended.abort(), outcome };
  }

  test("are not: the second one is told which process is in its way, and runs when that has ended", async () => {
    const directory = scratch();
    const [first, second] = [await keeper(directory), await keeper(directory)];
    const { end, outcome } = await holding(first);
    const refused = await write(second);
    expect(refused).toMatchObject({
      reason: "launch-failed",
      launchError: { step: "writes.lock", call: "flock", errno: "EAGAIN", target: directory },
    });
    const [, pid] = /^process (\d+): another sandbox/.exec(refused.launchError?.hint ?? "") ?? [];
    expect(() => process.kill(Number(pid), 0)).not.toThrow();
    end();
    expect(await outcome).toMatchObject({ reason: "cancelled" });
    expect(await write(second)).toMatchObject({ launchError: null, exitCode: 0 });
  });

  test("are not while init lives: it holds the lock too, and nothing else of the host's", async (context) => {
    needRoot(context);
    const directory = scratch();
    const { end, outcome } = await holding(await keeper(directory));
    const monitor = childrenOf(process.pid).find((pid) => readProc(pid, "cmdline").startsWith("sandbox\0"));
    const [init = 0] = childrenOf(monitor ?? 0);
    const open = await eventually(() => readdirSync(`/proc/${init}/fd`).length === 1, 5000);
    expect(open).toBe(true);
    expect(readlinkSync(`/proc/${init}/fd/0`)).toBe(join(realpathSync(directory), WRITES_MARK));
    end();
    await outcome;
  });

  test("are not, of launchers without a supervisor; the lock dies with its holder", async () => {
    const directory = scratch();
    const file = join(scratch(), "launcher");
    const sandbox = await createSandbox({
      profile: "strict",
      cwd: "/",
      audit: { file: null },
      mode: "standalone",
      overrides: overrides(keeping(directory)),
    });
    const { image } = await sandbox.compile(null);
    sandbox.close();
    writeFileSync(file, image, { mode: 0o755 });
    const run = (...argv: readonly string[]) => {
      const child = spawn(file, argv, { stdio: ["ignore", "pipe", "pipe"] });
      let text = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
      const ended = new Promise<string>((done) => child.once("close", (code) => done(`${text}${code}`)));
      const heard = new Promise<void>((done) => child.stdout.once("data", () => done()));
      return { child, ended, heard };
    };
    const holder = run("sh", "-c", "echo here; exec sleep 60");
    await holder.heard;
    expect(await run("true").ended).toMatch(/one sandbox at a time.*: EAGAIN\n125$/);
    holder.child.kill("SIGKILL");
    await holder.ended;
    expect(await run("sh", "-c", "echo kept > /usr/kept; cat /usr/kept").ended).toBe("kept\n0");
  });
});
