/** The log as the library keeps it: every run is in it from start to end, secrets are not, and no log means no run where that is asked. */
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { createSandbox, verifyLog } from "../../src/index.ts";
import { make, overrides, problemsOf, scratch } from "./support.ts";

/** Kinds of the records, each run of equal ones once. */
const story = (records: readonly Readonly<Record<string, unknown>>[]): readonly unknown[] =>
  records.map(({ kind }) => kind).filter((kind, index, kinds) => kind !== kinds[index - 1]);

describe("a run", () => {
  test("is in the log from start to end, under its id, and the chain verifies", async () => {
    const { sandbox, records, log } = await make();
    const outcome = await sandbox.run(["/bin/sh", "-c", "exit 3"]);
    expect(story(records())).toEqual(["run-start", "decision", "enforcement", "outcome", "run-end"]);
    expect(new Set(records().map(({ run }) => run))).toEqual(new Set([outcome.runId]));
    expect(records().filter(({ kind }) => kind === "decision").length).toBe(
      (await sandbox.planFor(["/bin/sh"])).decisions.length,
    );
    expect(records().filter(({ kind }) => kind === "enforcement").length).toBe(outcome.enforcement.length);
    expect(records().at(-2)).toMatchObject({
      reason: "exited",
      exitCode: 3,
      signal: null,
      usage: outcome.usage,
    });
    expect(await verifyLog(log)).toMatchObject({ ok: true });
  });

  test("that could not start is in it too, with the step", async () => {
    const { sandbox, records } = await make();
    await sandbox.run(["no-such-program"]);
    expect(story(records())[0]).toBe("run-start");
    expect(records().find(({ kind }) => kind === "step")).toMatchObject({ errno: "ENOENT" });
    expect(records().at(-1)).toMatchObject({ kind: "run-end" });
  });

  test("that was cancelled before it began is in it too", async () => {
    const { sandbox, records } = await make();
    await sandbox.run(["/bin/true"], { signal: AbortSignal.abort() });
    expect(story(records()).at(-1)).toBe("run-end");
    expect(records().find(({ kind }) => kind === "outcome")).toMatchObject({ reason: "cancelled" });
  });

  test("of 12 at once leaves one valid chain of whole runs", async () => {
    const { sandbox, records, log } = await make();
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => sandbox.run(["/bin/true"])));
    for (const { runId } of outcomes)
      expect(story(records().filter(({ run }) => run === runId))).toEqual([
        "run-start",
        "decision",
        "enforcement",
        "outcome",
        "run-end",
      ]);
    expect(await verifyLog(log)).toMatchObject({ ok: true });
  });

  test("changed afterwards is found", async () => {
    const { sandbox, log } = await make();
    await sandbox.run(["/bin/sh", "-c", "exit 3"]);
    writeFileSync(log, readFileSync(log, "utf8").replace('"exitCode":3', '"exitCode":0'));
    expect(await verifyLog(log)).toMatchObject({ ok: false });
  });
});

describe("secrets", () => {
  test("in variables and arguments are not in the log, in whatever place", async () => {
    const { sandbox, log } = await make({
      "/audit/redact": ["TOKEN", "--password=\\S+"],
      "/environment/set/TOKEN": "hunter2hunter2",
    });
    const outcome = await sandbox.run([
      "/bin/sh",
      "-c",
      "echo $TOKEN $0 $1",
      "--password=swordfish",
      "hunter2hunter2",
    ]);
    expect(outcome.stdout).toBe("hunter2hunter2 --password=swordfish hunter2hunter2\n");
    const text = readFileSync(log, "utf8");
    expect(text).not.toContain("hunter2hunter2");
    expect(text).not.toContain("swordfish");
    expect(text).toContain("run-end");
  });

  test("that are not named are logged as they are", async () => {
    const { sandbox, log } = await make();
    await sandbox.run(["/bin/echo", "--password=swordfish"]);
    expect(readFileSync(log, "utf8")).toContain("swordfish");
  });
});

describe("a log that cannot be written", () => {
  const places = {
    "a directory": (at: string) => {
      mkdirSync(join(at, "log"));
      return join(at, "log");
    },
    "below a file": (at: string) => {
      writeFileSync(join(at, "file"), "");
      return join(at, "file", "log");
    },
    "a symbolic link": (at: string) => {
      writeFileSync(join(at, "real"), "");
      symlinkSync(join(at, "real"), join(at, "log"));
      return join(at, "log");
    },
    "in a directory that is not there": (at: string) => join(at, "nowhere", "log"),
    "in a kernel file system": () => "/proc/nowhere/log",
  } as const;

  test.each(Object.entries(places))("because it is %s refuses the sandbox", async (_what, place) => {
    const file = place(scratch());
    const problems = await problemsOf(createSandbox({ profile: "strict", cwd: "/", audit: { file } }));
    expect(problems.map(({ kind }) => kind)).toEqual(["audit-unwritable"]);
    expect(problems[0]?.message).toContain(file);
    expect(problems[0]?.hint).not.toBe("");
  });

  /** Makes every later append fail: the log's place is a directory by then. */
  function spoil(log: string): void {
    renameSync(log, `${log}.moved`);
    mkdirSync(log);
  }

  test("any more by the time of a run refuses the run", async () => {
    const { sandbox, log } = await make();
    spoil(log);
    const problems = await problemsOf(sandbox.run(["/bin/true"]));
    expect(problems.map(({ kind }) => kind)).toEqual(["audit-unwritable"]);
  });

  test.each(["refuse", "kill"])("at the end of a run is the outcome's reason under %s", async (onFailure) => {
    const { sandbox, log } = await make({ "/audit/onFailure": onFailure });
    const running = sandbox.run(["/bin/sh", "-c", "read line; exit 0"], {
      stdin: new Readable({
        read() {
          spoil(log);
          this.push("go\n");
          this.push(null);
        },
      }),
    });
    expect(await running).toMatchObject({ reason: "audit-failed" });
  });

  test("is no reason to stop under continue, where the profile does not require it", async () => {
    const values = { "/audit/require": false, "/require/audit": "none", "/audit/onFailure": "continue" };
    const { sandbox, log } = await make(values);
    spoil(log);
    expect(await sandbox.run(["/bin/true"])).toMatchObject({ reason: "exited", exitCode: 0 });
    const file = join(scratch(), "nowhere", "log");
    const other = await createSandbox({
      profile: "strict",
      cwd: "/",
      audit: { file },
      overrides: overrides(values),
    });
    expect(await other.run(["/bin/true"])).toMatchObject({ reason: "exited", exitCode: 0 });
    other.close();
  });
});

test("several problems are found at once, each with its place", async () => {
  const directory = scratch();
  const file = join(directory, "mine.json");
  writeFileSync(
    file,
    `{
  "extends": "strict",
  "resources": { "memory": "lots", "pids": 0 },
  "filesytem": {}
}`,
  );
  const problems = await problemsOf(
    createSandbox({ profile: file, cwd: directory, overrides: overrides({ "/process/umask": "9" }) }),
  );
  const places = problems.map(({ where, pointer }) =>
    where.kind === "profile" ? `${where.line} ${where.pointer}` : `${where.kind} ${pointer}`,
  );
  expect(places.toSorted()).toEqual(
    ["3 /resources/memory", "3 /resources/pids", "4 /filesytem", "option /process/umask"].toSorted(),
  );
  expect(problems.find(({ pointer }) => pointer.includes("filesytem"))?.suggestion).toContain("filesystem");
});
