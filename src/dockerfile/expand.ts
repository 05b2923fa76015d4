/**
 * Variables of a Dockerfile: `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:+word}` and the forms without a colon (Dockerfile reference,
 * "Environment replacement"). What is not known, such as a build argument without a default, leaves a gap; so does a form that is not known.
 */
import type { Expanded } from "./dockerfile.ts";

/** Values of variables; a name that maps to null has a value that is not known. */
export interface Scope {
  readonly values: ReadonlyMap<string, string | null>;
  /** What a name that is not there means: null in a stage, where the base image may have set it. */
  readonly otherwise: "" | null;
}

/** Characters; values that are built from each other grow beyond any bound, and a longer one is in no history. */
const LONGEST = 65_536;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;

/** Expands variables and takes quotes away. `escape` is the file's escape character. */
export function expand(text: string, scope: Scope, escape: string): Expanded {
  const parts: (string | null)[] = [];
  let plain = "";
  const gap = (): void => {
    if (plain !== "") parts.push(plain);
    plain = "";
    if (parts.at(-1) !== null || parts.length === 0) parts.push(null);
  };
  let quote: "'" | '"' | null = null;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === escape && quote !== "'" && at + 1 < text.length) {
      plain += text[++at] ?? "";
    } else if ((character === "'" || character === '"') && (quote === null || quote === character)) {
      quote = quote === null ? character : null;
    } else if (character === "$" && quote !== "'") {
      const found = variable(text, at, scope);
      if (found === null) plain += character;
      else {
        at = found.end;
        if (found.value === null || plain.length + found.value.length > LONGEST) gap();
        else plain += found.value;
      }
    } else plain += character;
  }
  if (plain !== "" || parts.length === 0) parts.push(plain);
  return parts;
}

/** The variable at `at` and the index of its last character; null when the "$" is only a character. */
function variable(
  text: string,
  at: number,
  scope: Scope,
): { readonly value: string | null; readonly end: number } | null {
  if (text[at + 1] !== "{") {
    const [name] = NAME.exec(text.slice(at + 1, at + 257)) ?? [];
    if (name === undefined) return null;
    return { value: valueOf(name, scope), end: at + name.length };
  }
  const end = text.indexOf("}", at);
  if (end < 0) return { value: null, end: text.length };
  const inner = text.slice(at + 2, end);
  const [name] = NAME.exec(inner.slice(0, 256)) ?? [];
  if (name === undefined) return { value: null, end };
  const form = /^(:?[-+])?/.exec(inner.slice(name.length))?.[0] ?? "";
  const word = inner.slice(name.length + form.length);
  const isSet = scope.values.has(name) || scope.otherwise === null;
  const value = valueOf(name, scope);
  // Nested variables, and forms such as ${NAME#pattern}, are what only the builder knows.
  if (word.includes("$") || word.includes("{") || (form === "" && word !== "")) return { value: null, end };
  if (form === "") return { value, end };
  if (isSet && value === null) return { value: null, end };
  const counts = form.startsWith(":") ? value !== "" : isSet;
  return { value: form.endsWith("-") ? (counts ? value : word) : counts ? word : "", end };
}

const valueOf = (name: string, { values, otherwise }: Scope): string | null =>
  values.has(name) ? (values.get(name) ?? null) : otherwise;

/** The text, when all of it is known. */
export const knownText = (parts: Expanded): string | null => (parts.includes(null) ? null : parts.join(""));
