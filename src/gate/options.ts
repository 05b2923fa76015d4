/**
 * Options of rules: a closed set of kinds, from which follow their types, the check of what a policy says, the schema for editors and
 * the table on the rule's page. Pure.
 */
import { formatSize, formatTime, parseSize, parseTime } from "../profile/units.ts";
import type { DocumentReader, Field } from "./document.ts";

export type OptionKind = { readonly about: string } & (
  | {
      readonly type: "words";
      readonly default: readonly string[];
      /** The words there are; another one is a mistake. Undefined: any. */
      readonly known?: () => readonly string[];
      /** What each word must look like; undefined: anything. */
      readonly form?: { readonly expected: string; readonly fits: (word: string) => boolean };
    }
  | { readonly type: "choice"; readonly choices: readonly string[]; readonly default: string }
  | { readonly type: "integer"; readonly default: number }
  /** Bytes, written as "256M" or a number. */
  | { readonly type: "size"; readonly default: number }
  /** Milliseconds, written as "10s" or a number of seconds. */
  | { readonly type: "time"; readonly default: number }
  | { readonly type: "flag"; readonly default: boolean }
);

export type OptionKinds = Readonly<Record<string, OptionKind>>;

/** The values that a rule gets for its kinds. */
export type OptionValues<K extends OptionKinds> = {
  readonly [N in keyof K]: K[N]["type"] extends "words"
    ? readonly string[]
    : K[N]["type"] extends "choice"
      ? string
      : K[N]["type"] extends "flag"
        ? boolean
        : number;
};

/** Every option at its default. */
export function defaultsOf(kinds: OptionKinds): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, kind.default]));
}

/** What a policy says, over what held before; problems go to the reader. */
export function readOptions(
  kinds: OptionKinds,
  field: Field,
  before: Readonly<Record<string, unknown>>,
  reader: DocumentReader,
): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = { ...before };
  for (const [name, inner] of reader.members(field, Object.keys(kinds))) {
    const kind = kinds[name];
    const value = kind === undefined ? undefined : readOption(kind, inner, reader);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function readOption(kind: OptionKind, field: Field, reader: DocumentReader): unknown {
  switch (kind.type) {
    case "words": {
      const known = kind.known?.();
      return reader.items(field).map((item) => {
        const word = reader.text(item, known) ?? "";
        if (kind.form !== undefined && !kind.form.fits(word))
          reader.report(item, `${JSON.stringify(word)} does not fit`, { expected: kind.form.expected });
        return word;
      });
    }
    case "choice":
      return reader.text(field, kind.choices);
    case "flag":
      return reader.flag(field);
    case "integer":
      return reader.number(field, "a whole number, 0 or more", (value) =>
        typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null,
      );
    case "size":
      return reader.number(field, 'a size such as "256M" or a number of bytes', parseSize);
    case "time":
      return reader.number(field, 'a time such as "10s" or a number of seconds', parseTime);
  }
  return kind satisfies never;
}

/** A value as its author would write it. */
export function formatOption(kind: OptionKind, value: unknown): string {
  if (kind.type === "size") return JSON.stringify(formatSize(value as number));
  if (kind.type === "time") return JSON.stringify(formatTime(value as number));
  return JSON.stringify(value);
}
