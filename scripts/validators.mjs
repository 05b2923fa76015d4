// Compiles profiles/profile.schema.json into src/profile/validators.generated.ts, so that a run neither loads ajv nor
// compiles a schema. Beside the validator: tables by schema place, from which messages are made.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import standaloneCode from "ajv/dist/standalone/index.js";

const top = fileURLToPath(new URL("..", import.meta.url));

/** ajv reports the schema place of an error; these tables say what was right there. */
function tables(schema) {
  const expected = {};
  const keys = {};
  const visit = (node, pointer) => {
    if (node === null || typeof node !== "object") return;
    if (typeof node["x-expected"] === "string") expected[pointer] = node["x-expected"];
    if (node.discriminator) {
      const tag = node.discriminator.propertyName;
      expected[`${pointer}/discriminator`] = node.oneOf
        .map((one) => JSON.stringify(one.properties[tag].const))
        .join(", ");
    }
    if (node.properties && !Array.isArray(node.properties)) keys[pointer] = Object.keys(node.properties);
    for (const [key, child] of Object.entries(node)) {
      if (key === "examples" || key === "default") continue;
      visit(child, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
    }
  };
  visit(schema, "#");
  return { expected, keys };
}

/** The schema with every $ref replaced: ajv gives the place of an error inside a $ref without saying which. */
function expand(schema) {
  const visit = (node) => {
    if (Array.isArray(node)) return node.map(visit);
    if (node === null || typeof node !== "object") return node;
    if (typeof node.$ref === "string") return visit(schema.$defs[node.$ref.replace("#/$defs/", "")]);
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
  };
  const { $defs: _, ...rest } = schema;
  return visit(rest);
}

/** What validates, without what explains: less code to load in every run. */
function bare(node, named = false) {
  if (Array.isArray(node)) return node.map((child) => bare(child));
  if (node === null || typeof node !== "object") return node;
  const explains = (key) =>
    !named && (key.startsWith("x-") || ["$id", "description", "title", "default", "examples"].includes(key));
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key]) => !explains(key))
      .map(([key, child]) => [key, bare(child, key === "properties" && !named)]),
  );
}

export function generate(schemaFile = `${top}profiles/profile.schema.json`) {
  const schema = expand(JSON.parse(readFileSync(schemaFile, "utf8")));
  const ajv = new Ajv({
    allErrors: true,
    discriminator: true,
    strict: true,
    strictTypes: false,
    strictRequired: false,
    allowUnionTypes: true,
    messages: false,
    code: { source: true, esm: true, optimize: 2 },
  });
  const code = standaloneCode(ajv, ajv.compile(bare(schema)));
  if (/\brequire\(|^import /m.test(code))
    throw new Error("the generated validator must stand alone, but it imports something");
  const { expected, keys } = tables(schema);
  const body = code
    .replace(/^"use strict";\s*/, "")
    .replace(/export default (\w+);/, "")
    .replace(/export const validate = (\w+);/, "const validate = $1;");
  return `// @ts-nocheck
// Made by scripts/validators.mjs from profiles/profile.schema.json; do not edit.

export interface SchemaError {
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
}
export interface ProfileValidator {
  (data: unknown): boolean;
  errors?: readonly SchemaError[] | null;
}
export const validateProfile: ProfileValidator = (() => {
${body}
return validate;
})();
/** What is right at a place of the schema. */
export const EXPECTED: Readonly<Record<string, string>> = ${JSON.stringify(expected, null, 1)};
/** The keys that an object at a place of the schema may have. */
export const KEYS: Readonly<Record<string, readonly string[]>> = ${JSON.stringify(keys, null, 1)};
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const target = `${top}src/profile/validators.generated.ts`;
  // Renamed into place: tests that start at the same time read the old file or the new one, never half of one.
  const temporary = `${target}.${process.pid}`;
  writeFileSync(temporary, generate());
  renameSync(temporary, target);
}
