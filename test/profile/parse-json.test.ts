import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatProblem } from "../../src/problems.ts";
import { MAX_BYTES, parseJson } from "../../src/profile/parse-json.ts";
import { isKept } from "../../src/profile/shape.ts";
import { MAX_DEPTH, nearestNode, toPlain } from "../../src/profile/tree.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Prototypes apart, the same value. */
const same = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

// The same cases in every run; change the number to explore others.
fc.configureGlobal({ seed: 20_261_122 });

describe("parseJson", () => {
  test("reads what JSON.parse reads", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), fc.constantFrom(0, 1, 3), (text, indent) => {
        const value: unknown = JSON.parse(text);
        const written = JSON.stringify(value, null, indent);
        const parsed = parseJson(bytes(written), "x.json");
        if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join("\n"));
        expect(same(toPlain(parsed.value))).toEqual(same(value));
      }),
      { numRuns: 300 },
    );
  });

  test("refuses what JSON.parse refuses, and never throws", () => {
    const text = fc
      .array(
        fc.constantFrom(
          ...Array.from("{}[]:,\"'\\/ \n\t0123456789eE+-.truefalsn\u00e9\u{1f600}"),
          '"a"',
          "null",
          "//",
          "\\u00e9",
        ),
        {
          maxLength: 24,
        },
      )
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (candidate) => {
        let valid = true;
        try {
          JSON.parse(candidate);
        } catch {
          valid = false;
        }
        const parsed = parseJson(bytes(candidate), "x.json");
        const twice = !parsed.ok && parsed.problems.every(({ kind }) => kind === "profile-duplicate-key");
        expect(parsed.ok || twice).toBe(valid);
      }),
      { numRuns: 2000 },
    );
  });

  test("takes any bytes without a throw and says where they go wrong", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
        const parsed = parseJson(input, "x.json");
        if (parsed.ok) return;
        for (const { where } of parsed.problems) {
          expect(where.kind === "profile" && where.line >= 1 && where.column >= 1).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ["truncated two bytes", [0x22, 0xc3], "x.json:1:2 /: the byte 0xc3 is not UTF-8; expected UTF-8"],
    [
      "overlong slash",
      [0x0a, 0x22, 0xc0, 0xaf, 0x22],
      "x.json:2:2 /: the byte 0xc0 is not UTF-8; expected UTF-8",
    ],
    [
      "surrogate half",
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      "x.json:1:2 /: the byte 0xed is not UTF-8; expected UTF-8",
    ],
    [
      "beyond Unicode",
      [0x22, 0xf4, 0x90, 0x80, 0x80],
      "x.json:1:2 /: the byte 0xf4 is not UTF-8; expected UTF-8",
    ],
    [
      "after text of two and four bytes",
      [...bytes('"\u00e9\u{1f600}'), 0xff],
      "x.json:1:5 /: the byte 0xff is not UTF-8; expected UTF-8",
    ],
    ["UTF-16", [0xff, 0xfe, 0x7b, 0x00], "x.json:1:1 /: the file is UTF-16; expected UTF-8"],
  ])("refuses bytes that are not UTF-8: %s", (_, input, problem) => {
    const parsed = parseJson(Uint8Array.from(input), "x.json");
    expect(parsed.ok ? [] : parsed.problems.map(formatProblem)).toEqual([problem]);
  });

  test("knows the place of every value", () => {
    const parsed = parseJson(bytes('{\n  "a": [1,\r\n\t{"b~/": "x"}],\n  "\u{1f600}": true }'), "x.json");
    if (!parsed.ok) throw new Error("must parse");
    const place = (pointer: string) => {
      const { origin } = nearestNode(parsed.value, pointer);
      return origin.kind === "file" ? `${origin.line}:${origin.column}` : "";
    };
    expect(["", "/a", "/a/0", "/a/1", "/a/1/b~0~1", "/\u{1f600}"].map(place)).toEqual([
      "1:1",
      "2:8",
      "2:9",
      "3:2",
      "3:10",
      "4:9",
    ]);
  });

  test("keeps __proto__ and constructor as keys like any other", () => {
    const parsed = parseJson(bytes('{"__proto__": {"polluted": 1}, "constructor": 2}'), "x.json");
    if (!parsed.ok) throw new Error("must parse");
    const plain = toPlain(parsed.value) as object;
    expect(Object.keys(plain)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(plain)).toBeNull();
    expect("polluted" in {}).toBe(false);
  });

  test("allows a nesting of the limit and refuses one more, however deep", () => {
    const nested = (depth: number) => parseJson(bytes("[".repeat(depth) + "]".repeat(depth)), "x.json").ok;
    expect(nested(MAX_DEPTH + 1)).toBe(true);
    expect(nested(MAX_DEPTH + 2)).toBe(false);
    for (const open of ["[", '{"a":']) {
      const deep = parseJson(bytes(open.repeat(10_000)), "x.json");
      expect(deep.ok ? "" : deep.problems[0]?.message).toBe("values nest deeper than 64 levels");
    }
  });

  test("refuses 100 MB at once", () => {
    const started = performance.now();
    const parsed = parseJson(new Uint8Array(100 * 1024 * 1024).fill(0x20), "x.json");
    expect(parsed.ok ? "" : parsed.problems.map(formatProblem)).toEqual([
      `x.json:1:1 /: the file has 104857600 bytes; expected at most ${MAX_BYTES}`,
    ]);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test("stops collecting equal keys long before they fill memory", () => {
    const key = "k".repeat(500_000);
    const parsed = parseJson(bytes(`{"${key}":{${'"a":1,'.repeat(50_000)}"a":1}}`), "x.json");
    expect(parsed.ok ? 0 : parsed.problems.length).toBe(100);
    expect(JSON.stringify(parsed).length).toBeLessThan(200_000);
  });
});

describe("isKept", () => {
  test.each<readonly [text: string, kept: boolean]>([
    ["0", true],
    ["-0", true],
    ["1.0", true],
    ["1e3", true],
    ["100e-2", true],
    ["0.5", true],
    ["0e999999999", true],
    ["9007199254740991", true],
    ["9007199254740992", false],
    ["9007199254740993", false],
    ["18446744073709551615", false],
    ["1e400", false],
    ["1.00000000000000000001", false],
    ["0.99999999999999999999", false],
    ["1e-400", false],
  ])("%s: %s", (text, kept) => {
    expect(isKept(Number(text), text)).toBe(kept);
  });
});
