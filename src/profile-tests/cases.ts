/**
 * A file of profile tests: which calls, capabilities, paths and properties must be allowed or denied. Bytes → located cases; strict, since a test that
 * is not understood must not pass. Pure.
 */
import { ABIS, type Abi } from "../compile/seccomp/abi.ts";
import { allSyscalls } from "../compile/seccomp/tables.ts";
import { DocumentReader, type Field, placeOf } from "../gate/document.ts";
import type { Place } from "../gate/rule.ts";
import type { Checked } from "../problems.ts";
import { CAPABILITIES } from "../profile/capability-names.ts";
import { parseUnsigned64 } from "../profile/units.ts";
import { PROPERTIES, type PropertyId } from "../profile-rules/properties.ts";
import { ERRNO, type ErrnoName } from "../program/errno.ts";

/** What must come out; an errno is a denial with that number. */
export type Expected = "allow" | "deny" | "kill" | ErrnoName;

export type Subject =
  | {
      readonly kind: "call";
      readonly name: string;
      /** By index; null: any value. Shorter than six: any for the rest. */
      readonly args: readonly (bigint | null)[];
      readonly abi: Abi | null;
    }
  | { readonly kind: "capability"; readonly name: string }
  | { readonly kind: "read" | "write" | "execute"; readonly path: string }
  | { readonly kind: "property"; readonly id: PropertyId };

export interface Case {
  readonly name: string;
  readonly subject: Subject;
  readonly expected: Expected;
  readonly place: Place;
}

export interface TestFile {
  /** A shipped profile's name, or a path relative to the file. */
  readonly profile: string;
  readonly cases: readonly Case[];
}

const SUBJECTS = ["call", "capability", "read", "write", "execute", "property"] as const;
const PATHS = ["read", "write", "execute"] as const;

export function readTests(bytes: Uint8Array, file: string): Checked<TestFile> {
  const reader = new DocumentReader("profile-test-invalid", file);
  const document = reader.parse(bytes);
  if (document === null) return { ok: false, problems: reader.problems };
  const fields = reader.object(document, ["profile", "tests"], ["profile", "tests"]);
  const profile = reader.text(fields["profile"]) ?? "";
  const items = fields["tests"] === undefined ? [] : reader.items(fields["tests"]);
  if (items.length === 0 && fields["tests"] !== undefined)
    reader.report(fields["tests"], "there is no test", { expected: "at least one" });
  const cases = items.flatMap((item) => readCase(item, reader));
  return reader.problems.length > 0
    ? { ok: false, problems: reader.problems }
    : { ok: true, value: { profile, cases } };
}

function readCase(item: Field, reader: DocumentReader): readonly Case[] {
  const fields = reader.object(item, ["name", "expect", "args", "arch", ...SUBJECTS], ["expect"]);
  const given = SUBJECTS.filter((kind) => fields[kind] !== undefined);
  const [kind] = given;
  if (kind === undefined || given.length > 1) {
    if (item.node.type === "object")
      reader.report(
        item,
        kind === undefined ? "it tests nothing" : `it tests ${given.join(" and ")} at once`,
        {
          expected: `one of ${SUBJECTS.map((name) => JSON.stringify(name)).join(", ")}`,
        },
      );
    return [];
  }
  for (const only of ["args", "arch"] as const)
    if (kind !== "call" && fields[only] !== undefined)
      reader.report(fields[only], `${JSON.stringify(only)} is for calls`);
  const words = kind === "call" ? ["allow", "deny", "kill", ...Object.keys(ERRNO)] : ["allow", "deny"];
  const expected = reader.text(fields["expect"], words) as Expected | undefined;
  const subject = readSubject(kind, fields, reader);
  if (expected === undefined || subject === null) return [];
  const name = fields["name"] === undefined ? describe(subject, expected) : reader.text(fields["name"]);
  return name === undefined ? [] : [{ name, subject, expected, place: placeOf(item) }];
}

function readSubject(
  kind: (typeof SUBJECTS)[number],
  fields: Readonly<Record<string, Field>>,
  reader: DocumentReader,
): Subject | null {
  if (kind === "call") {
    const name = reader.text(fields["call"], allSyscalls());
    const abi = fields["arch"] === undefined ? null : reader.text(fields["arch"], ABIS);
    const args = fields["args"] === undefined ? [] : reader.items(fields["args"]);
    if (args.length > 6 && fields["args"] !== undefined)
      reader.report(fields["args"], `a call has no ${args.length} arguments`, { expected: "at most 6" });
    const values = args.map((field) => readValue(field, reader));
    if (name === undefined || abi === undefined || values.includes(undefined)) return null;
    return { kind, name, abi: abi as Abi | null, args: values.map((value) => value ?? null) };
  }
  if (kind === "capability") {
    const name = reader.text(fields["capability"], CAPABILITIES);
    return name === undefined ? null : { kind, name };
  }
  if (kind === "property") {
    const id = reader.text(fields["property"], Object.keys(PROPERTIES));
    return id === undefined ? null : { kind, id: id as PropertyId };
  }
  const path = reader.text(fields[kind]);
  if (path !== undefined && !path.startsWith("/") && fields[kind] !== undefined) {
    reader.report(fields[kind], `${JSON.stringify(path)} is not an absolute path`);
    return null;
  }
  return path === undefined ? null : { kind, path };
}

/** A number, or null for any. */
function readValue(field: Field, reader: DocumentReader): bigint | null | undefined {
  const { node } = field;
  if (node.type === "scalar" && node.value === null) return null;
  const value =
    node.type === "scalar" && (typeof node.value === "string" || typeof node.value === "number")
      ? parseUnsigned64(node.value)
      : null;
  if (value !== null) return value;
  reader.report(field, "it is not an argument", {
    expected: 'a whole number, one of 64 bits as a text such as "0xffffff9c", or null for any',
  });
  return undefined;
}

function describe(subject: Subject, expected: Expected): string {
  const what =
    subject.kind === "call"
      ? `${subject.name}(${subject.args.map((value) => (value === null ? "_" : `0x${value.toString(16)}`)).join(", ")})`
      : subject.kind === "capability"
        ? subject.name
        : subject.kind === "property"
          ? PROPERTIES[subject.id].about
          : `${subject.kind} ${subject.path}`;
  return `${what}: ${expected}`;
}

export const isPathSubject = (subject: Subject): subject is Extract<Subject, { path: string }> =>
  (PATHS as readonly string[]).includes(subject.kind);
