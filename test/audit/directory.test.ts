/** The directory of the default file, as an ordinary user: root's is fixed. */
import { chownSync, existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lines, temporary } from "./fixture.ts";
import { type Ended, start, workerFile } from "./processes.ts";

/** An ordinary user when root runs the tests. */
const IDS = process.geteuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** A directory of that user. */
function own(): string {
  const directory = temporary();
  if (IDS.uid !== undefined) chownSync(directory, IDS.uid, IDS.gid);
  return directory;
}

/** Append one record to the default log. */
function append(environment: Readonly<Record<string, string>>): Promise<Ended> {
  return start(process.execPath, [workerFile(), "append", "", "n", "1"], { ...IDS, env: environment }).ended;
}

test("the default file gets its directories, private, and they stay", async () => {
  const state = join(own(), "a/b");
  for (const count of [1, 2]) {
    // oxlint-disable-next-line no-await-in-loop -- one run after the other
    expect(await append({ XDG_STATE_HOME: state })).toMatchObject({ code: 0, stderr: "" });
    expect(lines(join(state, "sandbox/audit.jsonl"))).toHaveLength(count);
  }
  for (const directory of ["..", ".", "sandbox"]) {
    expect(statSync(join(state, directory)).mode & 0o777).toBe(0o700);
  }
});

test("without XDG_STATE_HOME it is below the home directory", async () => {
  const home = own();
  expect(await append({ HOME: home })).toMatchObject({ code: 0, stderr: "" });
  expect(lines(join(home, ".local/state/sandbox/audit.jsonl"))).toHaveLength(1);
});

test.each([
  ["/proc/missing", /cannot have its directory \/proc\/missing\/sandbox: ENOENT/],
  ["/proc/self/fd/missing", /cannot have its directory .*: ENOENT/],
  ["/dev/null", /cannot have its directory .*: ENOTDIR; a part of the path is not a directory/],
  [`/${"x".repeat(300)}`, /cannot have its directory .*: ENAMETOOLONG/],
  [`/${"x/".repeat(3000)}`, /cannot have its directory .*: ENAMETOOLONG/],
])("where no directory can be made it is said at once: %.30s", async (state, message) => {
  const ended = await append({ XDG_STATE_HOME: state });
  expect(ended).toMatchObject({ code: 3, stdout: "" });
  expect(ended.stderr).toMatch(message);
});

test("a directory that may not be written is left alone", async () => {
  const parent = temporary();
  mkdirSync(join(parent, "closed"), { mode: 0o500 });
  if (IDS.uid !== undefined) chownSync(join(parent, "closed"), IDS.uid, IDS.gid);
  if (IDS.uid !== undefined) chownSync(parent, IDS.uid, IDS.gid);
  const ended = await append({ XDG_STATE_HOME: join(parent, "closed/state") });
  expect(ended.stderr).toMatch(/cannot have its directory .*: EACCES; choose a file that you may write/);
  expect(existsSync(join(parent, "closed/state"))).toBe(false);
});
