/** Evidence of runs: what is one, what does not count, and how it is joined with an image. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readEvidence } from "../../src/evidence-files.ts";
import { joinRuns, parseEvidence } from "../../src/image/evidence.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { layout, readGood, scratch } from "./layout.ts";
import { file, hardlink, type Member, tar } from "./tar-writer.ts";

const report = (
  opened: readonly unknown[],
  missed: readonly unknown[] = [],
  complete = missed.length === 0,
) => JSON.stringify({ exitStatus: 0, files: { root: "/r", opened, complete, missed } });

describe("a report", () => {
  test.for<readonly [string, string, RegExp]>([
    ["nothing", "", /not JSON/],
    ["a report without files", "{}", /without --record-files/],
    ["a list", "[1]", /without --record-files/],
    ["null", "null", /without --record-files/],
    ["numbers for paths", report([1]), /not as a run of this version lists them/],
    [
      "more files than an image has",
      report(Array.from({ length: 1_000_001 }, () => "/x")),
      /more than 1000000/,
    ],
    ["no list of what was missed", '{"files":{"opened":[],"complete":true}}', /not as a run/],
    [
      "files that are inherited",
      '{"__proto__":{"files":{"opened":[],"missed":[],"complete":true}}}',
      /without --record-files/,
    ],
  ])("that is %s is no evidence", ([, text, why]) => {
    expect(parseEvidence(text)).toMatch(why);
  });

  test("that is not complete without a reason is still not complete", () => {
    expect(parseEvidence(report([], [], false))).toMatchObject({
      missed: [/./].map(() => expect.any(String)),
    });
  });

  test("that cannot be read is named with the reason, each of them", () => {
    const directory = scratch();
    mkdirSync(join(directory, "dir"));
    execFileSync("mkfifo", [join(directory, "fifo")]);
    writeFileSync(join(directory, "good"), report([]));
    const read = readEvidence(["none", "dir", "fifo", "good"], directory);
    expect(read.ok ? [] : read.problems.map(({ message }) => message)).toEqual([
      '"none": it cannot be opened (ENOENT)',
      '"dir": it is not a regular file',
      '"fifo": it is not a regular file',
    ]);
    expect(readEvidence(["good", "good"], directory)).toMatchObject({ ok: true, value: { runs: 2 } });
    expect(readEvidence([], directory)).toEqual({ ok: true, value: null });
  });
});

const ELF = readFileSync("/bin/true");
const members: readonly Member[] = [
  file("app", "#!/run\n", { mode: 0o755 }),
  file("run", ELF, { mode: 0o755 }),
  hardlink("again", "run"),
  file("tool", "#!/run\nx", { mode: 0o755 }),
  file("data", "12345"),
  file("unused", "123456"),
];

async function judged(opened: readonly string[], missed: readonly string[] = []) {
  const image = await readGood(
    layout({ layers: [{ tar: tar(...members) }], config: { Entrypoint: ["/app"] } }),
  );
  const { evidence } = await factsOf(image, joinRuns([{ runs: 1, opened: new Set(opened), missed }]));
  return evidence;
}

describe("joined with an image", () => {
  test("it says what was reached and not opened, opened and not reached, and never opened at all", async () => {
    expect(await judged(["/app", "/tool", "/data"])).toEqual({
      runs: 1,
      opened: 3,
      missed: [],
      foreign: [],
      unopened: [{ path: "again", size: ELF.length, layer: 0, package: null }],
      unreached: [{ path: "tool", size: 8, layer: 0, package: null }],
      unused: { files: 2, bytes: ELF.length + 6 },
    });
  });

  test("any name of a file is the file", async () => {
    expect((await judged(["/app", "/again"]))?.unopened).toEqual([]);
  });

  test("what is not in the image is foreign, whatever its path looks like", async () => {
    const paths = ["app", "/", "/../app", "/app/", "//app", "/none", "/app/x", "\uDCFF"];
    const evidence = await judged(paths);
    expect(evidence?.foreign).toEqual(paths.toSorted());
    expect(evidence?.opened).toBe(0);
  });
});
