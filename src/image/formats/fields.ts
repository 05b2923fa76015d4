/**
 * Reads JSON documents of an image as the runtimes do. They are written in Go, whose decoder takes "user" for "User" and lets the last
 * one win: a document in which two keys mean the same field there is refused, and single ones are found whatever their case.
 */
import { parseJson } from "../../profile/parse-json.ts";
import type { Node } from "../../profile/tree.ts";
import { hostile, malformed } from "../refusal.ts";

export class Fields {
  readonly #what: string;
  readonly #byFolded = new Map<string, Node>();

  constructor(node: Node, what: string) {
    if (node.type !== "object") throw malformed(`${what} is not a JSON object`);
    this.#what = what;
    for (const [key, { node: value }] of node.members) {
      const folded = fold(key);
      if (this.#byFolded.has(folded))
        throw hostile(`${what} has the field ${key} twice, in different case: runtimes take the last one`);
      this.#byFolded.set(folded, value);
    }
  }

  /** Null when the field is missing or null. */
  node(name: string): Node | null {
    const node = this.#byFolded.get(fold(name));
    return node === undefined || (node.type === "scalar" && node.value === null) ? null : node;
  }

  text(name: string): string | null {
    const node = this.node(name);
    if (node === null) return null;
    if (node.type !== "scalar" || typeof node.value !== "string") throw this.#wrong(name, "text");
    return node.value;
  }

  flag(name: string): boolean {
    const node = this.node(name);
    if (node === null) return false;
    if (node.type !== "scalar" || typeof node.value !== "boolean") throw this.#wrong(name, "true or false");
    return node.value;
  }

  /** A whole number from 0. */
  number(name: string): number | null {
    const node = this.node(name);
    if (node === null) return null;
    const value = node.type === "scalar" ? node.value : null;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
      throw this.#wrong(name, "a whole number");
    return value;
  }

  object(name: string): Fields | null {
    const node = this.node(name);
    return node === null ? null : new Fields(node, `${this.#what}: ${name}`);
  }

  objects(name: string): readonly Fields[] {
    return this.#items(name).map((node, index) => new Fields(node, `${this.#what}: ${name}[${index}]`));
  }

  texts(name: string): readonly string[] | null {
    if (this.node(name) === null) return null;
    return this.#items(name).map((node) => {
      if (node.type !== "scalar" || typeof node.value !== "string")
        throw this.#wrong(name, "a list of texts");
      return node.value;
    });
  }

  /** An object whose keys are data; values that are not text become "". */
  table(name: string): ReadonlyMap<string, string> {
    const node = this.node(name);
    if (node === null) return new Map();
    if (node.type !== "object") throw this.#wrong(name, "an object");
    return new Map(
      [...node.members].map(([key, { node: value }]) => [
        key,
        value.type === "scalar" && typeof value.value === "string" ? value.value : "",
      ]),
    );
  }

  #items(name: string): readonly Node[] {
    const node = this.node(name);
    if (node === null) return [];
    if (node.type !== "array") throw this.#wrong(name, "a list");
    return node.items;
  }

  #wrong(name: string, expected: string): Error {
    return malformed(`${this.#what}: ${name} is not ${expected}`);
  }
}

/** Go compares keys under simple Unicode folding: ſ is s, and the Kelvin sign is k. */
const fold = (key: string): string => key.toUpperCase().toLowerCase();

export function parseDocument(bytes: Buffer, what: string): Fields {
  return new Fields(parseNode(bytes, what), what);
}

export function parseNode(bytes: Buffer, what: string): Node {
  const parsed = parseJson(bytes, what);
  if (parsed.ok) return parsed.value;
  const [first] = parsed.problems;
  throw malformed(`${what} is not valid JSON: ${first?.message ?? "it cannot be read"}`);
}
