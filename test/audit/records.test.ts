import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { sample, string } from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_LINE } from "../../src/audit/chain.ts";
import { recordDecision, recordLimits, recordRunning } from "../../src/audit/record.ts";
import { type AuditRecord, RECORD_KINDS } from "../../src/audit/records.ts";
import { NO_REDACTION } from "../../src/audit/redact.ts";
import { verifyLog } from "../../src/audit/verify.ts";
import { decision, lines, numbered, OUTCOME, open, runRecords, temporary } from "./fixture.ts";

const schema = JSON.parse(
  readFileSync(new URL("../../src/audit/audit-record.schema.json", import.meta.url), "utf8"),
);
const valid = new Ajv2020({
  allErrors: true,
  strict: true,
  allowUnionTypes: true,
  strictRequired: false,
}).compile(schema);

/** Append and read back. */
async function written(records: readonly AuditRecord[]) {
  const file = join(temporary(), "audit.jsonl");
  const log = await open({ file });
  log.append("r1", records);
  log.close();
  expect((await verifyLog(file)).ok).toBe(true);
  return lines(file).map((line) => ({ line, record: JSON.parse(line) }));
}

function withArgv(argv: readonly string[]): AuditRecord {
  const [start] = runRecords();
  if (start?.kind !== "run-start") throw new Error("no start");
  return { ...start, argv };
}

/** One of each kind. */
function everyKind(): readonly AuditRecord[] {
  return [
    ...runRecords(),
    recordDecision(decision("a", { provenance: { kind: "flag", flag: "--memory" } }), NO_REDACTION),
    recordDecision(decision("b", { provenance: { kind: "option", option: "timeout" } }), NO_REDACTION),
    recordDecision(decision("c", { provenance: { kind: "default" }, status: "partial" }), NO_REDACTION),
    recordRunning(1000, 4242),
    { kind: "log-repaired", bytes: 7, sha256: "d".repeat(64) },
    { kind: "head-signed", head: { seq: 1, hash: "e".repeat(64) }, key: "f".repeat(64), signature: "AA==" },
  ];
}

describe("records", () => {
  test("every kind of record fits the published schema, and nothing else does", async () => {
    const all = await written(everyKind());
    expect(new Set(all.map(({ record }) => record.kind))).toEqual(new Set(RECORD_KINDS));
    for (const { record } of all) {
      expect([record.kind, valid(record), valid.errors]).toEqual([record.kind, true, null]);
      expect(valid({ ...record, more: 1 })).toBe(false);
      for (const key of Object.keys(record)) {
        const { [key]: _gone, ...less } = record;
        expect([record.kind, key, valid(less)]).toEqual([record.kind, key, false]);
      }
    }
    expect(schema.properties.kind.enum).toEqual(RECORD_KINDS);
  });

  test("no control character, bidirectional override or raw byte reaches the file", async () => {
    const nasty =
      '\u0000\u0007\u001b[31m\r\n\u007f\u0085\u009b\u00ad\u061c\u200e\u2028\u202e\u2066\ufeff "\\ é 🎉';
    const [all] = await written([recordDecision(decision("a", { setting: nasty }), NO_REDACTION)]);
    expect(all?.line).not.toMatch(
      // oxlint-disable-next-line no-control-regex -- they are what must not be there
      /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/,
    );
    expect(all?.record.setting).toBe(nasty);
  });

  test("bytes that were not UTF-8 are marked", async () => {
    const [all] = await written([withArgv(["ok", Buffer.from([0x61, 0xff]).toString("utf8"), "\ud800x"])]);
    expect(all?.record).toMatchObject({ argv: ["ok", "a\ufffd", "\ufffdx"], lossy: ["/argv/1", "/argv/2"] });
    expect(valid(all?.record)).toBe(true);
  });

  test("what is too long is shortened, marked, and still chained", async () => {
    const argvs = [
      ["x".repeat(100_000)],
      Array.from({ length: 50_000 }, (_, index) => `a${index}`),
      ["\u001b".repeat(9000)],
    ];
    const all = await written(argvs.map(withArgv));
    for (const { line, record } of all) {
      expect(Buffer.byteLength(line) + 1).toBeLessThanOrEqual(MAX_LINE);
      expect([valid(record), valid.errors]).toEqual([true, null]);
    }
    expect(all[0]?.record.cut).toEqual([{ at: "/argv/0", length: 100_000 }]);
    expect(all[0]?.record.argv[0]).toMatch(/^x{1000,}…$/);
    expect(all[1]?.record.cut).toEqual([{ at: "/argv", length: 50_000 }]);
  });

  test("any text is written as one valid line, and read back as it was or marked", async () => {
    const texts = sample(string({ unit: "binary", maxLength: 200 }), { numRuns: 300, seed: 7 });
    const all = await written(
      texts.map((setting) => recordDecision(decision("a", { setting }), NO_REDACTION)),
    );
    for (const [index, { record }] of all.entries()) {
      const text = texts[index] ?? "";
      expect(record.lossy === undefined ? record.setting : text.includes("\ufffd")).toEqual(
        record.lossy === undefined ? text : true,
      );
    }
  });

  test("every limit that was met is recorded, once", () => {
    const usage = OUTCOME.usage;
    expect(recordLimits(OUTCOME)).toEqual([
      { kind: "limit", limit: "memory", times: 1, ended: true },
      { kind: "limit", limit: "pids", times: 2, ended: false },
    ]);
    const quiet = { ...usage, oomKills: null, pidsLimitHits: 0 };
    expect(recordLimits({ reason: "exited", usage: quiet })).toEqual([]);
    expect(recordLimits({ reason: "wall-time-limit", usage: quiet })).toEqual([
      { kind: "limit", limit: "wallTime", times: 1, ended: true },
    ]);
  });

  test("time, monotonic time and number never contradict each other in one process", async () => {
    const all = await written([numbered(1), numbered(2), numbered(3)]);
    const monos = all.map(({ record }) => BigInt(record.mono));
    expect(monos).toEqual(monos.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(all.every(({ record }) => record.boot === all[0]?.record.boot)).toBe(true);
  });
});
