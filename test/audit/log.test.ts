import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sha256 } from "../../src/audit/chain.ts";
import { defaultAuditFile } from "../../src/audit/log.ts";
import { AuditError } from "../../src/audit/log-error.ts";
import { verifyLog } from "../../src/audit/verify.ts";
import { lines, numbered, open, refusal, runRecords, temporary } from "./fixture.ts";

test("records become one valid chain, over several openings", async () => {
  const file = join(temporary(), "audit.jsonl");
  const first = await open({ file });
  first.append("r1", runRecords());
  first.append("r1", [numbered(1)]);
  first.close();
  const second = await open({ file });
  const head = second.append("r2", runRecords());
  second.close();
  const result = await verifyLog(file);
  expect(result).toMatchObject({ ok: true, firstBad: null, records: lines(file).length, head });
  const records = lines(file).map((line) => JSON.parse(line));
  expect(records.map(({ seq }) => seq)).toEqual(records.map((_, index) => index + 1));
  expect(records[0]).toMatchObject({
    v: 1,
    kind: "run-start",
    run: "r1",
    prev: "0".repeat(64),
    pid: process.pid,
  });
  expect(records[0].boot).toBe(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("a run of sixty decisions is one batch: all of it, in order", async () => {
  const file = join(temporary(), "audit.jsonl");
  const log = await open({ file });
  const records = runRecords(60);
  log.append("r1", records);
  log.close();
  expect(lines(file).map((line) => JSON.parse(line).kind)).toEqual(records.map(({ kind }) => kind));
  expect((await verifyLog(file)).records).toBe(records.length);
});

test.each([1, 74, 200, 40_000])(
  "a line torn to %i bytes is cut off, and its record says so",
  async (bytes) => {
    const file = join(temporary(), "audit.jsonl");
    const log = await open({ file });
    log.append("r1", [numbered(1), numbered(2)]);
    const torn = "y".repeat(bytes);
    appendFileSync(file, torn);
    // The same log, open all the time, ...
    log.append("r1", [numbered(3)]);
    log.close();
    appendFileSync(file, torn);
    // ... and one that is opened afterwards.
    (await open({ file })).close();
    const records = lines(file).map((line) => JSON.parse(line));
    const repaired = { kind: "log-repaired", run: "", bytes, sha256: sha256(torn) };
    expect(records).toMatchObject([
      { seq: 1 },
      { seq: 2 },
      { seq: 3, ...repaired },
      { seq: 4 },
      { seq: 5, ...repaired },
    ]);
    expect((await verifyLog(file)).ok).toBe(true);
  },
);

test("a log whose first write was torn starts anew", async () => {
  const file = join(temporary(), "audit.jsonl");
  writeFileSync(file, '{"v":1,', { mode: 0o600 });
  const log = await open({ file });
  log.append("r1", [numbered(1)]);
  log.close();
  expect(lines(file).map((line) => JSON.parse(line).kind)).toEqual(["log-repaired", "decision"]);
  expect((await verifyLog(file)).ok).toBe(true);
});

test("a log that ends in a bad line is not continued", async () => {
  const file = join(temporary(), "audit.jsonl");
  const log = await open({ file });
  log.append("r1", [numbered(1)]);
  log.close();
  appendFileSync(file, "{}\n");
  expect(await refusal({ file })).toMatch(
    /^audit-corrupt .* ends in a line that is malformed; .*audit verify/,
  );
  writeFileSync(file, `${lines(file)[0]?.replace("number 1", "number 2")}\n`);
  expect(await refusal({ file })).toMatch(/^audit-corrupt .* ends in a line that is changed/);
  writeFileSync(file, Buffer.alloc(2 << 20, "z"));
  expect(await refusal({ file })).toMatch(/^audit-corrupt .* does not end in a line/);
});

test("a rotated log goes on in a new file", async () => {
  const file = join(temporary(), "audit.jsonl");
  const log = await open({ file });
  log.append("r1", [numbered(1), numbered(2)]);
  renameSync(file, `${file}.1`);
  log.append("r1", [numbered(3)]);
  log.close();
  expect(await verifyLog(`${file}.1`)).toMatchObject({ ok: true, records: 2 });
  expect(await verifyLog(file)).toMatchObject({ ok: true, records: 1 });
});

test("links, fifos, directories, devices and what others may write are refused, with the way out", async () => {
  const directory = temporary();
  const at = (name: string): string => join(directory, name);
  writeFileSync(at("target"), "", { mode: 0o600 });
  symlinkSync(at("target"), at("link"));
  execFileSync("mkfifo", ["-m", "600", at("fifo")]);
  mkdirSync(at("real"), { mode: 0o700 });
  symlinkSync(at("real"), at("linked"));
  writeFileSync(at("shared"), "", { mode: 0o600 });
  chmodSync(at("shared"), 0o620);
  mkdirSync(at("open"));
  chmodSync(at("open"), 0o777);
  const table: [string, RegExp][] = [
    [at("link"), /^audit-unwritable .*link cannot be opened: ELOOP; it is a symbolic link/],
    [at("fifo"), /fifo is not a regular file/],
    [at("real"), /real cannot be opened: EISDIR/],
    ["/dev/full", /\/dev\/full (is not a regular file|belongs|cannot be opened: EACCES)/],
    [
      at("linked/audit.jsonl"),
      new RegExp(
        `directory that is a symbolic link: .*; give the real path with --audit ${directory}/real/audit.jsonl`,
      ),
    ],
    [at("target/deep/audit.jsonl"), /cannot have its directory .*deep: ENOTDIR/],
    [at("target/audit.jsonl"), /cannot have its directory .*target: (ENOTDIR|EEXIST)/],
    [at("shared"), /may be written by others; chmod 600 .*shared/],
    [at("open/audit.jsonl"), /others may write: .*; chmod go-w .*open/],
  ];
  for (const [file, message] of table) {
    // oxlint-disable-next-line no-await-in-loop -- a short table
    expect(await refusal({ file, where: { kind: "flag", flag: "--audit" } })).toMatch(message);
  }
  expect(readFileSync(at("target"), "utf8")).toBe("");
});

test("the directory of a file that was named must be there", async () => {
  const missing = join(temporary(), "missing");
  for (const directory of [missing, join(missing, "deep"), "/proc/missing", "/proc/self/missing/deep"]) {
    const file = join(directory, "audit.jsonl");
    // oxlint-disable-next-line no-await-in-loop -- a short table
    expect(await refusal({ file, where: { kind: "flag", flag: "--audit" } })).toBe(
      `audit-unwritable --audit: the audit log ${file} cannot be opened: its directory does not exist; ` +
        `create it (mkdir -p -m 700 ${directory}), or choose another file with --audit FILE`,
    );
  }
  expect(existsSync(missing)).toBe(false);
});

test("a stream is a chain of its own, and a full one is an error", async () => {
  const file = join(temporary(), "stream");
  for (const run of ["r1", "r2"]) {
    const fd = openSync(file, "w");
    // oxlint-disable-next-line no-await-in-loop -- one stream after the other
    const log = await open({ descriptor: fd });
    log.append(run, runRecords());
    log.append(run, [numbered(1)]);
    log.close();
    closeSync(fd);
    // oxlint-disable-next-line no-await-in-loop -- one stream after the other
    expect(await verifyLog(file)).toMatchObject({ ok: true, records: lines(file).length });
  }
  const full = openSync("/dev/full", "w");
  const log = await open({ descriptor: full });
  expect(() => log.append("r1", [numbered(1)])).toThrow(AuditError);
  expect(() => log.append("r1", [numbered(1)])).toThrow("ENOSPC");
  closeSync(full);
});

test("the default file is the system's for root, else in the state directory", () => {
  expect(defaultAuditFile({ XDG_STATE_HOME: "/s" }, 0)).toBe("/var/log/sandbox/audit.jsonl");
  expect(defaultAuditFile({ XDG_STATE_HOME: "/s" }, 1000)).toBe("/s/sandbox/audit.jsonl");
  for (const state of [undefined, "", "relative"]) {
    expect(defaultAuditFile({ XDG_STATE_HOME: state }, 1000)).toBe(
      join(homedir(), ".local/state/sandbox/audit.jsonl"),
    );
  }
});
