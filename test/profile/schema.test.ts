/**
 * The schema, the defaults, the code and the pages say the same: no field that nobody reads, no default that differs,
 * no page that is missing or stale.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
// @ts-expect-error a script without types
import { renderReference } from "../../scripts/profile-reference.mjs";
// @ts-expect-error a script without types
import { generate } from "../../scripts/validators.mjs";
import { PROBLEM_TITLES, type ProblemKind } from "../../src/problems.ts";
import type { AuthorProfile } from "../../src/profile/author.ts";
import { CAPABILITIES } from "../../src/profile/capability-names.ts";
import { DEFAULTS, MOUNT_DEFAULTS } from "../../src/profile/defaults.ts";
import { normalise } from "../../src/profile/normalise.ts";
import { Report } from "../../src/profile/report.ts";
import { CAPABILITY_SETS, CONTROLS, DEVICES, NAMESPACES, RLIMITS } from "../../src/profile/spec.ts";
import { fromValue, type Node } from "../../src/profile/tree.ts";

const top = fileURLToPath(new URL("../..", import.meta.url));

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Record<string, Schema>;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly additionalProperties?: boolean | Schema;
}

const schema = JSON.parse(readFileSync(`${top}profiles/profile.schema.json`, "utf8")) as Schema;
const follow = (node: Schema): Schema =>
  node.$ref === undefined ? node : { ...schema.$defs?.[node.$ref.replace("#/$defs/", "")], ...node };

/** Every field that an author can write, with the way to a whole profile that has a value there. */
function* leaves(
  raw: Schema,
  name: string,
  current: unknown,
  build: (value: unknown) => unknown,
): Generator<{ name: string; node: Schema; current: unknown; build: (value: unknown) => unknown }> {
  const node = follow(raw);
  if (node.oneOf !== undefined) {
    for (const one of node.oneOf)
      yield* leaves(one, `${name}<${String(one.properties?.["type"]?.const)}>`, undefined, build);
    return;
  }
  if (node.items !== undefined && (follow(node.items).properties || follow(node.items).oneOf)) {
    yield* leaves(node.items, `${name}[]`, undefined, (value) => build([value]));
    return;
  }
  if (node.properties === undefined) {
    if (typeof node.additionalProperties === "object" && follow(node.additionalProperties).properties)
      yield* leaves(node.additionalProperties, `${name}.stack`, undefined, (value) =>
        build({ stack: value }),
      );
    else yield { name, node, current, build };
    return;
  }
  const required = Object.fromEntries(
    (node.required ?? []).map((key) => [
      key,
      follow(node.properties?.[key] ?? {}).const ?? follow(node.properties?.[key] ?? {}).examples?.[0],
    ]),
  );
  const whole =
    typeof current === "object" && current !== null ? (current as Record<string, unknown>) : required;
  if (typeof current === "string") yield { name, node, current, build };
  for (const [key, child] of Object.entries(node.properties)) {
    if (follow(child).const !== undefined) continue;
    yield* leaves(child, `${name}.${key}`, whole[key], (value) => build({ ...whole, [key]: value }));
  }
}

function* allLeaves() {
  for (const [key, node] of Object.entries(schema.properties ?? {})) {
    const current = key === "seccomp" ? undefined : (DEFAULTS as Record<string, unknown>)[key];
    yield* leaves(node, key, current, (value) => ({ ...DEFAULTS, [key]: value }));
  }
}

const specOf = (author: unknown): string => {
  const report = new Report(fromValue({}, { kind: "outside", source: { kind: "default" } }) as Node, []);
  return JSON.stringify(normalise(author as AuthorProfile, "x", report), (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
};

/** A right value other than `value`. */
function another({ enum: choices, examples = [] }: Schema, value: unknown): unknown {
  const candidates = [...examples, ...(choices ?? [])].filter((candidate) => candidate !== null);
  const other = candidates.find((candidate) => JSON.stringify(candidate) !== JSON.stringify(value));
  if (other !== undefined) return other;
  if (typeof value === "number") return value + 1;
  return /^[0-9]/.test(String(value)) ? `9${String(value)}` : `${String(value)}x`;
}

/** Written for readers, or for other runtimes; documented to have no effect. */
const WITHOUT_EFFECT = /(^|\.)(\$schema|\$comment|comment|extends)$|archMap/;

describe("every field of the schema", () => {
  test.each(
    [...allLeaves()]
      .filter(({ name }) => !WITHOUT_EFFECT.test(name))
      .map((leaf) => [leaf.name, leaf] as const),
  )("%s changes the spec", (_, { node, current, build }) => {
    expect(specOf(build(another(node, current)))).not.toBe(specOf(build(current)));
  });

  test("has a description and an example", () => {
    for (const { name, node } of allLeaves()) {
      expect(node.description, name).toMatch(/\S/);
      expect(node.examples?.length, name).toBeGreaterThan(0);
    }
  });

  test("shows the default that the code uses", () => {
    const shown: Record<string, unknown> = {};
    for (const { name, node } of allLeaves())
      if (node.default !== undefined && node.default !== null) shown[name] = node.default;
    const used: Record<string, unknown> = {};
    const visit = (value: unknown, name: string): void => {
      if (shown[name] !== undefined || typeof value !== "object" || value === null || Array.isArray(value)) {
        if (value !== null) used[name] = value;
        return;
      }
      for (const [key, child] of Object.entries(value)) visit(child, name === "" ? key : `${name}.${key}`);
    };
    visit(DEFAULTS, "");
    const mount = Object.fromEntries(
      Object.entries(shown).filter(([name]) => name.startsWith("filesystem.mounts[]")),
    );
    expect(mount).toEqual({
      "filesystem.mounts[]<bind>.options": [],
      "filesystem.mounts[]<bind>.optional": MOUNT_DEFAULTS.bind.optional,
      "filesystem.mounts[]<tmpfs>.size": MOUNT_DEFAULTS.tmpfs.size,
      "filesystem.mounts[]<tmpfs>.inodes": MOUNT_DEFAULTS.tmpfs.inodes,
      "filesystem.mounts[]<tmpfs>.mode": MOUNT_DEFAULTS.tmpfs.mode,
      "filesystem.mounts[]<tmpfs>.options": [],
      "filesystem.mounts[]<file>.mode": MOUNT_DEFAULTS.file.mode,
    });
    const structured = /\[\]|^seccomp|^filesystem\.(root|mounts)|^resources\.(io|rlimits)/;
    const plain = (table: Record<string, unknown>) =>
      Object.fromEntries(Object.entries(table).filter(([name]) => !structured.test(name)));
    expect(plain(shown)).toEqual(plain(used));
  });

  test("names what the spec names", () => {
    const keys = (name: string) =>
      Object.keys(schema.properties?.[name]?.properties ?? {}).filter((key) => key !== "$comment");
    expect(keys("namespaces")).toEqual([...NAMESPACES]);
    expect(keys("capabilities")).toEqual([...CAPABILITY_SETS]);
    expect(keys("require")).toEqual([...CONTROLS]);
    const text = JSON.stringify(schema);
    for (const name of [...DEVICES, ...RLIMITS]) expect(text).toContain(name);
    expect(CAPABILITIES.length).toBe(41);
  });
});

describe("the validator", () => {
  test("is compiled ahead and loads no library", () => {
    const code = generate() as string;
    expect(code).not.toMatch(/\brequire\(|\bimport\b.*from/);
    expect(code).not.toMatch(/\beval\(|new Function/);
  });
});

describe("the pages", () => {
  test("the reference is current", () => {
    expect(
      readFileSync(`${top}docs/profile-reference.md`, "utf8"),
      "run node scripts/profile-reference.mjs",
    ).toBe(renderReference(schema));
  });

  const mine = Object.keys(PROBLEM_TITLES).filter((kind) =>
    /^profile-|^flag-|^command-|^path-/.test(kind),
  ) as ProblemKind[];
  test.each(mine)("%s is explained", (kind) => {
    const file = `${top}docs/problems/${kind}.md`;
    expect(existsSync(file)).toBe(true);
    const page = readFileSync(file, "utf8");
    expect(page.startsWith(`# ${PROBLEM_TITLES[kind]}\n`)).toBe(true);
    for (const part of ["**Cause.**", "**Fix.**"]) expect(page).toContain(part);
  });
});
