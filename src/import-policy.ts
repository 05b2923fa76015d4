/**
 * The filter of another tool's policy as a profile of ours: a seccomp profile of a container engine, a SeccompProfile of Kubernetes, the seccomp section of
 * an OCI config.json. What is written is resolved again and proved to answer every known call as the original is written, for one architecture and
 * without capabilities, which is what the profile gives; what could not be carried is listed.
 */
import { resolve } from "node:path";
import { type Abi, SERVED } from "./compile/seccomp/abi.ts";
import { FOREIGN_SYSCALLS, GROUPS } from "./compile/seccomp/groups.ts";
import { normalise } from "./compile/seccomp/normalise.ts";
import { isSyscall, syscallTable } from "./compile/seccomp/tables.ts";
import { FORMS, type InputQuestion, type Note, readPolicy } from "./policy-input/read.ts";
import { bug, type Checked, type Problem } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { type ProfileFiles, resolveProfile } from "./profile/resolve.ts";
import { showSeccomp } from "./profile/show.ts";
import type { SeccompSpec } from "./profile/spec.ts";
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
  const { name, profileName, arch, kernel } = request;
  const files = profileFiles();
  const path = name.includes("/") ? name : `./${name}`;
  const read = readPolicy({ ...request, name: path, capabilities: [] }, files);
  if (!read.ok) return read;
  const { form, filter } = read.value;
  const refuse = (message: string, hint: string): Checked<Imported> => {
    const where = { kind: "flag", flag: name } as const;
    const problem: Problem = { kind: "seccomp-rule", where, pointer: "", message, hint };
    return { ok: false, problems: [problem] };
  };
  if (form === "profile") return refuse("it is a profile of ours already", "sandbox profile show prints it");
  if (filter.kind === "program")
    return refuse("a program has no rules to carry", "sandbox profile disasm and prove read it as it is");
  const notes = [...read.value.notes];
  const where = { kind: "profile", file: name, pointer: "", line: 0, column: 0 } as const;
  const spec = filter.kind === "none" ? null : known(filter.spec);
  if (form === "oci") notes.push({ where, message: "of config.json only the filter is carried" });
  const document = {
    name: profileName,
    description: `The filter of ${FORMS[form]}, over the common ground of the shipped profiles`,
    extends: "base",
    seccomp: spec === null ? null : showSeccomp(spec),
  };
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const again = resolveProfile(
    { profile: "/imported.json", overrides: [], cwd: "/", source: { kind: "flag", flag: name } },
    overlay(files, resolve("/imported.json"), text),
  );
  // What our rules cannot say (a supervisor's answer, an unknown comparison) is a problem of theirs, at their place.
  if (!again.ok) return again;
  if (filter.kind === "none" || again.value.spec.seccomp === null)
    return { ok: true, value: { text, notes } };
  const meant = normalise(again.value.spec.seccomp, { arch, kernel, capabilities: [] });
  if (!meant.ok) return { ok: false, problems: meant.problems.map((problem) => ({ ...problem, where })) };
  const prover = new Prover();
  const [theirs, ours] = [prover.rules(filter.policy), prover.rules(meant.value.policy)];
  if ("reason" in theirs || "reason" in ours) return bug("rules cannot be decided");
  const abi = SERVED[arch][0] as Abi;
  for (const [call, nr] of syscallTable(abi).numbers)
    if (prover.ofCall(theirs, abi, nr) !== prover.ofCall(ours, abi, nr))
      return bug(`the imported profile is not the original for ${call}`);
  return { ok: true, value: { text, notes } };
}

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
