/**
 * Strict reading of the gate's own JSON files (policies, waivers, baselines): bytes → located tree → typed values. Every mistake is
 * collected with its line and column; a missing or wrong value gives undefined or nothing, and the caller returns no document then.
 */
import { formatPlace, type Problem, type ProblemKind } from "../problems.ts";
import { nearest } from "../profile/nearest.ts";
import { parseJson, shorten } from "../profile/parse-json.ts";
import { MAX_PROBLEMS, shortPointer } from "../profile/report.ts";
import { sketch } from "../profile/shape.ts";
import { escapeToken, type Node, type Origin, toProvenance } from "../profile/tree.ts";
import type { Place } from "./rule.ts";

/** A value of the document and where it is. */
export interface Field {
  readonly node: Node;
  readonly pointer: string;
}

export class DocumentReader {
  readonly problems: Problem[] = [];
  readonly #kind: ProblemKind;
  readonly #file: string;

  /** `kind`: of every problem of this document. */
  constructor(kind: ProblemKind, file: string) {
    this.#kind = kind;
    this.#file = file;
  }

  /** The whole document; null when it is not JSON. */
  parse(bytes: Uint8Array): Field | null {
    const parsed = parseJson(bytes, this.#file);
    if (parsed.ok) return { node: parsed.value, pointer: "" };
    this.problems.push(...parsed.problems.map((problem) => ({ ...problem, kind: this.#kind })));
    return null;
  }

  report(
    field: Field,
    message: string,
    more: Pick<Problem, "expected" | "suggestion" | "hint"> = {},
    origin: Origin = field.node.origin,
  ): void {
    if (this.problems.length >= MAX_PROBLEMS) return;
    const pointer = shortPointer(field.pointer);
    this.problems.push({ kind: this.#kind, where: toProvenance(origin, pointer), pointer, message, ...more });
  }

  /** The members of an object, of which only `known` ones may be there; `$schema` and `$comment` always may. */
  *members(field: Field, known: readonly string[]): Generator<readonly [string, Field]> {
    const { node, pointer } = field;
    if (node.type !== "object") {
      this.report(field, `${sketch(node)} is not an object`, { expected: "an object" });
      return;
    }
    for (const [key, member] of node.members) {
      const inner = { node: member.node, pointer: `${pointer}/${escapeToken(key)}` };
      if (key === "$schema" || key === "$comment") continue;
      if (known.includes(key)) {
        yield [key, inner];
        continue;
      }
      const suggestion = nearest(key, known);
      this.report(
        inner,
        `${JSON.stringify(shorten(key))} is not known here`,
        suggestion === undefined ? { expected: oneOf(known) } : { suggestion: JSON.stringify(suggestion) },
        member.keyOrigin,
      );
    }
  }

  /** An object's fields by name; `required` ones that are missing are reported. */
  object(
    field: Field,
    known: readonly string[],
    required: readonly string[] = [],
  ): Readonly<Record<string, Field>> {
    const found: Record<string, Field> = Object.create(null);
    for (const [key, inner] of this.members(field, known)) found[key] = inner;
    if (field.node.type === "object") {
      for (const key of required)
        if (found[key] === undefined) this.report(field, `${JSON.stringify(key)} is missing`);
    }
    return found;
  }

  items(field: Field): readonly Field[] {
    const { node, pointer } = field;
    if (node.type === "array")
      return node.items.map((item, index) => ({ node: item, pointer: `${pointer}/${index}` }));
    this.report(field, `${sketch(node)} is not an array`, { expected: "an array" });
    return [];
  }

  /** A text that is not empty; one of `known`, if given. */
  text(field: Field | undefined, known?: readonly string[]): string | undefined {
    if (field === undefined) return undefined;
    const { node } = field;
    if (node.type !== "scalar" || typeof node.value !== "string" || node.value === "") {
      this.report(field, `${sketch(node)} is not a text`, {
        expected: known === undefined ? "a text that is not empty" : oneOf(known),
      });
      return undefined;
    }
    if (known === undefined || known.includes(node.value)) return node.value;
    const suggestion = nearest(node.value, known);
    this.report(
      field,
      `${sketch(node)} is not a choice`,
      suggestion === undefined ? { expected: oneOf(known) } : { suggestion: JSON.stringify(suggestion) },
    );
    return undefined;
  }

  flag(field: Field): boolean | undefined {
    const { node } = field;
    if (node.type === "scalar" && typeof node.value === "boolean") return node.value;
    this.report(field, `${sketch(node)} is not a choice`, { expected: "true or false" });
    return undefined;
  }

  /** What `parse` makes of a number or text; null from it is a mistake. */
  number(
    field: Field,
    expected: string,
    parse: (value: string | number) => number | null,
  ): number | undefined {
    const { node } = field;
    const value =
      // 1e999 is infinite: no amount.
      node.type === "scalar" && (typeof node.value === "string" || Number.isFinite(node.value))
        ? parse(node.value as string | number)
        : null;
    if (value !== null) return value;
    this.report(field, `${sketch(node)} does not fit`, { expected });
    return undefined;
  }
}

/** Where a field was written. */
export function placeOf(field: Field): Place {
  const { origin } = field.node;
  if (origin.kind === "file") return { file: origin.file, line: origin.line, column: origin.column };
  return { file: formatPlace(origin.source), line: 0, column: 0 };
}

function oneOf(known: readonly string[]): string {
  const shown = known.length > 12 ? [...known.slice(0, 11), "..."] : known;
  return `one of ${shown.map((word) => (word === "..." ? word : JSON.stringify(word))).join(", ")}`;
}
