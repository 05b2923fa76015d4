import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { nextBaseline, readBaseline } from "../../src/gate/baseline.ts";
import type { Report } from "../../src/gate/finding.ts";
import { formatReport } from "../../src/gate/formats/index.ts";
import { escapeMarkdown } from "../../src/gate/formats/markdown.ts";
import { FORMATS } from "../../src/gate/formats/names.ts";
import { readWaivers } from "../../src/gate/waivers.ts";
import { need } from "../host/needs.ts";
import { type Fruit, judged, policy } from "./toy.ts";

const RULES = policy({ "no-spots": "error", "not-heavy": "note" });

/** Text that every format must carry without being changed by it: markup, separators, commands, controls. */
const HOSTILE = "a<b>&\"'|`*_[x](y)@all%0A\n::error::x,y:z\u0007\u{1F4A5}]]>";

function report(more: Partial<Fruit> = {}): Report {
  const facts: Fruit = {
    weight: 500,
    spots: [
      { name: "brown", line: 4 },
      { name: HOSTILE, line: 5 },
    ],
    ...more,
  };
  const waivers = readWaivers(
    new TextEncoder().encode(
      JSON.stringify({
        waivers: [
          {
            rule: "no-spots",
            subject: "**",
            object: "brown",
            reason: HOSTILE,
            owner: "me",
            expires: "2030-01-01",
          },
          {
            rule: "not-heavy",
            subject: "**",
            object: "none",
            reason: "x",
            owner: "me",
            expires: "2030-01-01",
          },
        ],
      }),
    ),
    "/base/ci/waivers.json",
    ["no-spots", "not-heavy"],
  );
  const failures = [
    {
      subject: "broken.json",
      file: "/base/broken.json",
      problems: [
        {
          kind: "profile-syntax" as const,
          where: { kind: "profile" as const, file: "broken.json", pointer: "", line: 3, column: 7 },
          pointer: "",
          message: "it is broken",
        },
      ],
    },
  ];
  return judged(facts, RULES, { waivers: waivers.ok ? waivers.value : [], failures });
}

const json = (text: string): never => JSON.parse(text) as never;

describe("every format", () => {
  it.each(FORMATS)("%s is whole text that ends in a line break, the same for the same report", (format) => {
    const text = formatReport(report(), format);
    expect(text.endsWith("\n")).toBe(true);
    expect(formatReport(report(), format)).toBe(text);
    expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });

  it.each(FORMATS)("%s names what could not be analysed", (format) => {
    expect(formatReport(report(), format)).toContain("it is broken");
  });
});

describe("sarif", () => {
  interface Run {
    readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
    readonly invocations: readonly { readonly executionSuccessful: boolean }[];
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly partialFingerprints: Readonly<Record<string, string>>;
      readonly suppressions: readonly unknown[];
      readonly locations: readonly {
        readonly physicalLocation: { readonly artifactLocation: { readonly uri: string } };
      }[];
    }[];
  }
  const run = (of: Report): Run => (json(formatReport(of, "sarif")) as { runs: [Run] }).runs[0];

  it("is valid by the schema of SARIF 2.1.0", (context) => {
    const file = fileURLToPath(
      new URL("../../node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json", import.meta.url),
    );
    need(context, existsSync(file), "the SARIF schema is not installed: npm ci");
    // Draft 4, of whose differences the schema uses only the name of the id.
    const { id, $schema: _, ...schema } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    const validate = new Ajv({
      strict: false,
      unicodeRegExp: false,
      logger: false,
      formats: { uri: true, "uri-reference": true, "date-time": true },
    }).compile({
      $id: id as string,
      ...schema,
    });
    for (const of of [report(), report({ spots: [], weight: 1 })]) {
      validate(json(formatReport(of, "sarif")));
      expect(validate.errors).toBe(null);
    }
    expect(validate({ version: "2.1.0", runs: [{ results: [{}] }] })).toBe(false);
  });

  it("points every result at its rule, at a relative path, with a fingerprint of its own", () => {
    const { results, tool } = run(report());
    expect(results.length).toBe(4);
    for (const { ruleId, ruleIndex } of results) expect(tool.driver.rules[ruleIndex]?.id).toBe(ruleId);
    for (const { locations } of results)
      expect(locations[0]?.physicalLocation.artifactLocation.uri).toMatch(/^(fruit|ci\/waivers)\.json$/);
    const prints = results.map(({ partialFingerprints }) => Object.values(partialFingerprints)[0]);
    expect(new Set(prints).size).toBe(4);
  });

  it("suppresses what is waived and known, and nothing else", () => {
    expect(run(report()).results.filter(({ suppressions }) => suppressions.length > 0)).toHaveLength(1);
  });

  it("says that the analysis failed when a subject could not be analysed", () => {
    expect(run(report()).invocations[0]?.executionSuccessful).toBe(false);
    expect(run(judged({ spots: [], weight: 1 }, RULES)).invocations[0]?.executionSuccessful).toBe(true);
  });

  it("keeps the worst 5000 results, which is what GitHub shows, and says what it left out", () => {
    const spots = Array.from({ length: 1700 }, (_, line) => ({ name: `s${line}`, line }));
    const subjects = ["a", "b", "c"].map((subject) => ({
      subject,
      file: subject,
      notes: [],
      facts: { spots, weight: 500 },
    }));
    const rules = policy({ "no-spots": "note", "not-heavy": "error" });
    const many = judged({ spots, weight: 500 }, rules, { subjects });
    expect(run(many).results).toHaveLength(5000);
    expect(run(many).results[0]?.ruleId).toBe("not-heavy");
    expect(formatReport(many, "sarif")).toContain("103 further findings are left out");
  });

  it("encodes paths as URIs", () => {
    const failures = [{ ...report().failures[0], subject: "x", file: "/base/a b/ü#.json", problems: [] }];
    const subjects = [
      { subject: "x", file: "/base/a b/ü#.json", notes: [], facts: { spots: [], weight: 500 } },
    ];
    const [result] = run(judged({ spots: [], weight: 1 }, RULES, { subjects, failures })).results;
    expect(result?.locations[0]?.physicalLocation.artifactLocation.uri).toBe("a%20b/%C3%BC%23.json");
  });
});

describe("junit", () => {
  it("is well-formed XML whose counts are right", (context) => {
    need(context, existsSync("/usr/bin/python3"), "python3 is not installed");
    const program = `
import sys, xml.etree.ElementTree as tree
top = tree.fromstring(sys.stdin.buffer.read())
for node in [top, *top.iter("testsuite")]:
    cases = list(node.iter("testcase"))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(node.get(name)) == sum(1 for case in cases if case.find(kind) is not None), (node.get("name"), name)
    assert int(node.get("tests")) == len(cases)
print("|".join(f"{c.get('classname')} {c.get('name')} {c[0].tag if len(c) else 'passed'}" for c in top.iter("testcase")))
`;
    const ended = spawnSync("/usr/bin/python3", ["-c", program], {
      input: formatReport(report(), "junit"),
      encoding: "utf8",
    });
    expect(ended.stderr).toBe("");
    expect(ended.stdout.trim().split("|")).toEqual([
      "fruit.json no-spots failure",
      "fruit.json not-heavy system-out",
      "fruit.json waiver-expired passed",
      "fruit.json waiver-unused passed",
      "fruit.json baseline-stale passed",
      "ci/waivers.json waiver-unused failure",
      "broken.json analysis error",
    ]);
  });
});

describe("github", () => {
  const commands = (of: Report, level: string) =>
    formatReport(of, "github")
      .split("\n")
      .filter((line) => line.startsWith(`::${level} `));

  it("prints one command a finding, escaped, and no other line that a runner would obey", () => {
    const lines = formatReport(report(), "github").trimEnd().split("\n");
    expect(lines.map((line) => /^(::\w+ |policy )/.exec(line)?.[0])).toEqual([
      "::error ",
      "::error ",
      "::warning ",
      "::notice ",
      "policy ",
    ]);
    expect(lines[1]).toMatch(
      /^::error file=fruit\.json,line=5,col=3,title=There are no spots \(no-spots\)::fruit\.json: it has a /,
    );
    expect(lines[1]).toContain("%250A\\x0a::error::x");
  });

  it("stays within ten annotations of a level, and says where the rest is", () => {
    const spots = Array.from({ length: 25 }, (_, line) => ({ name: `s${line}`, line: line + 1 }));
    const many = judged({ spots, weight: 1 }, RULES);
    expect(commands(many, "error")).toHaveLength(10);
    expect(commands(many, "error").at(-1)).toContain("16 more of this level");
    const text = formatReport(many, "github");
    for (const { name } of spots) expect(text).toContain(`a ${name} spot`);
  });
});

describe("gitlab", () => {
  it("has issues with unique fingerprints, relative paths and lines", () => {
    const issues: readonly {
      readonly fingerprint: string;
      readonly severity: string;
      readonly location: { readonly path: string; readonly lines: { readonly begin: number } };
    }[] = json(formatReport(report(), "gitlab"));
    expect(issues.map(({ severity }) => severity)).toEqual(["blocker", "critical", "info", "major"]);
    expect(new Set(issues.map(({ fingerprint }) => fingerprint)).size).toBe(issues.length);
    for (const { location } of issues) {
      expect(location.path).toMatch(/^[a-z]/);
      expect(location.lines.begin).toBeGreaterThan(0);
    }
  });

  it("leaves out what does not count", () => {
    expect(formatReport(report(), "gitlab")).not.toContain("brown");
  });
});

describe("markdown", () => {
  it("fits into a job summary, whatever was found", () => {
    const spots = Array.from({ length: 1900 }, (_, line) => ({
      name: `${"ü|".repeat(150)}${line}`,
      line: line + 1,
    }));
    const text = formatReport(judged({ weight: 1, spots }, RULES), "markdown");
    expect(Buffer.byteLength(text)).toBeLessThan(2 ** 20);
    expect(text).toMatch(/\n\n\d+ further rows left out: see another format/);
  });

  it("mentions nobody, links nothing and refers to no issue", () => {
    const text = escapeMarkdown("@everyone #1 https://evil.example www.evil.example");
    // What is left when a code host has taken the escapes away.
    const shown = text.replaceAll("&#8203;", "\u200b").replaceAll("&#64;", "@").replaceAll("\\", "");
    expect(shown).not.toMatch(/@\w|#\d|:\/\/|www\.\w/);
    expect(shown.replaceAll("\u200b", "")).toBe("@everyone #1 https://evil.example www.evil.example");
  });

  it("keeps a hostile name inside its cell, without markup, HTML or mentions", () => {
    const rows = formatReport(report(), "markdown")
      .split("\n")
      .filter((line) => line.startsWith("| error "));
    expect(rows).toHaveLength(1);
    expect(rows[0]?.match(/(?<!\\)\|/g)).toHaveLength(6);
    expect(rows[0]).not.toMatch(/[<>@]|(?<!\\)[[*]/);
  });
});

describe("json", () => {
  it("has every finding with what the others leave out, and the rules that were asked", () => {
    const parsed: {
      findings: readonly { state: string }[];
      rules: readonly { id: string }[];
      summary: unknown;
    } = json(formatReport(report(), "json"));
    expect(parsed.findings.map(({ state }) => state)).toEqual(["waived", "new", "new", "new"]);
    expect(parsed.rules.map(({ id }) => id)).toEqual([
      "no-spots",
      "not-heavy",
      "waiver-expired",
      "waiver-unused",
      "baseline-stale",
    ]);
    expect(parsed.summary).toEqual({ new: { error: 1, warning: 1, note: 1 }, failures: 1 });
  });
});

describe("pretty", () => {
  it("shows what to do once for each rule, and why something does not count", () => {
    const text = formatReport(report(), "pretty");
    expect(text.match(/Do something about no-spots/g)).toHaveLength(1);
    expect(text).toContain("waived by me until 2030-01-01");
    expect(text).toContain("at fruit.json:5:3");
    expect(text.trimEnd().split("\n").at(-1)).toBe(
      "policy ./p.json: 1 error, 1 warning, 1 note, 1 subject that could not be analysed; each rule has a page in docs/rules",
    );
  });

  it("says clean when nothing counts, though something is known", () => {
    const facts: Fruit = { spots: [{ name: "brown", line: 1 }], weight: 1 };
    const text = nextBaseline(null, judged(facts, RULES).findings, ["fruit.json"]);
    const read = readBaseline(new TextEncoder().encode(text), "/base/b.json");
    const known = formatReport(judged(facts, RULES, { baseline: read.ok ? read.value : null }), "pretty");
    expect(known).toMatch(/^fruit\.json: clean, 1 waived or known\n/);
  });
});
