/**
 * Is the merged tree what profile.schema.json allows? Turns the validator's errors into one problem per place,
 * with what was expected and the nearest right value.
 */
import { shorten } from "./parse-json.ts";
import type { Report } from "./report.ts";
import { escapeToken, type Node, nearestNode, toPlain } from "./tree.ts";
import { EXPECTED, KEYS, type SchemaError, validateProfile } from "./validators.generated.ts";

/** Reports every misfit; gives the pointers of the values that do not fit, empty when all do. */
export function checkShape(root: Node, report: Report): readonly string[] {
  const bad = new Set<string>();
  const inexact: string[] = [];
  findInexact(root, "", inexact);
  for (const pointer of inexact) {
    const node = nearestNode(root, pointer);
    const text = node.type === "scalar" ? (node.text ?? String(node.value)) : "";
    report.add("profile-value", pointer, `${shorten(text)} is not a number that JSON readers keep exactly`, {
      expected: /^\/seccomp\/syscalls\/\d+\/args\/\d+\/value(Two)?$/.test(pointer)
        ? `the same as a text: "${shorten(text)}"`
        : "whole numbers between -9007199254740991 and 9007199254740991",
    });
    bad.add(pointer);
  }
  if (validateProfile(toPlain(root))) return [...bad];
  const said = new Set<string>(bad);
  const errors = [...(validateProfile.errors ?? [])];
  // A wrong type or a wrong kind explains the rest at its place.
  const explains = ({ keyword }: SchemaError): number =>
    Number(keyword === "type" || keyword === "discriminator");
  errors.sort((a, b) => explains(b) - explains(a));
  for (const error of errors) {
    if (report.full) break;
    const pointer = placeOf(error);
    bad.add(error.keyword === "required" || error.keyword === "discriminator" ? error.instancePath : pointer);
    if (said.has(pointer) && error.keyword !== "additionalProperties") continue;
    said.add(pointer);
    describe(error, pointer, root, report);
  }
  return [...bad];
}

function placeOf(error: SchemaError): string {
  const key =
    error.keyword === "required"
      ? error.params["missingProperty"]
      : error.keyword === "additionalProperties"
        ? error.params["additionalProperty"]
        : error.keyword === "discriminator"
          ? error.params["tag"]
          : undefined;
  return typeof key === "string" ? `${error.instancePath}/${escapeToken(key)}` : error.instancePath;
}

function describe(error: SchemaError, pointer: string, root: Node, report: Report): void {
  const schemaPlace = error.schemaPath.slice(0, error.schemaPath.lastIndexOf("/"));
  const expected = EXPECTED[schemaPlace];
  const node = nearestNode(root, error.instancePath);
  const found = sketch(node);
  switch (error.keyword) {
    case "additionalProperties": {
      const key = String(error.params["additionalProperty"]);
      const known = KEYS[schemaPlace] ?? [];
      const suggestion = report.nearest(key, known);
      report.add("profile-unknown-key", pointer, `${JSON.stringify(shorten(key))} is not known here`, {
        key: true,
        suggestion,
        expected:
          suggestion === undefined ? listOf(known.filter((name) => !name.startsWith("$"))) : undefined,
      });
      return;
    }
    case "required": {
      const key = String(error.params["missingProperty"]);
      report.add("profile-schema", error.instancePath, `${JSON.stringify(key)} is missing`, {
        expected: EXPECTED[`${schemaPlace}/properties/${key}`] ?? expected,
      });
      return;
    }
    case "discriminator": {
      const tag = String(error.params["tag"]);
      const value = error.params["tagValue"];
      const tags = EXPECTED[error.schemaPath];
      if (value === undefined) {
        report.add("profile-schema", error.instancePath, `${JSON.stringify(tag)} is missing`, {
          expected: `one of ${tags}`,
        });
        return;
      }
      const suggestion =
        typeof value === "string"
          ? report.nearest(
              value,
              (tags ?? "").split(", ").map((text) => text.slice(1, -1)),
            )
          : undefined;
      report.add(
        "profile-schema",
        `${error.instancePath}/${tag}`,
        `${sketch(nearestNode(root, `${error.instancePath}/${tag}`))} is not a type`,
        {
          expected: `one of ${tags}`,
          suggestion,
        },
      );
      return;
    }
    case "enum": {
      const allowed = (error.params["allowedValues"] as readonly unknown[])
        .filter((value) => value !== null)
        .map(String);
      const suggestion = node.type === "scalar" ? report.nearest(String(node.value), allowed) : undefined;
      report.add("profile-schema", pointer, `${found} is not a choice`, {
        expected:
          allowed.length > 8
            ? undefined
            : `one of ${allowed.map((value) => JSON.stringify(value)).join(", ")}`,
        suggestion,
      });
      return;
    }
    case "minimum":
    case "maximum":
      report.add("profile-value", pointer, `${found} is out of range`, { expected });
      return;
    case "type":
      report.add("profile-schema", pointer, wrongType(error, node, found), {
        expected: expected ?? typesOf(error),
      });
      return;
    default:
      report.add("profile-schema", pointer, `${found} does not fit`, {
        expected,
        suggestion: nearestUnit(node, expected) ?? nearestWord(node, expected, report),
      });
  }
}

function wrongType(error: SchemaError, node: Node, found: string): string {
  if (
    node.type === "scalar" &&
    typeof node.value === "number" &&
    !Number.isInteger(node.value) &&
    String(error.params["type"]).includes("integer")
  )
    return `${found} has a fraction`;
  return `${found} is ${typeName(node)}`;
}

function typesOf(error: SchemaError): string {
  const types = error.params["type"];
  const list = (Array.isArray(types) ? types : [types]).filter((name) => name !== "null").map(String);
  return list
    .map((name) =>
      name === "array" || name === "object" || name === "integer"
        ? `an ${name}`
        : name === "string"
          ? "a text"
          : `a ${name}`,
    )
    .join(" or ");
}

function typeName(node: Node): string {
  if (node.type === "array") return "an array";
  if (node.type === "object") return "an object";
  if (node.value === null) return "null";
  return { string: "a text", number: "a number", boolean: "a boolean" }[
    typeof node.value as "string" | "number" | "boolean"
  ];
}

/** The value in a message. */
export function sketch(node: Node): string {
  if (node.type === "array") return node.items.length === 0 ? "[]" : "[...]";
  if (node.type === "object") return node.members.size === 0 ? "{}" : "{...}";
  return shorten(node.text ?? JSON.stringify(node.value));
}

/** "256MB", "256 MiB", "10 sec": what was probably meant. */
function nearestUnit(node: Node, expected: string | undefined): string | undefined {
  if (node.type !== "scalar" || typeof node.value !== "string" || expected === undefined) return undefined;
  const size = /^\s*([0-9]{1,16})\s*([KMGT])i?B\s*$/i.exec(node.value);
  if (size !== null && expected.includes("a size"))
    return JSON.stringify(`${size[1]}${size[2]?.toUpperCase()}`);
  const time =
    /^\s*([0-9]{1,12})\s*(ms|millis|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\s*$/i.exec(
      node.value,
    );
  if (time !== null && expected.startsWith("a time")) {
    const word = (time[2] ?? "").toLowerCase();
    return JSON.stringify(`${time[1]}${word === "ms" || word.startsWith("mil") ? "ms" : word[0]}`);
  }
  return undefined;
}

/** Where `expected` names the choices: the nearest. */
function nearestWord(node: Node, expected: string | undefined, report: Report): string | undefined {
  if (node.type !== "scalar" || typeof node.value !== "string") return undefined;
  const words = [...(expected ?? "").matchAll(/"([a-z]+)"/g)].map((match) => match[1] ?? "");
  return report.nearest(node.value, words);
}

function listOf(known: readonly string[]): string | undefined {
  if (known.length === 1) return `only ${JSON.stringify(known[0])}`;
  return known.length === 0 ? undefined : `one of ${known.map((name) => JSON.stringify(name)).join(", ")}`;
}

/** Whole numbers beyond 2^53, and numbers whose digits a double drops. */
function findInexact(node: Node, pointer: string, found: string[]): void {
  if (node.type === "array") {
    for (const [index, item] of node.items.entries()) findInexact(item, `${pointer}/${index}`, found);
  } else if (node.type === "object") {
    for (const [key, member] of node.members)
      findInexact(member.node, `${pointer}/${escapeToken(key)}`, found);
  } else if (typeof node.value === "number" && !isKept(node.value, node.text)) {
    found.push(pointer);
  }
}

/** Whether `value`, read from `text`, is the number that was written, as far as whole numbers go. */
export function isKept(value: number, text: string | undefined): boolean {
  if (!Number.isInteger(value)) return Number.isFinite(value);
  if (!Number.isSafeInteger(value)) return false;
  const parts = text === undefined ? null : /^-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(text);
  if (parts === null) return true;
  const fraction = (parts[2] ?? "").replace(/0+$/, "");
  const digits = `${parts[1]}${fraction}`.replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return true;
  // Safe, so at most 16 digits before the point: anything longer was rounded to get here.
  const power = Number(parts[3] ?? 0) - fraction.length + (digits.length - significant.length);
  return (
    power >= 0 &&
    power < 17 &&
    significant.length < 17 &&
    Number(significant) * 10 ** power === Math.abs(value)
  );
}
