/**
 * The one way from a name on a command line to a policy that can be asked, compared and proved: a profile of ours, a seccomp profile of a container
 * engine or of Kubernetes, an OCI config.json, or the bytes of a filter. Takes the name and what is asked for; gives what was read, what could not be
 * carried, or every mistake, located. Nothing is skipped without a note; needs neither root nor a kernel.
 */
import { resolve } from "node:path";
import type { Bpf } from "../compile/seccomp/decode.ts";
import type { FilterPolicy } from "../compile/seccomp/ir.ts";
import { normalise } from "../compile/seccomp/normalise.ts";
import type { FilterTarget } from "../compile/seccomp/target.ts";
import type { Arch } from "../host/facts.ts";
import type { Checked, Provenance } from "../problems.ts";
import { CAPABILITIES } from "../profile/capability-names.ts";
import { formOfTree, seccompItems } from "../profile/form.ts";
import { parseJson } from "../profile/parse-json.ts";
import { locate } from "../profile/provenance.ts";
import { type ProfileFiles, resolveProfile } from "../profile/resolve.ts";
import type { ResolvedProfile, SeccompSpec } from "../profile/spec.ts";
import { childOf, type Node, nearestNode } from "../profile/tree.ts";
import { readContainerSeccomp } from "./container-seccomp.ts";
import { Fields, type Note } from "./fields.ts";
import { looksLikeBpf, readBpf } from "./raw-bpf.ts";

export type { Note } from "./fields.ts";

/** The capabilities of a container of Docker's unless it is told otherwise. */
export const DOCKER_CAPABILITIES: readonly string[] = [
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "NET_RAW",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
].map((name) => `CAP_${name}`);

/** What a policy is read for. */
export interface InputQuestion {
  /** A built-in profile's name, or a file. */
  readonly name: string;
  readonly cwd: string;
  readonly arch: Arch;
  /** What conditions on capabilities are decided for; null: what the document itself says, else what Docker gives. */
  readonly capabilities: readonly string[] | null;
  readonly kernel: { readonly major: number; readonly minor: number };
}

export const FORMS = {
  profile: "a profile",
  container: "a seccomp profile of a container engine",
  kubernetes: "a Kubernetes SeccompProfile",
  oci: "an OCI config.json",
  bpf: "a filter in BPF",
} as const;
export type InputForm = keyof typeof FORMS;

export type InputFilter =
  /** Nothing is filtered. */
  | { readonly kind: "none" }
  | {
      readonly kind: "rules";
      readonly spec: SeccompSpec;
      readonly target: FilterTarget;
      readonly policy: FilterPolicy;
    }
  | { readonly kind: "program"; readonly bytes: Uint8Array; readonly bpf: Bpf };

export interface PolicyInput {
  readonly name: string;
  readonly form: InputForm;
  readonly filter: InputFilter;
  /** The whole profile, where it is one of ours. */
  readonly profile: ResolvedProfile | null;
  /** The document of another tool, for what else is in it; null: a profile of ours, or a program. */
  readonly document: Node | null;
  /** What was read and could not be carried, and what was assumed. */
  readonly notes: readonly Note[];
}

/** A file that was opened: what it is, before anything in it is judged. */
type Opened =
  | { readonly form: "profile" }
  | { readonly form: "bpf"; readonly bytes: Uint8Array }
  | { readonly form: Exclude<InputForm, "profile" | "bpf">; readonly root: Node };

/** What a name stands for, or every mistake in it. */
export function readPolicy(question: InputQuestion, files: ProfileFiles): Checked<PolicyInput> {
  const opened = open(question, files);
  if (!opened.ok) return opened;
  const { value } = opened;
  if (value.form === "profile") return readProfile(question, files);
  if (value.form === "bpf") return readProgram(question.name, value.bytes);
  return readDocument(question, value.form, value.root);
}

/** What kind of policy a name stands for. */
export function formOf(
  question: Pick<InputQuestion, "name" | "cwd">,
  files: ProfileFiles,
): Checked<InputForm> {
  const opened = open(question, files);
  return opened.ok ? { ok: true, value: opened.value.form } : opened;
}

function open({ name, cwd }: Pick<InputQuestion, "name" | "cwd">, files: ProfileFiles): Checked<Opened> {
  const profile = { ok: true, value: { form: "profile" } } as const;
  if (!name.includes("/") && files.builtin(name) !== null) return profile;
  const bytes = files.read(resolve(cwd, name));
  // What is not there, and what cannot be read, is worded where profiles are resolved.
  if (!(bytes instanceof Uint8Array)) return profile;
  if (looksLikeBpf(bytes)) return { ok: true, value: { form: "bpf", bytes } };
  const parsed = parseJson(bytes, name);
  if (!parsed.ok) return parsed;
  const form = formOfTree(parsed.value);
  return form === "profile" ? profile : { ok: true, value: { form, root: parsed.value } };
}

/** What resolving takes for a name: a word that is no shipped profile but a file here is that file. */
export function profilePath({ name, cwd }: Pick<InputQuestion, "name" | "cwd">, files: ProfileFiles): string {
  const isHere =
    !name.includes("/") && files.builtin(name) === null && files.read(resolve(cwd, name)) !== null;
  return isHere ? `./${name}` : name;
}

function readProfile(question: InputQuestion, files: ProfileFiles): Checked<PolicyInput> {
  const { name, cwd, arch, kernel, capabilities } = question;
  const resolved = resolveProfile(
    { profile: profilePath({ name, cwd }, files), overrides: [], cwd, source: { kind: "flag", flag: name } },
    files,
  );
  if (!resolved.ok) return resolved;
  const profile = resolved.value;
  const { seccomp, capabilities: own } = profile.spec;
  const whole = { name, form: "profile", profile, document: null } as const;
  if (seccomp === null) return { ok: true, value: { ...whole, filter: { kind: "none" }, notes: [] } };
  const target: FilterTarget = {
    arch,
    kernel,
    capabilities: capabilities ?? own.bounding,
    locate: (pointer) => locate(profile, pointer),
  };
  const read = rules(whole, seccomp, target, [], target.locate?.("/seccomp") ?? { kind: "default" });
  // A profile of ours is read whole; that one architecture lacks a call of another is no loss.
  return read.ok ? { ok: true, value: { ...read.value, notes: [] } } : read;
}

function readProgram(name: string, bytes: Uint8Array): Checked<PolicyInput> {
  const read = readBpf(bytes);
  const where: Provenance = { kind: "profile", file: name, pointer: "", line: 0, column: 0 };
  if (!read.ok) {
    const message = `the file is neither JSON nor a filter that a kernel takes: ${read.reason}`;
    const expected = "struct sock_filter[], of either byte order";
    return { ok: false, problems: [{ kind: "filter-invalid", where, pointer: "", message, expected }] };
  }
  const notes =
    read.order === "little"
      ? []
      : [{ where, message: "big-endian: the loads of both halves of an argument were exchanged" }];
  const { bytes: program, bpf } = read;
  return {
    ok: true,
    value: {
      name,
      form: "bpf",
      filter: { kind: "program", bytes: program, bpf },
      profile: null,
      document: null,
      notes,
    },
  };
}

/** Where each form has its rules, as a JSON pointer. */
const RULES_AT: Readonly<Record<"container" | "kubernetes" | "oci", string>> = {
  container: "",
  kubernetes: "/spec",
  oci: "/linux/seccomp",
};

function readDocument(
  question: InputQuestion,
  form: "container" | "kubernetes" | "oci",
  root: Node,
): Checked<PolicyInput> {
  const { name, arch, kernel } = question;
  const fields = new Fields(root);
  const items = form === "kubernetes" ? seccompItems(root) : [];
  const pointer = `${items[0] ?? ""}${RULES_AT[form]}`;
  if (items.length > 1) {
    const message = `the list has ${items.length} filters`;
    fields.report({ node: nearestNode(root, "/items"), pointer: "/items" }, message, "one SeccompProfile");
    return { ok: false, problems: fields.problems };
  }
  const node = nearestNode(root, pointer);
  const nothing =
    (node.type === "scalar" && node.value === null) || (pointer !== "" && !reaches(root, pointer));
  const whole = { name, form, profile: null, document: root } as const;
  if (nothing) {
    fields.note({ node, pointer }, "there is no seccomp object: every call is allowed");
    return { ok: true, value: { ...whole, filter: { kind: "none" }, notes: fields.notes } };
  }
  const spec = readContainerSeccomp(fields, { node, pointer }, arch);
  if (spec === undefined || fields.problems.length > 0) return { ok: false, problems: fields.problems };
  const target: FilterTarget = {
    arch,
    kernel,
    capabilities: question.capabilities ?? capabilitiesOf(fields, root, form) ?? DOCKER_CAPABILITIES,
    foreign: true,
    locate: (at) => fields.place(`${pointer}${documentPointer(node, at.replace(/^\/seccomp/, ""))}`),
  };
  const conditional = spec.syscalls.some((rule) => (rule.includes ?? rule.excludes) !== undefined);
  if (conditional && question.capabilities === null)
    fields.note(
      { node, pointer },
      `conditions on capabilities were decided for ${target.capabilities.length === 0 ? "none" : target.capabilities.join(", ")}`,
    );
  return rules(whole, spec, target, fields.notes, fields.place(pointer));
}

/** Docker has its own word for the conventions that are open. */
const documentPointer = (seccomp: Node, at: string): string =>
  at.startsWith("/architectures") && childOf(seccomp, "architectures") === undefined ? "/archMap" : at;

const reaches = (root: Node, pointer: string): boolean => {
  let node: Node | undefined = root;
  for (const token of pointer.split("/").slice(1))
    node = node === undefined ? undefined : childOf(node, token);
  return node !== undefined;
};

/** The bounding set of an OCI config; undefined where there is none. */
function capabilitiesOf(fields: Fields, root: Node, form: string): readonly string[] | undefined {
  const pointer = "/process/capabilities/bounding";
  if (form !== "oci" || !reaches(root, pointer)) return undefined;
  const named = fields.texts({ node: nearestNode(root, pointer), pointer }, "bounding");
  const known: readonly string[] = CAPABILITIES;
  return named.filter((name) => known.includes(name));
}

function rules(
  whole: Pick<PolicyInput, "name" | "form" | "profile" | "document">,
  spec: SeccompSpec,
  target: FilterTarget,
  read: readonly Note[],
  where: Provenance,
): Checked<PolicyInput> {
  const meant = normalise(spec, target);
  if (!meant.ok) return meant;
  const { policy, notes } = meant.value;
  return {
    ok: true,
    value: {
      ...whole,
      filter: { kind: "rules", spec, target, policy },
      notes: [...read, ...notes.map((message) => ({ where, message }))],
    },
  };
}
