/**
 * A profile's name or path → ResolvedProfile. Reads nothing itself: ProfileFiles does, so that a test needs no disk.
 *
 *   read → parse → extends, base first → merge with defaults and overrides → shape → author forms → contradictions
 *
 * All problems are found in one go and sorted by place; a problem never leads to a looser Spec, but to none.
 */
import { createHash } from "node:crypto";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import type { Checked, Problem, Provenance } from "../problems.ts";
import type { AuthorProfile } from "./author.ts";
import { checkContradictions } from "./contradictions.ts";
import { DEFAULTS } from "./defaults.ts";
import { formOfTree } from "./form.ts";
import { applyOverride, collectProvenance, inherited, mergeNodes } from "./merge.ts";
import { nearest } from "./nearest.ts";
import { normalise } from "./normalise.ts";
import { parseJson } from "./parse-json.ts";
import { asksForPortRules } from "./port-rules.ts";
import { MAX_PROBLEMS, Report, sortProblems } from "./report.ts";
import { checkShape } from "./shape.ts";
import type { Override, ResolvedProfile, Spec } from "./spec.ts";
import {
  fromValue,
  type Member,
  type Node,
  type ObjectNode,
  pointerTokens,
  toPlain,
  toProvenance,
} from "./tree.ts";

/** A file that is there but cannot be a profile: why, and what to do about it. */
export interface Unreadable {
  readonly reason: string;
  readonly hint?: string;
}

/** The files that resolving may see. */
export interface ProfileFiles {
  /** The bytes of a file; null when it does not exist. */
  read(path: string): Uint8Array | Unreadable | null;
  /** The path of a shipped profile; null when there is none of this name. */
  builtin(name: string): string | null;
  /** Names of the shipped profiles, for suggestions. */
  names?(): readonly string[];
}

export interface ProfileRequest {
  /** A shipped profile's name; a path when it has a slash or ends in .json. */
  readonly profile: string;
  /** Applied in order. */
  readonly overrides: readonly Override[];
  /** Absolute; relative paths are relative to it. */
  readonly cwd: string;
  /** What asked for the profile, for the message when there is none; default: the flag --profile. */
  readonly source?: Provenance;
}

/** How many profiles may extend each other, the first included. */
export const MAX_EXTENDS = 8;

/** Resolves a profile; on failure every problem, located and sorted. */
export function resolveProfile(request: ProfileRequest, files: ProfileFiles): Checked<ResolvedProfile> {
  const chain = loadChain(request, files);
  if (!chain.ok) return chain;
  const { layers, sources } = chain.value;

  const defaults = fromValue(DEFAULTS, { kind: "outside", source: { kind: "default" } }) as Node;
  let root: Node = defaults;
  for (const [index, layer] of layers.entries()) {
    root = mergeNodes(root, index === layers.length - 1 ? layer : inherited(layer), defaults);
  }
  const problems: Problem[] = [];
  for (const override of request.overrides) {
    const changed = applyOverride(root, override, defaults);
    if (changed.ok) root = changed.value;
    else problems.push(...changed.problems);
  }
  const order = sources.map(({ file }) => file).toReversed();
  const name = basename(order[0] ?? request.profile).replace(/\.json$/, "");
  const checked = check(root, name, order.toReversed());
  problems.push(...checked.problems);
  if (problems.length > 0 || checked.spec === null) {
    return { ok: false, problems: sortProblems(problems, order).slice(0, MAX_PROBLEMS) };
  }
  return {
    ok: true,
    value: { spec: checked.spec, provenance: provenanceOf(checked.spec, root as ObjectNode), sources },
  };
}

/** Of what was written, and of the rules that go with listed ports: those were asked for by the list. */
function provenanceOf({ landlock, seccomp }: Spec, root: ObjectNode): ResolvedProfile["provenance"] {
  const found = collectProvenance(root);
  const asked = found[`/landlock/net/${asksForPortRules(landlock)}`];
  if (asked === undefined) return found;
  for (const index of seccomp?.syscalls.keys() ?? []) found[`/seccomp/syscalls/${index}`] ??= asked;
  return found;
}

/** A merged tree → Spec and problems. Where the shape is wrong, what is left is checked on: one run finds them all. */
function check(
  root: Node,
  name: string,
  filesInOrder: readonly string[],
): { spec: ResolvedProfile["spec"] | null; problems: readonly Problem[] } {
  const report = new Report(root, filesInOrder);
  const bad = checkShape(root, report);
  if (report.full) return { spec: null, problems: report.problems };
  let sound = root;
  for (const pointer of bad) sound = without(sound, pointerTokens(pointer) ?? []);
  if (bad.length > 0) {
    const defaults = fromValue(DEFAULTS, { kind: "outside", source: { kind: "default" } }) as Node;
    sound = mergeNodes(defaults, sound, defaults);
    if (checkShape(sound, new Report(sound, filesInOrder)).length > 0)
      return { spec: null, problems: report.problems };
  }
  const later = new Report(root, filesInOrder);
  const author = toPlain(sound) as AuthorProfile;
  if (author.seccomp === undefined && !bad.some((pointer) => /^$|^\/(seccomp|extends)/.test(pointer))) {
    later.add("profile-schema", "/seccomp", '"seccomp" is missing', {
      expected: "an OCI linux.seccomp object, or null for no filter",
      hint: 'add "extends": "base" to inherit one',
    });
  }
  const spec = normalise(author, name, later);
  checkContradictions(spec, later);
  // What was taken out may be what the rest contradicts: its section is judged when it is whole.
  const sections = new Set(bad.map((pointer) => pointer.split("/")[1]));
  const kept = later.problems.filter(
    ({ kind, pointer }) =>
      kind !== "profile-contradiction" || sections.size === 0 || !sections.has(pointer.split("/")[1]),
  );
  return { spec: bad.length > 0 ? null : spec, problems: [...report.problems, ...kept] };
}

/** The tree without the value at a pointer; an array loses all its items, because the others would move. */
function without(node: Node, tokens: readonly string[]): Node {
  const [token, ...rest] = tokens;
  if (node.type === "array") return { ...node, items: [] };
  if (token === undefined) return { type: "object", members: new Map(), origin: node.origin };
  if (node.type !== "object") return node;
  const members = new Map<string, Member>(node.members);
  const member = members.get(token);
  if (member === undefined) return node;
  const parentOfItems = member.node.type === "array";
  if (rest.length === 0 || (member.node.type !== "object" && !parentOfItems)) members.delete(token);
  else members.set(token, { keyOrigin: member.keyOrigin, node: without(member.node, rest) });
  return { type: "object", members, origin: node.origin };
}

interface Chain {
  /** Base first. */
  readonly layers: readonly Node[];
  readonly sources: ResolvedProfile["sources"];
}

const isPath = (profile: string): boolean => profile.includes("/") || profile.endsWith(".json");

function loadChain(request: ProfileRequest, files: ProfileFiles): Checked<Chain> {
  const layers: Node[] = [];
  const sources: { file: string; sha256: string }[] = [];
  const seen: string[] = [];
  let where: Provenance = request.source ?? { kind: "flag", flag: "--profile" };
  let wanted = request.profile;
  /** The directory of the file that extends, as its author would name it; "" for the request itself. */
  let directory = "";
  for (;;) {
    const fail = (kind: Problem["kind"], message: string, more: Partial<Problem> = {}): Checked<Chain> => ({
      ok: false,
      problems: [{ kind, where, pointer: layers.length === 0 ? "" : "/extends", message, ...more }],
    });
    const shown = JSON.stringify(wanted.length > 200 ? `${wanted.slice(0, 197)}...` : wanted);
    if (wanted === "" || wanted.includes("\0")) {
      return fail("profile-not-found", `${shown} is not the name of a profile`, {
        expected: "the name of a shipped profile or the path of a file",
      });
    }
    const builtin = isPath(wanted) ? null : files.builtin(wanted);
    const file = builtin ?? (isAbsolute(wanted) ? wanted : join(directory, wanted));
    const bytes = builtin === null && !isPath(wanted) ? null : files.read(resolve(request.cwd, file));
    if (bytes === null) {
      const names = files.names?.() ?? [];
      const suggestion = isPath(wanted) ? undefined : nearest(wanted, names);
      return fail(
        "profile-not-found",
        isPath(wanted) ? `there is no file ${shown}` : `there is no shipped profile ${shown}`,
        {
          ...(suggestion === undefined ? {} : { suggestion: JSON.stringify(suggestion) }),
          ...(suggestion !== undefined || isPath(wanted) || names.length === 0
            ? {}
            : { expected: `one of ${names.join(", ")}, or the path of a file such as ./${wanted}` }),
        },
      );
    }
    if (!(bytes instanceof Uint8Array)) {
      return fail(
        "profile-unreadable",
        `${shown}: ${bytes.reason}`,
        bytes.hint === undefined ? {} : { hint: bytes.hint },
      );
    }
    const real = resolve(request.cwd, file);
    if (seen.includes(real)) {
      const circle = [...seen.slice(seen.indexOf(real)), real].map((path) => basename(path)).join(" → ");
      return fail("profile-extends-cycle", `the profiles extend each other in a circle: ${circle}`);
    }
    if (seen.length >= MAX_EXTENDS) {
      return fail("profile-extends-depth", `more than ${MAX_EXTENDS} profiles extend each other`, {
        expected: `at most ${MAX_EXTENDS}`,
      });
    }
    seen.push(real);
    const parsed = parseJson(bytes, file);
    if (!parsed.ok) return parsed;
    if (formOfTree(parsed.value) !== "profile")
      return fail("profile-schema", `${shown} is another tool's policy and no profile`, {
        hint: `sandbox profile import ${shown} makes a profile of it; explain, check, prove and diff take it as it is`,
      });
    layers.unshift(parsed.value);
    sources.unshift({ file, sha256: createHash("sha256").update(bytes).digest("hex") });
    const extending = parsed.value.type === "object" ? parsed.value.members.get("extends")?.node : undefined;
    // Anything else than a text is the shape's problem, reported with the others.
    if (extending?.type !== "scalar" || typeof extending.value !== "string") break;
    wanted = extending.value;
    where = toProvenance(extending.origin, "/extends");
    directory = dirname(file);
  }
  return { ok: true, value: { layers, sources } };
}
