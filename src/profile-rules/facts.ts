/**
 * A resolved profile, or what another tool's document states → what follows from it: which calls get through, which capabilities can be had, what can be written and run, and where
 * each was decided. Rules judge these facts and never whether a word stands in a profile. Pure: no host, no root, no native code.
 */
import { RET } from "../compile/seccomp/ir.ts";
import type { Place } from "../gate/rule.ts";
import type { Checked, Provenance } from "../problems.ts";
import { locate } from "../profile/provenance.ts";
import type { ResolvedProfile, Spec } from "../profile/spec.ts";
import {
  type Allowed,
  type FilterCircumstances,
  type FilterFacts,
  filterFacts,
  type Question,
  whatIsAllowed,
} from "./filter-facts.ts";
import { type OpenPath, openPaths } from "./path-facts.ts";

export interface ProfileFacts {
  readonly spec: Spec;
  /** One for each architecture; empty: there is no filter and every call gets through. */
  readonly filters: readonly FilterFacts[];
  /** Whether it runs under this program, which does some things for every profile: a relay for the terminal, nosuid on every mount. */
  readonly ours: boolean;
  /** Capabilities that a program inside can have in effect, by whatever it executes, each with the pointer that gives it. */
  readonly capabilities: ReadonlyMap<string, string>;
  /** Host paths that are shown inside, and places inside that can be written. */
  readonly paths: readonly OpenPath[];
  /** Where a field was written. */
  origin(pointer: string): Provenance;
  /** Where a field was decided: its line, and, when that is in another file, the line that brought it in. */
  at(pointer: string): readonly Place[];
  /** A call of the question that gets through; null: none. Without a filter every call does. */
  allowed(question: Question): Allowed | null;
}

/** Facts of a profile, or the mistakes in its system-call rules. */
export function profileFacts(
  profile: ResolvedProfile,
  circumstances: Partial<FilterCircumstances & { readonly capabilities: readonly string[] }> = {},
): Checked<ProfileFacts> {
  const { spec } = profile;
  const capabilities = circumstances.capabilities ?? spec.capabilities.bounding;
  const filters =
    spec.seccomp === null
      ? { ok: true as const, value: [] }
      : filterFacts(spec.seccomp, capabilities, (pointer) => locate(profile, pointer), circumstances);
  if (!filters.ok) return filters;
  return {
    ok: true,
    value: factsOf({
      spec,
      filters: filters.value,
      ours: true,
      origin: (pointer) => locate(profile, pointer),
      at: (pointer) => placesOf(profile, pointer),
    }),
  };
}

/** What facts are made of: of a profile, or of what another tool's document states. */
export type Stated = Pick<ProfileFacts, "spec" | "filters" | "ours" | "origin" | "at">;

/** Facts of what is stated. What is not throws NotStated when it is asked for. */
export function factsOf(known: Stated): ProfileFacts {
  const { spec, filters } = known;
  const answers = new Map<string, Allowed | null>();
  return {
    ...known,
    get capabilities() {
      return capabilitiesOf(spec);
    },
    get paths() {
      return openPaths(spec);
    },
    allowed(question) {
      if (filters.length === 0) return unfiltered(question);
      const key = JSON.stringify(question, (_, value: unknown) =>
        typeof value === "bigint" ? value.toString() : value,
      );
      const before = answers.get(key);
      if (before !== undefined) return before;
      const answer = whatIsAllowed(filters, question);
      answers.set(key, answer);
      return answer;
    },
  };
}

/** The file that was checked: the last of the chain. */
export function fileOf({ sources }: ResolvedProfile): string {
  return sources.at(-1)?.file ?? "";
}

function placesOf(profile: ResolvedProfile, pointer: string): readonly Place[] {
  const file = fileOf(profile);
  const decided = locate(profile, pointer);
  const own = decided.kind === "profile" ? decided : { file, line: 1, column: 1 };
  const places: Place[] = [{ file: own.file, line: own.line, column: own.column }];
  const extending = profile.provenance["/extends"];
  if (own.file !== file && extending?.kind === "profile")
    places.push({ file, line: extending.line, column: extending.column });
  return places;
}

/**
 * What execve(2) can lead to: the permitted and ambient sets; without no_new_privs also the bounding set, through files with
 * capabilities (capabilities(7)).
 */
function capabilitiesOf({ capabilities, noNewPrivileges }: Spec): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const sets = [
    "effective",
    "permitted",
    "ambient",
    ...(noNewPrivileges ? [] : (["bounding"] as const)),
  ] as const;
  for (const set of sets)
    for (const [index, name] of capabilities[set].entries())
      if (!found.has(name)) found.set(name, `/capabilities/${set}/${index}`);
  return found;
}

function unfiltered({ names, abis }: Question): Allowed | null {
  const [name] = names;
  if (name === undefined) return null;
  return {
    abi: abis?.[0] ?? "x86_64",
    name,
    words: new Uint32Array(16),
    verdict: RET.allow,
    pointer: "/seccomp",
  };
}
