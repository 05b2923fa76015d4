/** Many runs, at once and one after the other: each gets its own answer, and nothing is left of any. */
import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually, mounts, processesWith, sandboxCgroups } from "../live/harness.ts";
import { isRoot, make } from "./support.ts";

const descriptors = (): number => readdirSync("/proc/self/fd").length;
const zombies = (): readonly string[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, "utf8")
    .split(" ")
    .filter((pid) => pid !== "" && existsSync(`/proc/${pid}/stat`))
    .filter((pid) => / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));

describe("16 runs of one sandbox at once", () => {
  test("each gets its own output, and as root ids of its own", async () => {
    const { sandbox } = await make();
    const script = "echo $0; read inside outside size < /proc/self/uid_map; echo $outside; sleep 0.3";
    const outcomes = await Promise.all(
      Array.from({ length: 16 }, (_, index) => sandbox.run(["/bin/sh", "-c", script, `run ${index}`])),
    );
    const lines = outcomes.map(({ stdout }) => (stdout ?? "").split("\n"));
    expect(lines.map(([name]) => name)).toEqual(outcomes.map((_, index) => `run ${index}`));
    expect(new Set(lines.map(([, id]) => id)).size).toBe(isRoot ? 16 : 1);
    expect(new Set(outcomes.map(({ runId }) => runId)).size).toBe(16);
    expect(outcomes.flatMap(({ enforcement }) => enforcement.filter(({ matches }) => !matches))).toEqual([]);
  });

  test.runIf(isRoot)("with a range of ids each, no two ranges share an id", async () => {
    const { sandbox } = await make({ "/identity/map": "subordinate" });
    const script = "read inside outside size < /proc/self/uid_map; echo $outside $size; sleep 0.3";
    const outcomes = await Promise.all(
      Array.from({ length: 16 }, () => sandbox.run(["/bin/sh", "-c", script])),
    );
    const starts = outcomes
      .map(({ stdout }) => Number((stdout ?? "").split(" ")[0]))
      .toSorted((a, b) => a - b);
    expect(outcomes.every(({ stdout }) => stdout?.endsWith(" 65536\n") === true)).toBe(true);
    const gaps = starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(65_536);
  });
});

test("several sandboxes at once keep to their own profiles", async () => {
  const limits = [30, 40, 50];
  const made = await Promise.all(limits.map((limit) => make({ "/resources/openFiles": limit })));
  const outcomes = await Promise.all(
    made.flatMap(({ sandbox }) => [1, 2].map(() => sandbox.run(["/bin/sh", "-c", "ulimit -n"]))),
  );
  expect(outcomes.map(({ stdout }) => Number(stdout))).toEqual([30, 30, 40, 40, 50, 50]);
});

test("two commands given as paths are each shown alone", async () => {
  const { sandbox, directory } = await make();
  const names = ["one", "two"].map((name) => join(directory, name));
  for (const name of names) copyFileSync("/bin/ls", name);
  const outcomes = await Promise.all(names.map((name) => sandbox.run([name, directory])));
  expect(outcomes.map(({ stdout }) => stdout)).toEqual(["one\n", "two\n"]);
});

test("of 70 commands at once each is run, and at most 64 launchers are kept", async () => {
  const { sandbox, directory } = await make();
  await sandbox.run(["true"]);
  const before = descriptors();
  const names = Array.from({ length: 70 }, (_, index) => join(directory, `script${index}`));
  for (const name of names) writeFileSync(name, "#!/bin/sh\necho $0\n", { mode: 0o755 });
  const outcomes = await Promise.all(names.map((name) => sandbox.run([name])));
  expect(outcomes.map(({ stdout }) => stdout)).toEqual(names.map((name) => `${name}\n`));
  // The launcher of "true", which was there before, has gone as the oldest.
  expect(await eventually(() => descriptors() - before < 64, 2000)).toBe(true);
  sandbox.close();
  expect(await eventually(() => descriptors() < before, 2000)).toBe(true);
});

test("50 runs leave no descriptor, zombie, process, mount or cgroup", async () => {
  const word = `left${randomBytes(6).toString("hex")}`;
  const { sandbox } = await make();
  // A launcher is kept for each command that was given as a path, and one for all others.
  for (const command of ["/bin/true", "/bin/sh", "no-such-program"]) await sandbox.run([command]);
  const before = { descriptors: descriptors(), mounts: mounts() };
  const runs: string[] = [];
  for (let round = 0; round < 10; round += 1) {
    const outcomes = await Promise.all(
      [
        ["/bin/true"],
        ["/bin/sh", "-c", `sleep 300 ${word} & exit 1`],
        ["no-such-program"],
        ["/bin/sh", "-c", "kill -9 $$"],
        ["/bin/sh", "-c", `sleep 300; : ${word}`],
      ].map((command, index) => sandbox.run(command, index === 4 ? { timeout: "50ms" } : {})),
    );
    runs.push(...outcomes.map(({ runId }) => runId));
  }
  expect(descriptors()).toBe(before.descriptors);
  expect(zombies()).toEqual([]);
  expect(mounts()).toBe(before.mounts);
  expect(await eventually(() => processesWith(word).length === 0, 2000)).toBe(true);
  expect(sandboxCgroups().filter((path) => runs.some((id) => path.endsWith(`sandbox-${id}`)))).toEqual([]);
});

describe("close", () => {
  test("gives back every descriptor", async () => {
    const { sandbox: warm } = await make();
    await warm.run(["/bin/true"]);
    const before = descriptors();
    const { sandbox, directory } = await make();
    const script = join(directory, "script");
    writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 });
    await sandbox.run(["/bin/true"]);
    await sandbox.run([script]);
    sandbox.close();
    expect(await eventually(() => descriptors() === before, 2000)).toBe(true);
  });

  test("while a run goes on lets it end, and the log has its end", async () => {
    const { sandbox, records } = await make();
    const running = sandbox.run(["/bin/sh", "-c", "sleep 0.3; echo done"]);
    sandbox.close();
    expect(await running).toMatchObject({ reason: "exited", stdout: "done\n" });
    expect(records().at(-1)).toMatchObject({ kind: "run-end" });
  });

  test("twice is no error", async () => {
    const { sandbox } = await make();
    sandbox.close();
    expect(() => sandbox.close()).not.toThrow();
  });
});
