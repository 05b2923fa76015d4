/**
 * Bytes → JSON tree with the place of every value and the source text of every number (RFC 8259, nothing more).
 *
 * Never throws on bad input and never guesses: a byte order mark, invalid UTF-8, a comment, a trailing comma, a key
 * given twice, an unpaired surrogate, nesting beyond MAX_DEPTH or more than MAX_BYTES are located problems.
 * Why not JSON.parse or a library: docs/decisions/0002-json-positions.md.
 */
import type { Checked, Problem, ProblemKind } from "../problems.ts";
import { MAX_PROBLEMS, shortPointer } from "./report.ts";
import { escapeToken, MAX_DEPTH, type Member, type Node, type Origin } from "./tree.ts";

/** Bytes; the largest profile that is read. */
export const MAX_BYTES = 1024 * 1024;

/** Thrown inside this file only, to leave the recursion at the first syntax error; duplicate keys do not stop it. */
class Stop extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** `file` is how problems call the document. */
export function parseJson(bytes: Uint8Array, file: string): Checked<Node> {
  const at = (line: number, column: number, message: string, expected?: string): Checked<Node> => ({
    ok: false,
    problems: [
      {
        kind: "profile-syntax",
        where: { kind: "profile", file, pointer: "", line, column },
        pointer: "",
        message,
        ...(expected === undefined ? {} : { expected }),
      },
    ],
  });
  if (bytes.length > MAX_BYTES) {
    return at(1, 1, `the file has ${bytes.length} bytes`, `at most ${MAX_BYTES}`);
  }
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    return at(1, 1, "the file starts with a byte order mark", "UTF-8 without one");
  }
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    return at(1, 1, "the file is UTF-16", "UTF-8");
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // The decoder does not say where: what a lenient one keeps before its first replacement is valid.
    const valid = validPrefix(bytes);
    const before = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, valid));
    const { line, column } = lineAndColumn(before, before.length);
    const byte = (bytes[valid] ?? 0).toString(16).padStart(2, "0");
    return at(line, column, `the byte 0x${byte} is not UTF-8`, "UTF-8");
  }
  return new Parser(text, file).document();
}

/** Length of the longest prefix that is valid UTF-8 (Unicode 15, table 3-7). */
function validPrefix(bytes: Uint8Array): number {
  let at = 0;
  const between = (offset: number, low: number, high: number): boolean => {
    const byte = bytes[at + offset];
    return byte !== undefined && byte >= low && byte <= high;
  };
  const tail = (offset: number): boolean => between(offset, 0x80, 0xbf);
  for (;;) {
    const lead = bytes[at];
    if (lead === undefined) return at;
    if (lead < 0x80) at += 1;
    else if (lead >= 0xc2 && lead <= 0xdf && tail(1)) at += 2;
    else if (
      lead >= 0xe0 &&
      lead <= 0xef &&
      between(1, lead === 0xe0 ? 0xa0 : 0x80, lead === 0xed ? 0x9f : 0xbf) &&
      tail(2)
    )
      at += 3;
    else if (
      lead >= 0xf0 &&
      lead <= 0xf4 &&
      between(1, lead === 0xf0 ? 0x90 : 0x80, lead === 0xf4 ? 0x8f : 0xbf) &&
      tail(2) &&
      tail(3)
    )
      at += 4;
    else return at;
  }
}

function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (;;) {
    const next = text.indexOf("\n", start);
    if (next === -1 || next >= offset) return { line, column: offset - start + 1 };
    line += 1;
    start = next + 1;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORD = /[A-Za-z_$][A-Za-z0-9_$]*/y;

class Parser {
  readonly #text: string;
  readonly #file: string;
  readonly #problems: Problem[] = [];
  /** Tokens of the value being read; joined only when a problem needs it. */
  readonly #path: string[] = [];
  #at = 0;
  /** Line of `#lineStart`; both only grow, so that all places together cost one pass. */
  #line = 1;
  #lineStart = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  document(): Checked<Node> {
    try {
      this.#space();
      if (this.#at >= this.#text.length) this.#fail("the file is empty", "an object");
      const node = this.#value(0);
      this.#space();
      if (this.#at < this.#text.length)
        this.#fail(`${this.#seen()} follows the document`, "the end of the file");
      return this.#problems.length > 0 ? { ok: false, problems: this.#problems } : { ok: true, value: node };
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      return { ok: false, problems: [...this.#problems, error.problem] };
    }
  }

  #origin(offset: number): Origin {
    return {
      kind: "file",
      file: this.#file,
      line: this.#line,
      column: offset - this.#lineStart + 1,
    };
  }

  #problem(kind: ProblemKind, origin: Origin, message: string, expected?: string): Problem {
    const pointer = shortPointer(this.#path.map((token) => `/${escapeToken(token)}`).join(""));
    const place =
      origin.kind === "file" ? { line: origin.line, column: origin.column } : { line: 0, column: 0 };
    return {
      kind,
      where: { kind: "profile", file: this.#file, pointer, ...place },
      pointer,
      message,
      ...(expected === undefined ? {} : { expected }),
    };
  }

  #fail(message: string, expected?: string): never {
    throw new Stop(this.#problem("profile-syntax", this.#origin(this.#at), message, expected));
  }

  /** What stands at the current place, for messages. */
  #seen(): string {
    if (this.#at >= this.#text.length) return "the end of the file";
    const character = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    if (character === "/" && /^\/[/*]/.test(this.#text.slice(this.#at, this.#at + 2))) return "a comment";
    return JSON.stringify(character);
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === 0x0a) {
        this.#at += 1;
        this.#line += 1;
        this.#lineStart = this.#at;
      } else if (code === 0x20 || code === 0x09 || code === 0x0d) {
        this.#at += 1;
      } else {
        if (code === 0x2f && this.#seen() === "a comment")
          this.#fail('comments are not JSON; use a "$comment" member');
        return;
      }
    }
  }

  #value(depth: number): Node {
    if (depth > MAX_DEPTH) this.#fail(`values nest deeper than ${MAX_DEPTH} levels`);
    const origin = this.#origin(this.#at);
    const first = this.#text[this.#at];
    if (first === "{") return this.#object(depth, origin);
    if (first === "[") return this.#array(depth, origin);
    if (first === '"') return { type: "scalar", value: this.#string(), origin };
    NUMBER.lastIndex = this.#at;
    const number = NUMBER.exec(this.#text)?.[0];
    if (number !== undefined) {
      this.#at += number.length;
      if (/[0-9A-Za-z_.+-]/.test(this.#text[this.#at] ?? "")) {
        this.#fail(
          `${this.#seen()} cannot follow the number ${shorten(number)}`,
          "a decimal number as JSON has it",
        );
      }
      return { type: "scalar", value: Number(number), text: number, origin };
    }
    WORD.lastIndex = this.#at;
    const word = WORD.exec(this.#text)?.[0];
    if (word === "true" || word === "false" || word === "null") {
      this.#at += word.length;
      return { type: "scalar", value: word === "null" ? null : word === "true", origin };
    }
    return this.#fail(`${word === undefined ? this.#seen() : shorten(word)} is not a JSON value`, "a value");
  }

  #array(depth: number, origin: Origin): Node {
    const items: Node[] = [];
    this.#at += 1;
    this.#space();
    if (this.#text[this.#at] === "]") {
      this.#at += 1;
      return { type: "array", items, origin };
    }
    for (;;) {
      this.#path.push(String(items.length));
      items.push(this.#value(depth + 1));
      this.#path.pop();
      this.#space();
      const next = this.#text[this.#at];
      if (next === "]") break;
      if (next !== ",") this.#fail(`${this.#seen()} follows an array item`, '"," or "]"');
      this.#at += 1;
      this.#space();
      if (this.#text[this.#at] === "]") this.#fail("a comma follows the last item", "no trailing comma");
    }
    this.#at += 1;
    return { type: "array", items, origin };
  }

  #object(depth: number, origin: Origin): Node {
    const members = new Map<string, Member>();
    this.#at += 1;
    this.#space();
    if (this.#text[this.#at] === "}") {
      this.#at += 1;
      return { type: "object", members, origin };
    }
    for (;;) {
      if (this.#text[this.#at] !== '"')
        this.#fail(`${this.#seen()} stands where a key should`, "a key in double quotes");
      const keyOrigin = this.#origin(this.#at);
      const key = this.#string();
      this.#path.push(key);
      const first = members.get(key)?.keyOrigin;
      if (first?.kind === "file" && this.#problems.length < MAX_PROBLEMS) {
        const message = `${JSON.stringify(shorten(key))} is given twice, first at ${first.line}:${first.column}`;
        this.#problems.push(this.#problem("profile-duplicate-key", keyOrigin, message, "one of the two"));
      }
      this.#space();
      if (this.#text[this.#at] !== ":") this.#fail(`${this.#seen()} follows a key`, '":"');
      this.#at += 1;
      this.#space();
      members.set(key, { keyOrigin, node: this.#value(depth + 1) });
      this.#path.pop();
      this.#space();
      const next = this.#text[this.#at];
      if (next === "}") break;
      if (next !== ",") this.#fail(`${this.#seen()} follows a member`, '"," or "}"');
      this.#at += 1;
      this.#space();
      if (this.#text[this.#at] === "}") this.#fail("a comma follows the last member", "no trailing comma");
    }
    this.#at += 1;
    return { type: "object", members, origin };
  }

  /** From the opening quote; leaves the cursor after the closing one. */
  #string(): string {
    const text = this.#text;
    let from = this.#at + 1;
    let value = "";
    for (let at = from; ; at += 1) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        value += text.slice(from, at);
        if (/\p{Surrogate}/u.test(value))
          this.#fail("the string has an unpaired surrogate", "whole characters");
        this.#at = at + 1;
        return value;
      }
      if (Number.isNaN(code)) {
        this.#fail("the string has no end", 'a closing "');
      }
      if (code < 0x20) {
        this.#at = at;
        this.#fail(`the string has the control character ${JSON.stringify(text[at])}`, "an escape sequence");
      }
      if (code !== 0x5c) continue;
      value += text.slice(from, at);
      const letter = text[at + 1] ?? "";
      const simple = ESCAPES[letter];
      if (simple !== undefined) {
        value += simple;
        at += 1;
      } else if (letter === "u" && /^[0-9A-Fa-f]{4}$/.test(text.slice(at + 2, at + 6))) {
        value += String.fromCharCode(Number.parseInt(text.slice(at + 2, at + 6), 16));
        at += 5;
      } else {
        this.#at = at;
        this.#fail(
          `${JSON.stringify(`\\${letter}`)} is not an escape sequence of JSON`,
          'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX',
        );
      }
      from = at + 1;
    }
  }
}

/** Enough of a text to recognise it, on one line. */
export function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
