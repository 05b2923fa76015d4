/**
 * Layers of a profile → one tree: defaults, then each profile from the base up, then overrides in order.
 *
 * The rule: objects merge by key; arrays and scalars replace what they inherit; null puts the default back. Four values
 * mean something only as a whole and so replace as a whole (WHOLE). seccomp and landlock keep null, which means none.
 * Every node of the result still knows where it was written.
 */
import type { Checked, Problem } from "../problems.ts";
import type { Override } from "./spec.ts";
import {
  childOf,
  escapeToken,
  fromValue,
  type Member,
  type Node,
  type ObjectNode,
  type Origin,
  pointerTokens,
  toProvenance,
} from "./tree.ts";

const WHOLE: ReadonlySet<string> = new Set([
  "/seccomp",
  "/filesystem/root",
  "/filesystem/write",
  "/identity/map",
]);
const KEEPS_NULL: ReadonlySet<string> = new Set(["/seccomp", "/landlock"]);

/** Keys that speak of one file and are not inherited. */
const OWN_KEYS: ReadonlySet<string> = new Set(["$schema", "$comment", "name", "description", "extends"]);

const isReset = (node: Node, pointer: string): boolean =>
  node.type === "scalar" && node.value === null && !KEEPS_NULL.has(pointer);

/** `upper` over `lower`; what `upper` puts back to the default takes the value of `defaults`, or goes. */
export function mergeNodes(
  lower: Node | undefined,
  upper: Node,
  defaults: Node | undefined,
  pointer = "",
): Node {
  if (upper.type !== "object" || WHOLE.has(pointer)) return upper;
  const members = new Map<string, Member>(lower?.type === "object" ? lower.members : []);
  for (const [key, member] of upper.members) {
    const place = `${pointer}/${escapeToken(key)}`;
    const initial = defaults === undefined ? undefined : childOf(defaults, key);
    if (!isReset(member.node, place)) {
      const node = mergeNodes(members.get(key)?.node, member.node, initial, place);
      members.set(key, { keyOrigin: member.keyOrigin, node });
    } else if (initial === undefined) {
      members.delete(key);
    } else {
      members.set(key, { keyOrigin: member.keyOrigin, node: initial });
    }
  }
  return { type: "object", members, origin: upper.origin };
}

/** What a profile passes on to those that extend it. */
export function inherited(profile: Node): Node {
  if (profile.type !== "object") return profile;
  const members = new Map([...profile.members].filter(([key]) => !OWN_KEYS.has(key)));
  return { type: "object", members, origin: profile.origin };
}

/** One override on the merged tree. An object as value merges, as it would in a file. */
export function applyOverride(root: Node, override: Override, defaults: Node): Checked<Node> {
  const origin: Origin = { kind: "outside", source: override.source };
  const refuse = (message: string, expected?: string): Checked<Node> => {
    const problem: Problem = {
      kind: "flag-invalid",
      where: override.source,
      pointer: override.pointer,
      message,
      ...(expected === undefined ? {} : { expected }),
    };
    return { ok: false, problems: [problem] };
  };
  const tokens = pointerTokens(override.pointer);
  if (tokens === null) {
    return refuse(
      `${JSON.stringify(override.pointer)} is not a JSON pointer`,
      "one such as /resources/memory (RFC 6901)",
    );
  }
  if (tokens.length > 16) return refuse(`${override.pointer.slice(0, 60)}... names no field`);
  const value = fromValue(override.value, origin);
  if (typeof value === "string") return refuse(`the value ${value}`, "JSON data");

  const set = (
    node: Node | undefined,
    initial: Node | undefined,
    depth: number,
    pointer: string,
  ): Node | { readonly refused: string; readonly expected?: string } => {
    const token = tokens[depth];
    if (token === undefined) return mergeNodes(node, value, initial, pointer);
    if (token === "$schema" || (depth === 0 && token === "extends")) {
      return {
        refused: `${override.pointer} cannot be set from outside`,
        expected: "a profile file with it",
      };
    }
    const place = `${pointer}/${escapeToken(token)}`;
    if (node?.type === "array") {
      const last = depth === tokens.length - 1;
      const index =
        token === "-" ? node.items.length : Number(/^(0|[1-9][0-9]{0,8})$/.test(token) ? token : -1);
      if (index < 0 || index > node.items.length || (index === node.items.length && token !== "-")) {
        return {
          refused: `${place} names no item`,
          expected: `an index below ${node.items.length}, or - to append`,
        };
      }
      if (token === "-" && !last) return { refused: `${place} names no item`, expected: "- at the end only" };
      const item = last ? value : set(node.items[index], undefined, depth + 1, place);
      if ("refused" in item) return item;
      const items = [...node.items];
      items[place === "/filesystem/mounts/-" ? placeOfMount(node.items, item) : index] = item;
      return { type: "array", items, origin: node.origin };
    }
    if (node !== undefined && node.type !== "object") {
      return { refused: `${pointer} holds no object, so ${override.pointer} names no field` };
    }
    if (token === "-")
      return { refused: `${pointer === "" ? "the profile" : pointer} is not an array`, expected: "a key" };
    const members = new Map<string, Member>(node?.members ?? []);
    const below = initial === undefined ? undefined : childOf(initial, token);
    if (depth === tokens.length - 1 && isReset(value, place)) {
      if (below === undefined) members.delete(token);
      else members.set(token, { keyOrigin: origin, node: below });
    } else {
      const child = set(members.get(token)?.node, below, depth + 1, place);
      if ("refused" in child) return child;
      members.set(token, { keyOrigin: origin, node: child });
    }
    return { type: "object", members, origin: node?.origin ?? origin };
  };

  const result = set(root, defaults, 0, "");
  return "refused" in result ? refuse(result.refused, result.expected) : { ok: true, value: result };
}

/**
 * A mount from outside takes the place of the profile's mount on the same target, because `--tmpfs /tmp:1G` means that /tmp;
 * two from outside on one target stay two, and are refused as in a file.
 */
function placeOfMount(items: readonly Node[], mount: Node): number {
  const target = (node: Node): unknown => {
    const value = childOf(node, "target");
    return value?.type === "scalar" && typeof value.value === "string"
      ? value.value.replace(/(?<=.)\/+$/, "")
      : undefined;
  };
  const wanted = target(mount);
  const same = items.findIndex(
    (item) =>
      wanted !== undefined &&
      target(item) === wanted &&
      (item.origin.kind === "file" || item.origin.source.kind === "default"),
  );
  return same === -1 ? items.length : same;
}

/** Where each value of the tree was written, by JSON pointer: every leaf, array and item. */
export function collectProvenance(root: ObjectNode): Record<string, ReturnType<typeof toProvenance>> {
  const found: Record<string, ReturnType<typeof toProvenance>> = { "": { kind: "default" } };
  const visit = (node: Node, pointer: string, whole: boolean): void => {
    if (node.type !== "object" || whole) found[pointer] = toProvenance(node.origin, pointer);
    if (node.type === "array") {
      for (const [index, item] of node.items.entries()) visit(item, `${pointer}/${index}`, true);
    } else if (node.type === "object") {
      for (const [key, member] of node.members) {
        const place = `${pointer}/${escapeToken(key)}`;
        visit(member.node, place, WHOLE.has(place) || (whole && pointer !== ""));
      }
    }
  };
  visit(root, "", false);
  return found;
}
