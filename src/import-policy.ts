/**
 * Another tool's policy as a profile of ours: the filter of a container engine or of Kubernetes, or an OCI config.json with all its layers. What is written is
 * resolved again, compared with what was read, and proved to answer every known call as the original is written, for one architecture and
 * the capabilities that the profile gives; what could not be carried, or is otherwise, is listed.
 */
import { dirname, resolve } from "node:path";
import { type Abi, SERVED } from "./compile/seccomp/abi.ts";
import { FOREIGN_SYSCALLS, GROUPS } from "./compile/seccomp/groups.ts";
import { normalise } from "./compile/seccomp/normalise.ts";
import { isSyscall, syscallTable } from "./compile/seccomp/tables.ts";
import { Fields } from "./policy-input/fields.ts";
import { readOciLayers } from "./policy-input/oci-config.ts";
import { leaves, toProfile } from "./policy-input/oci-profile.ts";
import { FORMS, type InputFilter, type InputQuestion, type Note, readPolicy } from "./policy-input/read.ts";
import { bug, type Checked, type Problem } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { nearestPointer } from "./profile/provenance.ts";
import { type ProfileFiles, resolveProfile } from "./profile/resolve.ts";
import { showSeccomp } from "./profile/show.ts";
import type { SeccompSpec, Spec } from "./profile/spec.ts";
import type { StatedSpec } from "./profile/stated.ts";
import { Prover } from "./prove/prover.ts";

export interface Imported {
  /** The profile, as JSON. */
  readonly text: string;
  readonly notes: readonly Note[];
}

export interface ImportRequest extends Pick<InputQuestion, "cwd" | "arch" | "kernel"> {
  /** The file. */
  readonly name: string;
  /** Of the new profile. */
  readonly profileName: string;
}

/** The profile, or every reason why there is none. */
export function importPolicy(request: ImportRequest): Checked<Imported> {
  const { name, profileName } = request;
  const files = profileFiles();
  const path = name.includes("/") ? name : `./${name}`;
  const first = readPolicy({ ...request, name: path, capabilities: [] }, files);
  if (!first.ok) return first;
  const { form, document } = first.value;
  if (form === "profile")
    return refuse(name, "it is a profile of ours already", "sandbox profile show prints it");
  if (document === null)
    return refuse(
      name,
      "a program has no rules to carry",
      "sandbox profile disasm and prove read it as it is",
    );
  const fields = new Fields(document);
  const layers = form === "oci" ? readOciLayers(fields, dirname(resolve(request.cwd, name))) : null;
  if (fields.problems.length > 0) return { ok: false, problems: fields.problems };
  // Conditions on capabilities are decided for those that the profile will give.
  const capabilities = layers?.stated.capabilities?.bounding ?? [];
  const read = readPolicy({ ...request, name: path, capabilities }, files);
  if (!read.ok) return read;
  const { filter } = read.value;
  const made = layers === null ? null : toProfile(layers, resolve(request.cwd, name));
  const notes: Note[] = [
    ...read.value.notes,
    ...fields.notes,
    ...(made?.notes ?? []).map(({ pointer, message }) => ({ where: fields.place(pointer), message })),
  ];
  const seccomp = filter.kind === "rules" ? showSeccomp(known(filter.spec)) : null;
  const what = layers === null ? `The filter of ${FORMS[form]}` : `What ${FORMS[form]} says`;
  const text = `${JSON.stringify(
    {
      name: profileName,
      description: `${what}, over the common ground of the shipped profiles`,
      extends: "base",
      ...made?.sections,
      seccomp,
    },
    null,
    2,
  )}\n`;
  const again = resolveProfile(
    { profile: "/imported.json", overrides: [], cwd: "/", source: { kind: "flag", flag: name } },
    overlay(files, resolve("/imported.json"), text),
  );
  // What a profile of ours cannot say (a supervisor's answer, a sandbox without a mount namespace) is a problem of theirs, at their place.
  if (!again.ok) return layers === null ? again : { ok: false, problems: again.problems.map(atHome) };
  if (made !== null) assertSaid(made.said, again.value.spec);
  return sameFilter(request, filter, again.value.spec, { text, notes });

  function atHome(problem: Problem): Problem {
    const pointer = layers === null ? undefined : nearestPointer(layers.pointers, problem.pointer);
    return { ...problem, where: fields.place(pointer ?? "") };
  }
}

function refuse(name: string, message: string, hint: string): Checked<Imported> {
  const where = { kind: "flag", flag: name } as const;
  return { ok: false, problems: [{ kind: "seccomp-rule", where, pointer: "", message, hint }] };
}

/** What the new profile answers to every known call is what the original answers, or it is not given out. */
function sameFilter(
  { name, arch, kernel }: ImportRequest,
  filter: InputFilter,
  { seccomp, capabilities }: Spec,
  made: Imported,
): Checked<Imported> {
  if (filter.kind !== "rules" || seccomp === null) return { ok: true, value: made };
  const meant = normalise(seccomp, { arch, kernel, capabilities: capabilities.bounding });
  const where = { kind: "profile", file: name, pointer: "", line: 0, column: 0 } as const;
  if (!meant.ok) return { ok: false, problems: meant.problems.map((problem) => ({ ...problem, where })) };
  const prover = new Prover();
  const [theirs, ours] = [prover.rules(filter.policy), prover.rules(meant.value.policy)];
  const undecided = [theirs, ours].find((side) => "reason" in side);
  if ("reason" in theirs || "reason" in ours) {
    const reason = undecided !== undefined && "reason" in undecided ? undecided.reason : "";
    const message = `whether the profile is the original cannot be decided: ${reason}`;
    return { ok: false, problems: [{ kind: "filter-undecided", where, pointer: "", message }] };
  }
  const abi = SERVED[arch][0] as Abi;
  for (const [call, nr] of syscallTable(abi).numbers)
    if (prover.ofCall(theirs, abi, nr) !== prover.ofCall(ours, abi, nr))
      return bug(`the imported profile is not the original for ${call}`);
  return { ok: true, value: made };
}

/** Sections whose fields are carried as they are; of the others a note says what is otherwise. */
const CARRIED = [
  "namespaces",
  "network",
  "capabilities",
  "resources",
  "environment",
] as const satisfies readonly (keyof StatedSpec)[];

/** The profile says what config.json states, field by field. */
function assertSaid(stated: StatedSpec, spec: Spec): void {
  const ours = new Map(CARRIED.flatMap((section) => [...leaves(spec[section], `/${section}`)]));
  for (const section of CARRIED)
    for (const [pointer, value] of stated[section] === undefined
      ? []
      : leaves(stated[section], `/${section}`))
      if (asText(ours.get(pointer)) !== asText(value))
        bug(`the imported profile does not say what config.json does at ${pointer}`);
}

/** Lists here are sets. */
const asText = (value: unknown): string =>
  JSON.stringify(Array.isArray(value) ? value.map((item) => JSON.stringify(item)).toSorted() : value);

/** Without names that no kernel has: engines pass over them, a profile of ours does not. The reader has noted them. */
function known(spec: SeccompSpec): SeccompSpec {
  const isKnown = (name: string): boolean =>
    isSyscall(name) || FOREIGN_SYSCALLS.has(name) || (name.startsWith("@") && Object.hasOwn(GROUPS, name));
  return {
    ...spec,
    syscalls: spec.syscalls.flatMap((rule) => {
      const names = rule.names.filter(isKnown);
      return names.length === 0 ? [] : [{ ...rule, names }];
    }),
  };
}

/** The files, and one more that is not on disk. */
export function overlay(files: ProfileFiles, path: string, text: string): ProfileFiles {
  return {
    ...files,
    read: (wanted) => (wanted === path ? new TextEncoder().encode(text) : files.read(wanted)),
  };
}
