/**
 * The one way from a name to facts that can be explained, judged and tested, whoever wrote the policy: a profile of ours, an OCI config.json, a container
 * engine's seccomp JSON, a filter in BPF. Takes the name and what conditions are decided for; gives facts, and where they stand. What a document does
 * not say throws when it is asked for (NotStated), so that nobody takes a gap for a pass. Needs neither root nor a kernel.
 */
import { basename, dirname, resolve } from "node:path";
import { locate as locateIn } from "./compile/seccomp/target.ts";
import type { Arch } from "./host/facts.ts";
import {
  FORMS,
  formOf,
  type InputForm,
  type InputQuestion,
  type Note,
  type PolicyInput,
  profilePath,
  readPolicy,
} from "./policy-input/read.ts";
import { layersOf, wholeFile } from "./policy-input/stated-layers.ts";
import { bug, type Checked, type Problem, type Provenance } from "./problems.ts";
import { nearestPointer } from "./profile/provenance.ts";
import { type ProfileFiles, resolveProfile } from "./profile/resolve.ts";
import type { Override } from "./profile/spec.ts";
import { specOf } from "./profile/stated.ts";
import { factsOf, fileOf, type ProfileFacts, profileFacts } from "./profile-rules/facts.ts";
import {
  ARCHES,
  compiledFilter,
  type FilterFacts,
  openConventions,
  programFilter,
} from "./profile-rules/filter-facts.ts";

export interface FactsRequest extends Omit<InputQuestion, "arch"> {
  /** Kinds of machine that are judged; null: all, or all that a program was made for. */
  readonly machines: readonly Arch[] | null;
  /** Of a profile of ours; what others wrote cannot be changed. */
  readonly overrides: readonly Override[];
}

export interface PolicyFacts {
  readonly form: InputForm;
  readonly facts: ProfileFacts;
  /** The file that was asked about, and, of a profile, all that it was made of, base first. */
  readonly file: string;
  readonly files: readonly string[];
  /** What was assumed, or is in the document and is not judged. */
  readonly notes: readonly Note[];
}

/** Facts of what a name stands for, or every mistake in it. */
export function policyFacts(request: FactsRequest, files: ProfileFiles): Checked<PolicyFacts> {
  const form = formOf(request, files);
  if (!form.ok) return form;
  if (form.value === "profile") return ofProfile(request, files);
  const [override] = request.overrides;
  if (override === undefined) return ofDocument(request, form.value, files);
  const problem: Problem = {
    kind: "flag-invalid",
    where: override.source,
    pointer: "",
    message: `${request.name} is ${FORMS[form.value]}, which options do not change`,
    hint: `sandbox profile import ${request.name} makes a profile of it`,
  };
  return { ok: false, problems: [problem] };
}

function ofProfile(request: FactsRequest, files: ProfileFiles): Checked<PolicyFacts> {
  const { name, cwd, overrides, kernel, machines, capabilities } = request;
  const resolved = resolveProfile(
    { profile: profilePath(request, files), overrides, cwd, source: { kind: "flag", flag: name } },
    files,
  );
  if (!resolved.ok) return resolved;
  const facts = profileFacts(resolved.value, {
    kernel,
    machines: machines ?? ARCHES,
    ...(capabilities === null ? {} : { capabilities }),
  });
  if (!facts.ok) return facts;
  const sources = resolved.value.sources.map(({ file }) => file);
  return {
    ok: true,
    value: { form: "profile", facts: facts.value, file: fileOf(resolved.value), files: sources, notes: [] },
  };
}

function ofDocument(
  request: FactsRequest,
  form: Exclude<InputForm, "profile">,
  files: ProfileFiles,
): Checked<PolicyFacts> {
  const { name } = request;
  const machines = request.machines ?? ARCHES;
  const inputs: PolicyInput[] = [];
  for (const arch of machines) {
    const input = readPolicy({ ...request, arch }, files);
    if (!input.ok) return input;
    inputs.push(input.value);
  }
  const [first] = inputs;
  if (first === undefined) return bug("a policy is read for no machine");
  const filters = filtersOf(inputs, machines);
  if (!filters.ok) return filters;
  const by = FORMS[form];
  const layers = layersOf(first, dirname(resolve(request.cwd, name)));
  if (!layers.ok) return layers;
  const { stated, pointers, place, notes } = layers.value;
  const { filter } = first;
  const spec = specOf(
    {
      ...stated,
      name: basename(name).replace(/\.(json|bpf)$/, ""),
      description: by,
      ...(filter.kind === "rules"
        ? { seccomp: filter.spec }
        : filter.kind === "none"
          ? { seccomp: null }
          : {}),
    },
    by,
  );
  const origin = (pointer: string): Provenance => {
    const target = filter.kind === "rules" ? filter.target : null;
    const ofFilter = pointer === "/seccomp" || pointer.startsWith("/seccomp/");
    if (ofFilter && target !== null) return locateIn(target, pointer);
    return place(nearestPointer(pointers, pointer) ?? "");
  };
  const facts = factsOf({
    spec,
    filters: filters.value,
    ours: false,
    origin,
    at: (pointer) => {
      const where = origin(pointer);
      return where.kind === "profile" ? [{ file: where.file, line: where.line, column: where.column }] : [];
    },
  });
  const all = [...inputs.flatMap((input) => input.notes), ...notes];
  const seen = new Map(all.map((note) => [`${JSON.stringify(note.where)} ${note.message}`, note]));
  return { ok: true, value: { form, facts, file: name, files: [name], notes: [...seen.values()] } };
}

/** One filter for each machine; of a program, those of the machines that it lets do anything, which are those it was made for. */
function filtersOf(
  inputs: readonly PolicyInput[],
  machines: readonly Arch[],
): Checked<readonly FilterFacts[]> {
  const filters: FilterFacts[] = [];
  for (const [index, { filter, name }] of inputs.entries()) {
    const arch = machines[index];
    if (filter.kind === "none" || arch === undefined) continue;
    const made =
      filter.kind === "rules" ? compiledFilter(filter) : programFilter(filter.bpf, arch, wholeFile(name));
    if (!made.ok) return made;
    filters.push(made.value);
  }
  const isProgram = filters.some(({ rules }) => rules === null);
  const meant = isProgram ? filters.filter((each) => openConventions(each).length > 0) : filters;
  return { ok: true, value: meant.length > 0 ? meant : filters };
}
