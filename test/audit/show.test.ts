import { appendFileSync, renameSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { recordDecision } from "../../src/audit/record.ts";
import { NO_REDACTION } from "../../src/audit/redact.ts";
import { type ShowOptions, showLog } from "../../src/audit/show.ts";
import { tailLog } from "../../src/audit/tail.ts";
import { decision, lines, numbered, open, runRecords, temporary } from "./fixture.ts";

async function show(file: string, options: Partial<ShowOptions> = {}): Promise<string[]> {
  const shown: string[] = [];
  for await (const text of showLog(file, { color: false, ...options })) shown.push(text);
  return shown;
}

describe("show", () => {
  test("interleaved runs are shown one by one, and can be chosen", async () => {
    const file = join(temporary(), "audit.jsonl");
    const log = await open({ file });
    const [start, ...rest] = runRecords();
    if (start === undefined) throw new Error("no start");
    log.append("r1", [start]);
    log.append("r2", [start]);
    log.append("r2", [
      { kind: "outcome", reason: "exited", exitCode: 0, signal: null, usage: usage() },
      { ...end(rest), reason: "exited", exitStatus: 0, limits: [] },
    ]);
    log.append("r1", rest);
    log.append("r3", [numbered(1)]);
    log.close();
    expect((await show(file)).filter((line) => line.startsWith("run"))).toEqual([
      "run r2",
      "run r1",
      "run r3",
    ]);
    expect((await show(file, { run: "r1" })).join("\n")).toMatch(
      /^run r1\n.*run-start.*python3.*strict[^]*run-end/,
    );
    expect((await show(file, { failed: true })).filter((line) => line.startsWith("run"))).toEqual([
      "run r1",
      "run r3",
    ]);
    expect((await show(file)).at(-1)).toContain("no end");
    expect(await show(file, { json: true, run: "r1" })).toEqual(
      lines(file).filter((line) => line.includes('"run":"r1"')),
    );
    expect((await show(file, { color: true })).join("")).toContain("\u001b[31m");
  });

  test("a hostile text does not reach the terminal, a bad line is said", async () => {
    const file = join(temporary(), "audit.jsonl");
    const log = await open({ file });
    log.append("r1", [recordDecision(decision("a", { setting: "\u001b[2Jx\ny\u202e" }), NO_REDACTION)]);
    log.close();
    appendFileSync(file, "{}\nabc");
    const text = (await show(file)).join("\n");
    expect(text).toContain("\\x1b[2Jx\\x0ay\\u{202e}");
    expect(text).toContain("line 2 is malformed");
    expect(text).toContain("line 3 is torn");
  });
});

function usage() {
  const outcome = runRecords().find(({ kind }) => kind === "outcome");
  if (outcome?.kind !== "outcome") throw new Error("no outcome");
  return outcome.usage;
}
function end(records: readonly ReturnType<typeof numbered>[]) {
  const last = records.at(-1);
  if (last?.kind !== "run-end") throw new Error("no end");
  return last;
}

describe("tail", () => {
  test("gives the last lines, then new ones, and says when the file was replaced or cut", async () => {
    const file = join(temporary(), "audit.jsonl");
    const log = await open({ file });
    log.append(
      "r1",
      Array.from({ length: 5 }, (_, index) => numbered(index + 1)),
    );
    const stop = new AbortController();
    const seen: string[] = [];
    const next = [
      () => log.append("r1", [numbered(6)]),
      () => {
        renameSync(file, `${file}.1`);
        log.append("r1", [numbered(7)]);
      },
      () => truncateSync(file),
      () => log.append("r1", [numbered(8)]),
      () => stop.abort(),
    ];
    for await (const event of tailLog(file, { last: 2, signal: stop.signal, interval: 5 })) {
      seen.push(
        event.kind === "notice"
          ? event.text.replace(file, "it")
          : event.shown.text === null
            ? event.shown.fault
            : String(event.shown.record.setting),
      );
      if (seen.length === 2 || (seen.length > 2 && seen.length !== 4)) next.shift()?.();
    }
    log.close();
    expect(seen).toEqual([
      "number 4",
      "number 5",
      "number 6",
      "it was replaced by another file: reading it from its start",
      "number 7",
      "it became shorter: reading it from its start",
      "number 8",
    ]);
  });

  test("without following it ends", async () => {
    const file = join(temporary(), "audit.jsonl");
    const log = await open({ file });
    log.append("r1", [numbered(1)]);
    log.close();
    let count = 0;
    for await (const event of tailLog(file, { follow: false })) count += event.kind === "line" ? 1 : 0;
    expect(count).toBe(1);
  });
});
