/**
 * A JSON document as a tree in which every node knows where it was written. Made from bytes (parse-json.ts) or from
 * a value of a flag or option; merged (merge.ts); turned into plain data for the validators.
 * Keys live in Maps and in null-prototype objects: `__proto__` is a key like any other.
 */
import type { Provenance } from "../problems.ts";

/** A place in a file, or what stands in for one. */
export type Origin =
  | { readonly kind: "file"; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: "outside"; readonly source: Provenance };

export interface ScalarNode {
  readonly type: "scalar";
  readonly value: string | number | boolean | null;
  /** A number as it was written; undefined when it came as a JavaScript value. */
  readonly text?: string | undefined;
  readonly origin: Origin;
}
export interface ArrayNode {
  readonly type: "array";
  readonly items: readonly Node[];
  readonly origin: Origin;
}
export interface Member {
  /** Where the key was written. */
  readonly keyOrigin: Origin;
  readonly node: Node;
}
export interface ObjectNode {
  readonly type: "object";
  readonly members: ReadonlyMap<string, Member>;
  readonly origin: Origin;
}
export type Node = ScalarNode | ArrayNode | ObjectNode;

/** One step of a pointer: RFC 6901, section 3. */
export function escapeToken(token: string): string {
  return token.includes("~") || token.includes("/")
    ? token.replaceAll("~", "~0").replaceAll("/", "~1")
    : token;
}

/** The tokens of a JSON pointer; null when it is none. */
export function pointerTokens(pointer: string): readonly string[] | null {
  if (pointer === "") return [];
  if (!pointer.startsWith("/") || /~(?![01])/.test(pointer)) return null;
  return pointer
    .slice(1)
    .split("/")
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The child that a pointer token names. */
export function childOf(node: Node, token: string): Node | undefined {
  if (node.type === "object") return node.members.get(token)?.node;
  if (node.type === "array" && /^(0|[1-9][0-9]{0,8})$/.test(token)) return node.items[Number(token)];
  return undefined;
}

/** The deepest node on the way to `pointer`. */
export function nearestNode(root: Node, pointer: string): Node {
  let node = root;
  for (const token of pointerTokens(pointer) ?? []) {
    const child = childOf(node, token);
    if (child === undefined) return node;
    node = child;
  }
  return node;
}

/** The key's own place when the pointer ends in a member, else the node's. */
export function keyOrigin(root: Node, pointer: string): Origin {
  const tokens = pointerTokens(pointer) ?? [];
  const last = tokens.at(-1);
  const parent = nearestNode(root, pointer.slice(0, pointer.lastIndexOf("/")));
  const member = parent.type === "object" && last !== undefined ? parent.members.get(last) : undefined;
  return member?.keyOrigin ?? nearestNode(root, pointer).origin;
}

export function toProvenance(origin: Origin, pointer: string): Provenance {
  if (origin.kind === "outside") return origin.source;
  return { kind: "profile", file: origin.file, pointer, line: origin.line, column: origin.column };
}

/** Plain data: null-prototype objects, arrays, scalars. */
export function toPlain(node: Node): unknown {
  switch (node.type) {
    case "scalar":
      return node.value;
    case "array":
      return node.items.map(toPlain);
    case "object": {
      const plain: Record<string, unknown> = { __proto__: null };
      for (const [key, member] of node.members) plain[key] = toPlain(member.node);
      return plain;
    }
  }
}

/** How deep a document may nest, in a file or in an option's value. */
export const MAX_DEPTH = 64;

/**
 * A JavaScript value as a tree; a string says why it is not JSON data. Own enumerable members only, `undefined` ones
 * left out, as JSON.stringify would; but no toJSON and no getters of a prototype are called.
 */
export function fromValue(value: unknown, origin: Origin, depth = 0): Node | string {
  if (depth > MAX_DEPTH) return `nests deeper than ${MAX_DEPTH} levels`;
  if (value === null || typeof value === "string" || typeof value === "boolean")
    return { type: "scalar", value, origin };
  if (typeof value === "number")
    return Number.isFinite(value) ? { type: "scalar", value, origin } : `has the number ${value}`;
  if (typeof value === "bigint")
    return Number.isSafeInteger(Number(value))
      ? { type: "scalar", value: Number(value), origin }
      : { type: "scalar", value: String(value), origin };
  if (Array.isArray(value)) {
    const items: Node[] = [];
    for (const item of value as readonly unknown[]) {
      const node = fromValue(item, origin, depth + 1);
      if (typeof node === "string") return node;
      items.push(node);
    }
    return { type: "array", items, origin };
  }
  if (typeof value === "object") {
    const members = new Map<string, Member>();
    for (const [key, item] of Object.entries(value)) {
      if (item === undefined) continue;
      const node = fromValue(item, origin, depth + 1);
      if (typeof node === "string") return node;
      members.set(key, { keyOrigin: origin, node });
    }
    return { type: "object", members, origin };
  }
  return `has a ${typeof value}`;
}
