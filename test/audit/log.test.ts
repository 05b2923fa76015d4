import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { verifyLog } from "../../src/audit/verify.ts";
import { lines, numbered, open, runRecords, temporary } from "./fixture.ts";

test("records become one valid chain, over several openings", async () => {
  const file = join(temporary(), "state", "audit.jsonl");
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
  expect(statSync(join(file, "..")).mode & 0o777).toBe(0o700);
});
