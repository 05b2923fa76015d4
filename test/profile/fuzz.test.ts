/** Whatever a profile holds: an answer within a second, never a throw, and no answer that is looser than what was written. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatProblem, PROBLEM_TITLES } from "../../src/problems.ts";
import type { Override } from "../../src/profile/spec.ts";
import { resolveText, shipped } from "./memory-files.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const profiles = (shipped.names?.() ?? []).map((name) => readFileSync(shipped.builtin(name) ?? "", "utf8"));

const strange = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
  fc.constantFrom<Json>(
    "__proto__",
    "constructor",
    "",
    "\0",
    "/",
    "..",
    "/..",
    "-1",
    "1e999",
    "256M",
    "10s",
    "unlimited",
    "none",
    "host",
    "SCMP_ACT_ALLOW",
    -0,
    0,
    1,
    2 ** 53,
    2 ** 53 - 1,
    4294967295,
    1e308,
    0.5,
    true,
    false,
    null,
    [],
    {},
    [[]],
    [{}],
    [null],
    { type: "bind" },
    { type: "constructor" },
    { constructor: 1 },
  ),
);

/** Goes down as the choices say and changes something there. */
function mutate(document: Json, choices: readonly number[], value: Json, key: string): Json {
  const [choice = 0, ...rest] = choices;
  if (typeof document !== "object" || document === null || rest.length === 0) return value;
  if (Array.isArray(document)) {
    if (document.length === 0) return [value];
    const index = choice % document.length;
    if (choice % 5 === 0) return [...document, value];
    if (choice % 7 === 0) return [...document, document[index] ?? null];
    return document.map((item, at) => (at === index ? mutate(item, rest, value, key) : item));
  }
  const keys = Object.keys(document);
  const chosen = keys[choice % Math.max(keys.length, 1)];
  if (chosen === undefined || choice % 11 === 0) return { ...document, [key]: value };
  const { [chosen]: child = null, ...others } = document;
  if (choice % 13 === 0) return others;
  if (choice % 17 === 0) return { ...others, [key]: child };
  return { ...document, [chosen]: mutate(child, rest, value, key) };
}

const mutations = fc.array(
  fc.tuple(
    fc.array(fc.nat(1000), { minLength: 1, maxLength: 6 }),
    strange,
    fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom("__proto__", "constructor", "toString", "valueOf", "type"),
    ),
  ),
  { minLength: 1, maxLength: 4 },
);

/** `within`: milliseconds of processor time, so that a busy machine fails nothing. */
function answer(
  text: string | Uint8Array,
  overrides: readonly Override[] = [],
  within = 1000,
): ReturnType<typeof resolveText> {
  const started = process.cpuUsage();
  const result = resolveText(text, overrides);
  const { user, system } = process.cpuUsage(started);
  expect((user + system) / 1000).toBeLessThan(within);
  const problems = result.ok ? [] : result.problems;
  expect(problems.length > 0).toBe(!result.ok);
  expect(problems.length).toBeLessThanOrEqual(100);
  for (const problem of problems) {
    expect(PROBLEM_TITLES).toHaveProperty(problem.kind);
    expect(formatProblem(problem).split("\n").length, formatProblem(problem)).toBe(1);
  }
  expect(Object.keys(Object.prototype)).toEqual([]);
  return result;
}

// The same cases in every run; change the number to explore others.
fc.configureGlobal({ seed: 20_261_122 });

describe("fuzzed profiles", () => {
  test("mutations of the shipped profiles are answered", () => {
    fc.assert(
      fc.property(fc.constantFrom(...profiles), mutations, (text, edits) => {
        let document = JSON.parse(text) as Json;
        for (const [choices, value, key] of edits) document = mutate(document, choices, value, key);
        answer(JSON.stringify(document));
      }),
      { numRuns: 500 },
    );
  });

  test("mutated bytes of the shipped profiles are answered", () => {
    const edits = fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(fc.constantFrom(...profiles), edits, (text, changes) => {
        const bytes = new TextEncoder().encode(text);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        answer(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test("an unknown key is never accepted, wherever it stands", () => {
    const key = fc
      .string({ minLength: 1, maxLength: 12 })
      .filter((name) => !/^(\$comment|\$schema)$/.test(name));
    const places = [
      "namespaces",
      "identity",
      "filesystem",
      "capabilities",
      "resources",
      "network",
      "process",
      "audit",
      "require",
    ];
    fc.assert(
      fc.property(fc.constantFrom(...places), key, strange, (section, name, value) => {
        fc.pre(value !== null);
        const text = JSON.stringify({
          extends: "strict",
          [section]: JSON.parse(`{${JSON.stringify(`${name}?`)}: ${JSON.stringify(value)}}`) as Json,
        });
        const result = answer(text);
        expect(result.ok ? [] : result.problems.map(({ kind }) => kind)).toContain("profile-unknown-key");
      }),
      { numRuns: 300 },
    );
  });

  test("overrides with any pointer and value are answered", () => {
    const pointer = fc.oneof(
      fc.string({ maxLength: 20 }),
      fc
        .array(
          fc.constantFrom(
            "filesystem",
            "mounts",
            "0",
            "-",
            "seccomp",
            "syscalls",
            "resources",
            "rlimits",
            "__proto__",
            "constructor",
            "~0",
            "~2",
            "",
            "environment",
            "set",
          ),
          { maxLength: 20 },
        )
        .map((tokens) => tokens.map((token) => `/${token}`).join("")),
    );
    fc.assert(
      fc.property(pointer, fc.oneof(strange, fc.anything()), (place, value) => {
        answer('{"extends": "strict"}', [{ pointer: place, value, source: { kind: "flag", flag: "--set" } }]);
      }),
      { numRuns: 500 },
    );
  });
});

describe("hostile profiles at the size limit", () => {
  const filled = (one: (index: number) => string, open: string, close: string): string => {
    const parts: string[] = [];
    for (let length = open.length + close.length; length < 1_000_000; ) {
      const part = one(parts.length);
      parts.push(part);
      length += part.length + 1;
    }
    return `${open}${parts.join(",")}${close}`;
  };
  const key = (index: number): string => `"k${index}":1`;
  test.each<readonly [string, string]>([
    ["unknown keys", filled(key, '{"extends":"base","resources":{', "}}")],
    ["unknown keys below a long one", filled(key, `{"extends":"base","${"k".repeat(500_000)}":{`, "}}")],
    ["limits", filled(key, '{"extends":"base","resources":{"rlimits":{', "}}}")],
    [
      "well-formed limits",
      filled(
        (index) => `"k${index}":{"soft":1,"hard":1}`,
        '{"extends":"base","resources":{"rlimits":{',
        "}}}",
      ),
    ],
    ["variables", filled((index) => `"k${index}":"x"`, '{"extends":"base","environment":{"set":{', "}}}")],
    ["wrong mounts", filled(() => "1", '{"extends":"base","filesystem":{"mounts":[', "]}}")],
    [
      "mounts",
      filled(
        (index) => `{"type":"tmpfs","target":"/a/${index}"}`,
        '{"extends":"base","filesystem":{"mounts":[',
        "]}}",
      ),
    ],
    ["masked paths", filled((index) => `"/${index}"`, '{"extends":"base","filesystem":{"masked":[', "]}}")],
    [
      "capabilities",
      filled((index) => `"CAP_${index}"`, '{"extends":"base","capabilities":{"bounding":[', "]}}"),
    ],
    ["devices", filled((index) => `"dev${index}"`, '{"extends":"base","filesystem":{"devices":[', "]}}")],
    [
      "id ranges",
      filled(
        (index) => `{"containerID":${index},"hostID":${index},"size":1}`,
        '{"extends":"base","identity":{"map":{"uidMappings":[',
        '],"gidMappings":[]}}}',
      ),
    ],
    [
      "seccomp rules",
      filled(
        () => '{"names":["read"],"action":"SCMP_ACT_ALLOW"}',
        '{"seccomp":{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[',
        "]}}",
      ),
    ],
    [
      "inexact numbers",
      filled(() => "9007199254740993", '{"extends":"base","filesystem":{"mounts":[', "]}}"),
    ],
    ["patterns", filled(() => '"("', '{"extends":"base","audit":{"redact":[', "]}}")],
    ["one long number", `{"extends":"base","resources":{"pids":1${"0".repeat(900_000)}}}`],
    ["one long text", `{"extends":"base","identity":{"hostname":"${"a-".repeat(400_000)}"}}`],
  ])("%s", (_, text) => {
    // Generous for a busy machine; work that grows with the square of the size takes minutes.
    answer(text, [], 4000);
  });
});
