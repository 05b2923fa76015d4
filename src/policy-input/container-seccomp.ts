/**
 * The seccomp object of container engines: Docker's and Podman's profile files, `linux.seccomp` of an OCI config.json, the `spec` of a Kubernetes
 * SeccompProfile. Takes a field of a document; gives the rules in the shape of ours. What they mean is decided by the compiler (normalise.ts), as
 * written and not as a certain runtime would load it: that is what divergence is for.
 */
import { SCMP_ARCH, SERVED } from "../compile/seccomp/abi.ts";
import { MAX_ERRNO } from "../compile/seccomp/ir.ts";
import type { Arch } from "../host/facts.ts";
import type { SeccompArg, SeccompCondition, SeccompRule, SeccompSpec } from "../profile/spec.ts";
import { ERRNO } from "../program/errno.ts";
import type { Field, Fields } from "./fields.ts";

const DOCUMENT = [
  "defaultAction",
  "defaultErrnoRet",
  "defaultErrno",
  "architectures",
  "archMap",
  "flags",
  "syscalls",
  "comment",
];
const RULE = ["names", "name", "action", "errnoRet", "errno", "args", "includes", "excludes", "comment"];
const ARGUMENT = ["index", "op", "value", "valueTwo"];
const CONDITION = ["caps", "arches", "minKernel"];

/** The rules for machines of one architecture; undefined where nothing of it could be read. Problems are with the fields. */
export function readContainerSeccomp(fields: Fields, field: Field, arch: Arch): SeccompSpec | undefined {
  const members = fields.members(field, "the seccomp object");
  if (members === null) return undefined;
  fields.others(members, DOCUMENT);
  const defaultAction = fields.text(members.get("defaultAction"), "defaultAction");
  if (defaultAction === undefined) {
    if (!members.has("defaultAction"))
      fields.report(field, '"defaultAction" is missing', "a seccomp object as container engines read it");
    return undefined;
  }
  const architectures = [
    ...fields.texts(members.get("architectures"), "architectures"),
    ...mapped(fields, members.get("archMap"), arch),
  ];
  const flags = fields.texts(members.get("flags"), "flags");
  const errno = readErrno(fields, members, "defaultErrnoRet", "defaultErrno");
  return {
    defaultAction,
    ...(errno === undefined ? {} : { defaultErrnoRet: errno }),
    ...(architectures.length === 0 ? {} : { architectures: [...new Set(architectures)] }),
    ...(flags.length === 0 ? {} : { flags }),
    syscalls: fields
      .items(members.get("syscalls"), "syscalls")
      .flatMap((rule) => readRule(fields, rule) ?? []),
  };
}

/** Docker's archMap: an architecture that is the machine's brings its other ABIs. */
function mapped(fields: Fields, field: Field | undefined, arch: Arch): readonly string[] {
  return fields.items(field, "archMap").flatMap((entry) => {
    const members = fields.members(entry, "an entry of archMap");
    if (members === null) return [];
    const name = fields.text(members.get("architecture"), "architecture");
    const others = fields.texts(members.get("subArchitectures"), "subArchitectures");
    const native = SERVED[arch][0];
    return native !== undefined && name === SCMP_ARCH[native] ? [name, ...others] : [];
  });
}

function readErrno(
  fields: Fields,
  members: ReadonlyMap<string, Field>,
  valueKey: string,
  nameKey: string,
): number | undefined {
  const value = fields.small(members.get(valueKey), valueKey, MAX_ERRNO);
  const field = members.get(nameKey);
  const name = fields.text(field, nameKey);
  if (field === undefined || name === undefined || name === "") return value;
  const known = Object.hasOwn(ERRNO, name) ? (ERRNO as Readonly<Record<string, number>>)[name] : undefined;
  if (known === undefined)
    fields.report(field, `${JSON.stringify(name)} is not an errno`, "a name such as EPERM");
  else if (value !== undefined && value !== known)
    fields.report(
      field,
      `${name} is ${known}, but ${valueKey} is ${value}`,
      "the same in both",
      "profile-contradiction",
    );
  return known ?? value;
}

function readRule(fields: Fields, field: Field): SeccompRule | undefined {
  const members = fields.members(field, "a rule");
  if (members === null) return undefined;
  fields.others(members, RULE);
  const single = fields.text(members.get("name"), "name");
  const names = [...fields.texts(members.get("names"), "names"), ...(single === undefined ? [] : [single])];
  const action = fields.text(members.get("action"), "action");
  if (action === undefined && !members.has("action"))
    fields.report(field, '"action" is missing', "an action");
  if (names.length === 0) fields.note(field, "a rule that names no call has no effect");
  const errno = readErrno(fields, members, "errnoRet", "errno");
  const includes = readCondition(fields, members.get("includes"));
  const excludes = readCondition(fields, members.get("excludes"));
  if (action === undefined) return undefined;
  return {
    names,
    action,
    ...(errno === undefined ? {} : { errnoRet: errno }),
    args: fields.items(members.get("args"), "args").flatMap((arg) => readArgument(fields, arg) ?? []),
    ...(includes === undefined ? {} : { includes }),
    ...(excludes === undefined ? {} : { excludes }),
  };
}

function readArgument(fields: Fields, field: Field): SeccompArg | undefined {
  const members = fields.members(field, "a condition on an argument");
  if (members === null) return undefined;
  fields.others(members, ARGUMENT);
  const index = fields.small(members.get("index"), "index", 5);
  const op = fields.text(members.get("op"), "op");
  const value = fields.unsigned(members.get("value"), "value") ?? 0n;
  const valueTwo = fields.unsigned(members.get("valueTwo"), "valueTwo") ?? 0n;
  if (index !== undefined && op !== undefined) return { index, op, value, valueTwo };
  for (const key of ["index", "op"])
    if (!members.has(key)) fields.report(field, `"${key}" is missing`, "index, op and value");
  return undefined;
}

function readCondition(fields: Fields, field: Field | undefined): SeccompCondition | undefined {
  if (field === undefined) return undefined;
  const members = fields.members(field, "a condition");
  if (members === null || members.size === 0) return undefined;
  // A condition that is not understood must not be taken for one that holds.
  for (const [key, member] of members)
    if (!CONDITION.includes(key))
      fields.report(member, `${JSON.stringify(key)} is not a condition`, CONDITION.join(", "));
  const minKernel = fields.text(members.get("minKernel"), "minKernel");
  return {
    caps: fields.texts(members.get("caps"), "caps"),
    arches: fields.texts(members.get("arches"), "arches"),
    ...(minKernel === undefined ? {} : { minKernel }),
  };
}
