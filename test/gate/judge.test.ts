import { describe, expect, it } from "vitest";
import { nextBaseline, readBaseline } from "../../src/gate/baseline.ts";
import { exitStatusOf, type Report } from "../../src/gate/finding.ts";
import { MOST_LISTED } from "../../src/gate/judge.ts";
import { matchesPattern, relativeTo } from "../../src/gate/paths.ts";
import { readWaivers, type Waiver } from "../../src/gate/waivers.ts";
import { formatProblem } from "../../src/problems.ts";
import { FRUIT, type Fruit, judged, PEAR, policy } from "./toy.ts";

const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const RULES = FRUIT.rules.map(({ id }) => id);
const waiver = (more: Readonly<Record<string, unknown>> = {}): readonly Waiver[] => {
  const fields = {
    rule: "no-spots",
    subject: "*.json",
    object: "brown",
    reason: "ripe",
    owner: "fruit@example.org",
    expires: "2026-06-30",
    ...more,
  };
  const read = readWaivers(bytes({ waivers: [fields] }), "/base/w.json", RULES);
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join("\n"));
  return read.value;
};
const baseline = (text: string) => {
  const read = readBaseline(bytes(text), "/base/b.json");
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join("\n"));
  return read.value;
};
const shown = ({ findings }: Report) =>
  findings.map(({ rule, object, severity, state }) => `${severity} ${rule.id} ${object} ${state}`);

const strict = policy({ "no-spots": "error", "not-heavy": "warning" });
const HEAVY: Fruit = { spots: [{ name: "brown", line: 4 }], weight: 500 };

describe("findings", () => {
  it("carry place, severity and fingerprint, worst first", () => {
    const report = judged(HEAVY, policy({ "no-spots": "note", "not-heavy": "error" }));
    expect(shown(report)).toEqual(["error not-heavy weight new", "note no-spots brown new"]);
    expect(report.findings[1]?.places).toEqual([{ file: "fruit.json", line: 4, column: 3 }]);
    expect(report.findings[0]?.places).toEqual([{ file: "fruit.json", line: 0, column: 0 }]);
  });

  it("have one each also when their names differ only in what is not shown", () => {
    const spots = ["a\u0007", "a\\x07", "a\u0007"].map((name, line) => ({ name, line: line + 1 }));
    const { findings } = judged({ weight: 1, spots }, strict);
    expect(new Set(findings.map(({ fingerprint }) => fingerprint)).size).toBe(3);
  });
  it("are listed up to a number, and what is beyond is one more with theirs: a baseline knows no more of it", () => {
    const spots = (count: number) =>
      Array.from({ length: count }, (_, line) => ({ name: `s${line}`, line: line + 1 }));
    const report = judged({ weight: 1, spots: spots(MOST_LISTED + 7) }, strict);
    expect(report.findings).toHaveLength(MOST_LISTED + 1);
    expect(report.findings.at(-1)).toMatchObject({
      object: "further findings",
      message: "7 further findings of this rule are not listed one by one",
      amount: 7,
      state: "new",
    });
    const text = nextBaseline(null, report.findings, ["fruit.json"]);
    const began = process.cpuUsage();
    const known = baseline(text);
    const states = (count: number) =>
      judged({ weight: 1, spots: spots(MOST_LISTED + count) }, strict, { baseline: known }).findings.map(
        ({ state }) => state,
      );
    expect(states(7).every((state) => state === "known")).toBe(true);
    expect(states(8).filter((state) => state === "new")).toHaveLength(1);
    // Each finding is looked up, not looked for.
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(8);
  });
  it("keep their fingerprints when lines move, and have one each", () => {
    const moved: Fruit = { ...HEAVY, spots: [{ name: "brown", line: 40 }] };
    const prints = (report: Report) => report.findings.map(({ fingerprint }) => fingerprint);
    expect(prints(judged(moved, strict))).toEqual(prints(judged(HEAVY, strict)));
    const twice: Fruit = { weight: 1, spots: [4, 5, 6].map((line) => ({ name: "brown", line })) };
    expect(new Set(prints(judged(twice, strict))).size).toBe(3);
  });

  it("never write to a terminal or start a line of their own", () => {
    const hostile: Fruit = { weight: 1, spots: [{ name: "a\u001b[31m\n::error::x\u2028", line: 1 }] };
    const [finding] = judged(hostile, strict).findings;
    expect(`${finding?.object}${finding?.message}`).not.toMatch(/[\p{Cc}\p{Zl}]/u);
  });

  it("of rules that are off are not there", () => {
    expect(judged(HEAVY, policy({ "no-spots": "off" })).findings).toEqual([]);
  });
});

describe("exit status", () => {
  it("is 1 from the severity that was asked for, 0 below, 3 for what could not be analysed or when nothing was", () => {
    const report = judged({ spots: [], weight: 500 }, strict);
    expect([
      exitStatusOf(report, "error"),
      exitStatusOf(report, "warning"),
      exitStatusOf(report, "note"),
    ]).toEqual([0, 1, 1]);
    const failures = [{ subject: "x", file: "x", problems: [] }];
    expect(exitStatusOf(judged(PEAR, strict, { failures }), "error")).toBe(3);
    expect(exitStatusOf(judged(PEAR, strict, { subjects: [] }), "error")).toBe(3);
  });
});

describe("a waiver", () => {
  it("covers its finding until its last day, and says who, until when and why", () => {
    const report = judged(PEAR, strict, { waivers: waiver(), today: "2026-06-30" });
    expect(shown(report)).toEqual(["error no-spots brown waived"]);
    expect(report.findings[0]?.because).toBe("waived by fruit@example.org until 2026-06-30: ripe");
    expect(exitStatusOf(report, "note")).toBe(0);
  });

  it("past its date covers nothing, and is a finding itself, at its line", () => {
    const report = judged(PEAR, strict, { waivers: waiver(), today: "2026-07-01" });
    expect(shown(report)).toEqual([
      "error no-spots brown new",
      "error waiver-expired no-spots *.json brown new",
    ]);
    expect(report.findings[1]?.places).toEqual([{ file: "w.json", line: 1, column: 13 }]);
  });

  it("that covers nothing is a finding, unless its rule is off or its subject was not checked", () => {
    const unused = (more: Readonly<Record<string, unknown>>, rules = strict) =>
      shown(judged({ spots: [], weight: 1 }, rules, { waivers: waiver(more) }));
    expect(unused({})).toEqual(["warning waiver-unused no-spots *.json brown new"]);
    expect(unused({ subject: "other.json" })).toEqual([]);
    expect(unused({}, policy({ "no-spots": "off" }))).toEqual([]);
    expect(unused({}, policy({ "no-spots": "error", "waiver-unused": "error" }))).toEqual([
      "error waiver-unused no-spots *.json brown new",
    ]);
  });

  it("covers its object and no other: what widens is raised again", () => {
    const wider: Fruit = {
      weight: 1,
      spots: [
        { name: "brown", line: 1 },
        { name: "black", line: 2 },
      ],
    };
    expect(shown(judged(wider, strict, { waivers: waiver() }))).toEqual([
      "error no-spots brown waived",
      "error no-spots black new",
    ]);
    const upTo = waiver({ rule: "not-heavy", object: "*", upTo: 600 });
    expect(shown(judged({ spots: [], weight: 600 }, strict, { waivers: upTo }))).toEqual([
      "warning not-heavy weight waived",
    ]);
    expect(shown(judged({ spots: [], weight: 601 }, strict, { waivers: upTo }))).toContain(
      "warning not-heavy weight new",
    );
  });

  it.each<readonly [string, Readonly<Record<string, unknown>>, RegExp]>([
    ["an owner", { owner: undefined }, /w\.json:1:13 \/waivers\/0: "owner" is missing/],
    ["an end", { expires: undefined }, /"expires" is missing/],
    ["an end that is a day", { expires: "2026-02-30" }, /"2026-02-30" is not a day; expected YYYY-MM-DD/],
    ["a rule that exists", { rule: "no-spot" }, /"no-spot" is not a choice; did you mean "no-spots"\?/],
    ["a reason", { reason: "" }, /\/waivers\/0\/reason: "" is not a text/],
    ["known fields", { until: "x" }, /"until" is not known here/],
  ])("needs %s", (_what, more, expected) => {
    expect(() => waiver(more)).toThrow(expected);
  });
});

describe("a baseline", () => {
  const made = nextBaseline(null, judged(HEAVY, strict).findings, ["fruit.json"]);

  it("made once covers what was found then", () => {
    const report = judged(HEAVY, strict, { baseline: baseline(made) });
    expect(shown(report)).toEqual(["error no-spots brown known", "warning not-heavy weight known"]);
    expect(exitStatusOf(report, "note")).toBe(0);
  });

  it("does not cover what is new, nor more of the same", () => {
    const worse: Fruit = {
      weight: 501,
      spots: [
        { name: "brown", line: 4 },
        { name: "black", line: 5 },
      ],
    };
    const report = judged(worse, strict, { baseline: baseline(made) });
    expect(shown(report)).toEqual([
      "error no-spots brown known",
      "error no-spots black new",
      "warning not-heavy weight new",
    ]);
    expect(report.findings[2]?.message).toBe("it weighs 501 (the baseline knows 500, now it is 501)");
  });

  it("that lists what is gone is a finding, and updating it only takes away", () => {
    const better: Fruit = { weight: 400, spots: [{ name: "black", line: 5 }] };
    const report = judged(better, strict, { baseline: baseline(made) });
    expect(shown(report)).toEqual([
      "error no-spots black new",
      "warning not-heavy weight known",
      "warning baseline-stale no-spots fruit.json brown new",
    ]);
    const next = nextBaseline(baseline(made), report.findings, ["fruit.json"]);
    expect(baseline(next).entries.map(({ object, amount }) => [object, amount])).toEqual([["weight", 400]]);
    expect(shown(judged(HEAVY, strict, { baseline: baseline(next) }))).toEqual([
      "error no-spots brown new",
      "warning not-heavy weight new",
    ]);
  });

  it("keeps the entries of subjects that were not checked", () => {
    expect(nextBaseline(baseline(made), [], ["other.json"])).toBe(made);
  });

  it("is the same text for the same findings in any order", () => {
    const { findings } = judged(HEAVY, strict);
    expect(nextBaseline(null, findings.toReversed(), ["fruit.json"])).toBe(made);
    expect(made.split("\n")).toHaveLength(7);
  });

  it("leaves out what is waived", () => {
    const { findings } = judged(PEAR, strict, { waivers: waiver() });
    expect(baseline(nextBaseline(null, findings, ["fruit.json"])).entries).toEqual([]);
  });

  it("whose entry has the fingerprint of another finding covers nothing, and says so", () => {
    const report = judged(HEAVY, strict);
    const heavy = report.findings.find(({ object }) => object === "weight");
    // What a review reads is harmless; what it would cover is not.
    const entry = {
      fingerprint: heavy?.fingerprint,
      rule: "no-spots",
      subject: "fruit.json",
      object: "tiny",
    };
    const lying = baseline(JSON.stringify({ findings: [entry] }));
    const after = judged(HEAVY, strict, { baseline: lying });
    expect(shown(after)).toEqual([
      "error no-spots brown new",
      "warning not-heavy weight new",
      "warning baseline-stale no-spots fruit.json tiny new",
    ]);
    expect(baseline(nextBaseline(lying, after.findings, ["fruit.json"])).entries).toEqual([]);
  });

  it("amounts are finite, however they are written", () => {
    const read = readBaseline(
      bytes('{"findings":[{"fingerprint":"a","rule":"r","subject":"s","object":"o","amount":1e999}]}'),
      "b.json",
    );
    expect(read.ok ? [] : read.problems.map(({ pointer }) => pointer)).toEqual(["/findings/0/amount"]);
    expect(() => waiver({ rule: "not-heavy", upTo: "1" })).toThrow(/upTo/);
  });

  it("that somebody broke is refused at its place", () => {
    const read = readBaseline(
      bytes({ findings: [{ fingerprint: 3, rule: "r", subject: "s", object: "o" }] }),
      "b.json",
    );
    expect(read.ok ? [] : read.problems.map(formatProblem)).toEqual([
      "b.json:1:29 /findings/0/fingerprint: 3 is not a text; expected a text that is not empty",
    ]);
  });
});

describe("paths", () => {
  it.each([
    ["*.json", "a.json", true],
    ["*.json", "b/a.json", false],
    ["**.json", "b/a.json", true],
    ["profiles/**", "profiles/a/b", true],
    ["a.json", "axjson", false],
    ["CAP_*", "CAP_SYS_ADMIN", true],
    ["(a|b)", "a", false],
    ["*", "", true],
    ["**", "a/b", true],
    ["*", "a/b", false],
    ["a**b*c", "a/x/bc", true],
    ["a*b", "ab", true],
    ["a*b", "a/b", false],
    ["***", "a/b", true],
    ["", "", true],
    ["", "a", false],
  ])("%s against %s: %s", (pattern, text, expected) => {
    expect(matchesPattern(pattern, text)).toBe(expected);
  });

  it("match in time that follows their lengths, whoever wrote the pattern", () => {
    const started = performance.now();
    expect(matchesPattern(`${"*a".repeat(60)}*b`, "a".repeat(4000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it("are named relative to the directory of the check, whatever way they were given", () => {
    for (const file of ["./a/../p.json", "/base/p.json", "p.json", "/base/./x/../p.json"])
      expect(relativeTo("/base", file)).toBe("p.json");
    expect(relativeTo("/base", "/basement/p.json")).toBe("/basement/p.json");
    expect(relativeTo("/base", "../p.json")).toBe("../p.json");
  });
});
