/**
 * Reading documents of others field by field: every value with its place, every mistake collected, every field that is not understood noted.
 * Takes a JSON tree; gives plain values. Never skips silently.
 */

import { printable } from "../printable.ts";
import { formatPlace, type Problem, type ProblemKind, type Provenance } from "../problems.ts";
import { escapeToken, keyOrigin, type Node, toProvenance } from "../profile/tree.ts";
import { parseUnsigned64 } from "../profile/units.ts";

/** Something that was read and has no place in what it is read into. */
export interface Note {
  readonly where: Provenance;
  readonly message: string;
}

/** A note as a line, and one only: names of fields are whoever's wrote them. `name` for a note about the whole. */
export function formatNote({ where, message }: Note, name: string): string {
  const place = where.kind === "profile" && where.line > 0 ? formatPlace(where) : name;
  return printable(`${place}: ${message}`);
}

/** A value and its pointer in the document. */
export interface Field {
  readonly node: Node;
  readonly pointer: string;
}

export class Fields {
  readonly problems: Problem[] = [];
  readonly notes: Note[] = [];
  readonly #root: Node;

  constructor(root: Node) {
    this.#root = root;
  }

  get root(): Field {
    return { node: this.#root, pointer: "" };
  }

  place(pointer: string): Provenance {
    return toProvenance(keyOrigin(this.#root, pointer), pointer);
  }

  report({ pointer }: Field, message: string, expected?: string, kind: ProblemKind = "profile-schema"): null {
    const more = expected === undefined ? {} : { expected };
    this.problems.push({ kind, where: this.place(pointer), pointer, message, ...more });
    return null;
  }

  note({ pointer }: Field, message: string): void {
    this.notes.push({ where: this.place(pointer), message });
  }

  /** The members of an object but for nulls, or null where there is none. */
  members(field: Field, what: string): ReadonlyMap<string, Field> | null {
    const { node, pointer } = field;
    if (node.type !== "object") return this.report(field, `${what} is not an object`, "an object");
    const found = new Map<string, Field>();
    for (const [key, member] of node.members) {
      if (member.node.type === "scalar" && member.node.value === null) continue;
      found.set(key, { node: member.node, pointer: `${pointer}/${escapeToken(key)}` });
    }
    return found;
  }

  /** Says of every member that is not among the known ones that it has no effect. */
  others(members: ReadonlyMap<string, Field>, known: readonly string[]): void {
    for (const [key, field] of members)
      if (!known.includes(key)) this.note(field, `${JSON.stringify(key)} is not carried over`);
  }

  items(field: Field | undefined, what: string): readonly Field[] {
    if (field === undefined) return [];
    const { node, pointer } = field;
    if (node.type === "array")
      return node.items.map((item, i) => ({ node: item, pointer: `${pointer}/${i}` }));
    this.report(field, `${what} is not an array`, "an array");
    return [];
  }

  text(field: Field | undefined, what: string): string | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    if (node.type === "scalar" && typeof node.value === "string") return node.value;
    this.report(field, `${what} is not a text`, "a text");
    return undefined;
  }

  texts(field: Field | undefined, what: string): readonly string[] {
    return this.items(field, what).flatMap((item) => this.text(item, `an item of ${what}`) ?? []);
  }

  /** Unsigned, up to 64 bits: numbers digit by digit as they are written, or text as our own profiles have it. */
  unsigned(field: Field | undefined, what: string): bigint | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    const written =
      node.type !== "scalar" ? undefined : typeof node.value === "number" ? node.text : node.value;
    const value = typeof written === "string" ? parseUnsigned64(written) : null;
    if (value !== null) return value;
    this.report(field, `${what} is not an unsigned number of 64 bits`, "0 to 18446744073709551615");
    return undefined;
  }

  /** An unsigned number that is at most `most`. */
  small(field: Field | undefined, what: string, most: number): number | undefined {
    const value = this.unsigned(field, what);
    if (value === undefined || field === undefined || value <= BigInt(most))
      return value === undefined ? undefined : Number(value);
    this.report(field, `${what} is ${value}`, `0 to ${most}`);
    return undefined;
  }

  /** A whole number of either sign that a double holds exactly. */
  integer(field: Field | undefined, what: string): number | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    if (node.type === "scalar" && typeof node.value === "number" && Number.isSafeInteger(node.value))
      return node.value;
    this.report(field, `${what} is not a whole number`, "a whole number");
    return undefined;
  }

  flag(field: Field | undefined, what: string): boolean | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    if (node.type === "scalar" && typeof node.value === "boolean") return node.value;
    this.report(field, `${what} is neither true nor false`, "true or false");
    return undefined;
  }
}
