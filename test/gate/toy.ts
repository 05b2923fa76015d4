/** A small subject for the engine's tests: fruit, with rules of its own, and policies in memory. */
import type { Report } from "../../src/gate/finding.ts";
import { type Judgement, judge } from "../../src/gate/judge.ts";
import { loadPolicy, type Policy, type PolicyFiles } from "../../src/gate/policy.ts";
import { defineRule, type Registry } from "../../src/gate/rule.ts";
import type { Checked } from "../../src/problems.ts";

export interface Fruit {
  readonly spots: readonly { readonly name: string; readonly line: number }[];
  readonly weight: number;
}

const words = (id: string, title: string) => ({
  id,
  title,
  rationale: `Because of ${id}, and for no other reason that anybody could think of.`,
  remediation: `Do something about ${id}.`,
  references: [{ title: "fruit(7)", url: "https://example.org/fruit" }],
});

export const FRUIT: Registry<Fruit> = {
  kind: "profile",
  rules: [
    defineRule({
      ...words("no-spots", "There are no spots"),
      options: {
        allow: {
          type: "words",
          default: [],
          known: () => ["brown", "green", "black"],
          about: "spots that may be",
        },
      },
      *check({ spots }: Fruit, { allow }) {
        for (const { name, line } of spots)
          if (!allow.includes(name))
            yield {
              object: name,
              message: `it has a ${name} spot`,
              places: [{ file: "/base/fruit.json", line, column: 3 }],
            };
      },
    }),
    defineRule({
      ...words("not-heavy", "It is not heavy"),
      options: { max: { type: "size", default: 100, about: "the largest weight" } },
      *check({ weight }: Fruit, { max }) {
        if (weight > max)
          yield { object: "weight", message: `it weighs ${weight}`, places: [], amount: weight };
      },
    }),
  ],
};

/** Policies by name (shipped) or path. */
export function inMemory(texts: Readonly<Record<string, unknown>>): PolicyFiles {
  const encode = (value: unknown): Uint8Array =>
    new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value, null, 2));
  return {
    read: (path) => {
      const found = texts[path.replace(/^\/base\//, "")];
      return found === undefined ? null : encode(found);
    },
    builtin: (name) => (texts[`/shipped/${name}.json`] === undefined ? null : `/shipped/${name}.json`),
    names: () =>
      Object.keys(texts).flatMap((path) => (path.startsWith("/shipped/") ? [path.slice(9, -5)] : [])),
  };
}

export const policyOf = (rules: unknown, more: Readonly<Record<string, unknown>> = {}): unknown => ({
  description: "a policy",
  checks: "profile",
  rules,
  ...more,
});

export function load(texts: Readonly<Record<string, unknown>>, name = "./p.json"): Checked<Policy> {
  return loadPolicy(
    { policy: name, cwd: "/base", source: { kind: "flag", flag: "--policy" } },
    FRUIT,
    inMemory(texts),
  );
}

export function policy(rules: unknown): Policy {
  const loaded = load({ "p.json": policyOf(rules) });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.value;
}

export const PEAR: Fruit = { spots: [{ name: "brown", line: 4 }], weight: 50 };

/** One subject, `fruit.json`, judged with no exceptions unless given. */
export function judged(facts: Fruit, given: Policy, more: Partial<Judgement<Fruit>> = {}): Report {
  return judge({
    tool: { name: "sandbox", version: "1.2.3" },
    registry: FRUIT,
    policy: given,
    subjects: [{ subject: "fruit.json", file: "/base/fruit.json", notes: [], facts }],
    failures: [],
    waivers: [],
    baseline: null,
    today: "2026-06-01",
    base: "/base",
    ...more,
  });
}
