/**
 * YAML 1.2 (core schema) → the tree that JSON documents are read into, with the place of every value. Only what JSON could say: no tags, no
 * merge keys, keys are texts, one document. Aliases are followed, against a budget: ten lines of YAML can stand for 10^10 values.
 */
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
} from "yaml";
import { printable } from "../printable.ts";
import type { Checked, Problem, ProblemKind } from "../problems.ts";
import { MAX_BYTES } from "../profile/parse-json.ts";
import { MAX_PROBLEMS } from "../profile/report.ts";
import { MAX_DEPTH, type Member, type Node, type Origin } from "../profile/tree.ts";

/** Values of a document, those that aliases repeat counted each time. */
export const MOST_VALUES = 100_000;

/** Thrown inside this file only. */
class Stop extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

export function parseYaml(bytes: Uint8Array, file: string, kind: ProblemKind): Checked<Node> {
  const counter = new LineCounter();
  const problem = (message: string, offset: number | null): Problem => {
    const { line, col } = offset === null ? { line: 0, col: 0 } : counter.linePos(offset);
    const where = { kind: "profile", file, pointer: "", line, column: col } as const;
    return { kind, where, pointer: "", message: printable(message) };
  };
  const fail = (message: string, offset: number | null = null): Checked<Node> => ({
    ok: false,
    problems: [problem(message, offset)],
  });
  if (bytes.length > MAX_BYTES) return fail(`the file has ${bytes.length} bytes, more than ${MAX_BYTES}`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return fail("it is not UTF-8");
  }
  if (text.includes("\0")) return fail("it is not text: it has a zero byte");
  const offsetOf = (node: ParsedNode): number => node.range[0];
  const originOf = (offset: number): Origin => {
    const { line, col } = counter.linePos(offset);
    return { kind: "file", file, line, column: col };
  };
  let left = MOST_VALUES;
  const convert = (node: ParsedNode | null, depth: number, at: number): Node => {
    if (node === null) return { type: "scalar", value: null, origin: originOf(at) };
    const offset = offsetOf(node);
    if (--left < 0) throw new Stop(`it stands for more than ${MOST_VALUES} values`, offset);
    if (depth > MAX_DEPTH) throw new Stop(`it nests deeper than ${MAX_DEPTH} levels`, offset);
    // An alias within its own anchor nests without end, and ends here.
    if (isAlias(node)) return convert(targetOf(node), depth + 1, offset);
    if (node.tag !== undefined && !/^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/.test(node.tag))
      throw new Stop(`the tag ${node.tag} has no meaning here`, offset);
    const origin = originOf(offset);
    if (isScalar(node)) {
      const { value, source } = node;
      if (typeof value === "number") {
        if (!Number.isFinite(value)) throw new Stop(`${source} is no number of JSON`, offset);
        return { type: "scalar", value, text: source, origin };
      }
      if (value === null || typeof value === "string" || typeof value === "boolean")
        return { type: "scalar", value, origin };
      throw new Stop("it is no value of JSON", offset);
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => convert(item, depth + 1, offset));
      return { type: "array", items, origin };
    }
    if (!isMap(node)) throw new Stop("it is no value of JSON", offset);
    const members = new Map<string, Member>();
    for (const { key, value } of node.items) {
      const name: unknown = isScalar(key) ? key.value : null;
      if (typeof name !== "string")
        throw new Stop("a key is not a text", key === null ? offset : offsetOf(key));
      if (name === "<<") throw new Stop("merge keys are not read: write the fields out", offsetOf(key));
      if (members.has(name)) throw new Stop(`the key ${JSON.stringify(name)} is given twice`, offsetOf(key));
      const keyOffset = offsetOf(key);
      members.set(name, {
        keyOrigin: originOf(keyOffset),
        node: convert(value, depth + 1, keyOffset),
      });
    }
    return { type: "object", members, origin };
  };
  let targetOf: (alias: Alias.Parsed) => ParsedNode = (alias) => {
    throw new Stop("an alias has no anchor", alias.range[0]);
  };
  try {
    const document = parseDocument(text, {
      version: "1.2",
      schema: "core",
      merge: false,
      strict: true,
      uniqueKeys: false,
      lineCounter: counter,
      prettyErrors: false,
      logLevel: "error",
    });
    const wrong = [...document.errors, ...document.warnings].slice(0, MAX_PROBLEMS);
    if (wrong.length > 0)
      return {
        ok: false,
        problems: wrong.map((one) => problem(one.message.split("\n", 1)[0] ?? "", one.pos[0])),
      };
    targetOf = (alias) => {
      const target = alias.resolve(document);
      if (target === undefined) throw new Stop("an alias has no anchor before it", alias.range[0]);
      return target as ParsedNode;
    };
    return { ok: true, value: convert(document.contents, 0, 0) };
  } catch (error) {
    if (error instanceof Stop) return fail(error.message, error.offset);
    // The parser recurses into collections: "[" a hundred thousand times is more than a stack holds.
    if (error instanceof RangeError) return fail("it nests too deep to be read");
    throw error;
  }
}
