import { describe, expect, it } from "vitest";
import { formatProblem } from "../../src/problems.ts";
import { load, policyOf } from "./toy.ts";

const settingsOf = (texts: Readonly<Record<string, unknown>>, policy?: string) => {
  const loaded = load(texts, policy);
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join("\n"));
  return Object.fromEntries(
    [...loaded.value.settings].map(([id, { severity, options }]) => [id, [severity, options]]),
  );
};
const problemsOf = (texts: Readonly<Record<string, unknown>>, policy?: string): readonly string[] => {
  const loaded = load(texts, policy);
  return loaded.ok ? [] : loaded.problems.map(formatProblem);
};

describe("a policy", () => {
  it("gives severities and options, and the defaults of options it does not name", () => {
    expect(
      settingsOf({ "p.json": policyOf({ "no-spots": "error", "not-heavy": ["warning", { max: "1K" }] }) }),
    ).toEqual({
      "no-spots": ["error", { allow: [] }],
      "not-heavy": ["warning", { max: 1024 }],
    });
  });

  it("overrides what it extends rule by rule, keeping options when it gives only a severity", () => {
    const texts = {
      "/shipped/base.json": policyOf({ "no-spots": ["error", { allow: ["green"] }], "not-heavy": "error" }),
      "p.json": policyOf({ "no-spots": "warning", "not-heavy": "off" }, { extends: "base" }),
    };
    expect(settingsOf(texts)).toEqual({
      "no-spots": ["warning", { allow: ["green"] }],
      "not-heavy": ["off", { max: 100 }],
    });
  });

  it("extends several, of which the later wins, by paths relative to its own file", () => {
    const texts = {
      "a.json": policyOf({ "no-spots": "note", "not-heavy": "note" }),
      "sub/b.json": policyOf({ "no-spots": "error" }),
      "sub/p.json": policyOf({}, { extends: ["../a.json", "./b.json"] }),
    };
    expect(settingsOf(texts, "sub/p.json")).toMatchObject({
      "no-spots": ["error", {}],
      "not-heavy": ["note", {}],
    });
  });

  it.each<readonly [string, unknown, readonly string[]]>([
    [
      "a rule that does not exist, with the nearest",
      policyOf({ "no-spot": "error" }),
      ['p.json:5:5 /rules/no-spot: "no-spot" is not known here; did you mean "no-spots"?'],
    ],
    [
      "an option that does not exist",
      policyOf({ "no-spots": ["error", { allows: [] }] }),
      ['p.json:8:9 /rules/no-spots/1/allows: "allows" is not known here; did you mean "allow"?'],
    ],
    [
      "a word that an option does not know",
      policyOf({ "no-spots": ["error", { allow: ["grean"] }] }),
      ['p.json:9:11 /rules/no-spots/1/allow/0: "grean" is not a choice; did you mean "green"?'],
    ],
    [
      "a severity that does not exist",
      policyOf({ "no-spots": "errors" }),
      ['p.json:5:17 /rules/no-spots: "errors" is not a choice; did you mean "error"?'],
    ],
    [
      "a size that is none",
      policyOf({ "not-heavy": ["error", { max: "much" }] }),
      [
        'p.json:8:16 /rules/not-heavy/1/max: "much" does not fit; expected a size such as "256M" or a number of bytes',
      ],
    ],
    [
      "an array that is too long",
      policyOf({ "no-spots": ["error", {}, 3] }),
      [
        "p.json:5:17 /rules/no-spots: 3 values do not fit; expected a severity, or an array of a severity and options",
      ],
    ],
    [
      "a policy for something else",
      policyOf({ "not-known": "error" }, { checks: "image" }),
      [
        "p.json:3:13 /checks: this policy is for images, and profiles are checked; sandbox check rules lists the policies for profiles",
      ],
    ],
    [
      "what is missing",
      { rules: {} },
      ['p.json:1:1 /: "description" is missing', 'p.json:1:1 /: "checks" is missing'],
    ],
    [
      "what is not JSON",
      "{,}",
      ['p.json:1:2 /: "," stands where a key should; expected a key in double quotes'],
    ],
  ])("is refused for %s, at its place", (_what, text, expected) => {
    expect(problemsOf({ "p.json": text })).toEqual(expected);
  });

  it("is refused in a circle, and when it does not exist, where it is named", () => {
    expect(
      problemsOf({
        "p.json": policyOf({}, { extends: "./q.json" }),
        "q.json": policyOf({}, { extends: "./p.json" }),
      }),
    ).toEqual(["q.json:5:14 /extends: the policies extend each other in a circle: p.json → q.json → p.json"]);
    expect(problemsOf({ "/shipped/hardened.json": policyOf({}) }, "hardend")).toEqual([
      '--policy: there is no shipped policy "hardend"; did you mean "hardened"?',
    ]);
    expect(problemsOf({ "p.json": policyOf({}, { extends: "./none.json" }) })).toEqual([
      'p.json:5:14 /extends: there is no file "./none.json"',
    ]);
  });

  it("reports every mistake at once", () => {
    expect(problemsOf({ "p.json": policyOf({ a: "error", b: "error", "no-spots": 3 }) })).toHaveLength(3);
  });
});
