/** The verdict over a guest: only a complete report without a failure is a success. */
import { describe, expect, it } from "vitest";

interface Verdict {
  readonly passed: number;
  readonly failed: number;
  readonly complaints: readonly string[];
}
const { collect }: { collect: Collect } = await import(new URL("host/results.mjs", import.meta.url).href);
type Collect = (
  bench: string,
  print: (line: string) => void,
  how?: { readonly leftOut?: Readonly<Record<string, string>> },
) => { take: (line: string) => void; end: (ended: string) => Verdict };

const PASS = '{"kind":"test","name":"a","state":"passed","seconds":1}';
const FAIL = '{"kind":"test","name":"b","state":"failed","seconds":1,"errors":["because\\nof this"]}';
const COMPLETE = ['{"kind":"end","tests":1}', '{"kind":"exit","status":0}'];

function judge(lines: readonly string[], ended = "off", leftOut: Readonly<Record<string, string>> = {}) {
  const printed: string[] = [];
  const results = collect("bench", (line) => printed.push(line), { leftOut });
  for (const line of lines) results.take(line);
  return { printed, ...results.end(ended) };
}

describe("a guest's report", () => {
  it("is a success when it is complete and nothing failed", () => {
    expect(judge(['{"kind":"ready","seconds":3}', PASS, ...COMPLETE])).toMatchObject({
      printed: ["ok - bench: a # 1.0 s"],
      passed: 1,
      failed: 0,
      complaints: [],
    });
  });

  it("names a failed test with its reasons", () => {
    const { printed, failed } = judge([FAIL, '{"kind":"end","tests":1}', '{"kind":"exit","status":1}']);
    expect(printed).toEqual(["not ok - bench: b # 1.0 s", "  | because", "  | of this"]);
    expect(failed).toBe(1);
  });

  it.each([
    ["says nothing", []],
    ["ran no test", ['{"kind":"end","tests":0}', '{"kind":"exit","status":0}']],
    ["stops in the middle", [PASS]],
    ["lost a line", [PASS.slice(0, 30), PASS, '{"kind":"end","tests":2}', '{"kind":"exit","status":0}']],
    ["has an error outside of tests", [PASS, '{"kind":"error","text":"no such file"}', ...COMPLETE]],
    ["says what nobody knows", [PASS, '{"kind":"what"}', ...COMPLETE]],
    ["has a runner that failed", [PASS, '{"kind":"end","tests":1}', '{"kind":"exit","status":1}']],
  ])("that %s is a failure, although no test failed", (_what, lines) => {
    const { failed, complaints } = judge(lines);
    expect(failed).toBe(0);
    expect(complaints).not.toEqual([]);
  });

  it("says why a test was left out, and fails when there is none of that name", () => {
    const skipped = '{"kind":"test","name":"x > java, both","state":"skipped"}';
    const lines = [PASS, skipped, '{"kind":"end","tests":2}', '{"kind":"exit","status":0}'];
    expect(judge(lines, "off", { java: "too large" })).toMatchObject({
      printed: ["ok - bench: a # 1.0 s", "ok - bench: x > java, both # SKIP too large"],
      complaints: [],
    });
    expect(judge(lines, "off", { java: "too large", jvm: "too large" }).complaints).toHaveLength(1);
  });

  it.each(["silent", "late", "failed"])("of a guest that was %s is a failure, complete or not", (ended) => {
    expect(judge([PASS, ...COMPLETE], ended).complaints).toHaveLength(1);
  });
});
