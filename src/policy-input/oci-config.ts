/**
 * An OCI config.json -> what it states of every layer but the filter, in the shape of a Spec, and where each thing stands. Takes located fields. What
 * the document leaves to others (who connects the network, whether a run is recorded or ends) is not stated; what a runtime does where a field is
 * missing is (runtime-spec, config.md and config-linux.md). What has no counterpart is noted.
 */
import { resolve } from "node:path/posix";
import { CAPABILITIES } from "../profile/capability-names.ts";
import { CAPABILITY_SETS, type Device, NAMESPACES, type Namespace } from "../profile/spec.ts";
import type { StatedSpec } from "../profile/stated.ts";
import type { Field, Fields } from "./fields.ts";
import { type OciMount, pathFrom, readMounts } from "./oci-mounts.ts";
import { readResources } from "./oci-resources.ts";

export interface OciLayers {
  readonly stated: StatedSpec;
  /** Pointer into a Spec -> pointer into the document. Nearest enclosing entry wins. */
  readonly pointers: ReadonlyMap<string, string>;
  /** In the order of `stated.filesystem.mounts`. */
  readonly mounts: readonly OciMount[];
}

type Section<S extends keyof StatedSpec> = NonNullable<StatedSpec[S]>;
type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Members = ReadonlyMap<string, Field>;

const ROOT = ["ociVersion", "process", "root", "hostname", "mounts", "linux", "annotations"];
const PROCESS = [
  "terminal",
  "consoleSize",
  "user",
  "args",
  "env",
  "cwd",
  "capabilities",
  "rlimits",
  "noNewPrivileges",
  "oomScoreAdj",
  "apparmorProfile",
  "selinuxLabel",
];
const LINUX = [
  "namespaces",
  "uidMappings",
  "gidMappings",
  "resources",
  "devices",
  "seccomp",
  "maskedPaths",
  "readonlyPaths",
  "mountLabel",
  "cgroupsPath",
  "rootfsPropagation",
  "timeOffsets",
];

/** Devices that a runtime supplies always: config-linux.md, "Default Devices". */
const SUPPLIED: readonly Device[] = ["null", "zero", "full", "random", "urandom", "tty", "fd"];

const NONE: Members = new Map();

class Layers {
  readonly fields: Fields;
  readonly pointers = new Map<string, string>();

  constructor(fields: Fields) {
    this.fields = fields;
  }

  /** The members of an object that may be missing. */
  inside(members: Members, key: string): Members {
    const field = members.get(key);
    return field === undefined ? NONE : (this.fields.members(field, key) ?? NONE);
  }

  /** Remembers where a field of the Spec comes from; a missing one, where it would be. */
  from(pointer: string, field: Field | undefined, otherwise: string): void {
    this.pointers.set(pointer, field?.pointer ?? otherwise);
  }
}

/** `bundle`: the directory of config.json, absolute. */
export function readOciLayers(fields: Fields, bundle: string): OciLayers {
  const layers = new Layers(fields);
  const root = fields.members(fields.root, "config.json") ?? NONE;
  fields.others(root, ROOT);
  const process = layers.inside(root, "process");
  fields.others(process, PROCESS);
  const linux = layers.inside(root, "linux");
  fields.others(linux, LINUX);
  const propagation = fields.text(linux.get("rootfsPropagation"), "rootfsPropagation");
  if (propagation?.includes("shared") === true)
    fields.note(
      linux.get("rootfsPropagation") ?? fields.root,
      "what is mounted inside appears on the host; no rule judges that",
    );
  layers.from("/seccomp", linux.get("seccomp"), "/linux");
  const { filesystem, mounts } = readFiles(layers, root, linux, bundle);
  const namespaces = readNamespaces(layers, linux);
  const network = networkOf(namespaces);
  return {
    stated: {
      namespaces,
      identity: readIdentity(layers, root, process, linux),
      filesystem,
      ...readPrivileges(layers, process),
      lsm: readLabels(layers, process, linux),
      landlock: null,
      resources: readResources(
        fields,
        layers.inside(linux, "resources"),
        process.get("rlimits"),
        layers.pointers,
      ),
      ...(network === undefined ? {} : { network }),
      ...(root.has("process")
        ? { environment: readEnvironment(layers, process), process: readProcess(layers, process, linux) }
        : {}),
    },
    pointers: layers.pointers,
    mounts,
  };
}

const TYPES: Readonly<Record<string, Namespace>> = Object.fromEntries(NAMESPACES.map((name) => [name, name]));

function readNamespaces(layers: Layers, linux: Members): Section<"namespaces"> {
  const { fields } = layers;
  const list = linux.get("namespaces");
  layers.from("/namespaces", list, "/linux");
  const own: Partial<Writable<Section<"namespaces">>> = Object.fromEntries(
    NAMESPACES.map((name) => [name, false]),
  );
  for (const item of fields.items(list, "namespaces")) {
    const members = fields.members(item, "a namespace");
    if (members === null) continue;
    fields.others(members, ["type", "path"]);
    const type = fields.text(members.get("type"), "type") ?? "";
    const name = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
    if (name === undefined) {
      fields.report(item, `${JSON.stringify(type)} is not a namespace`, NAMESPACES.join(", "));
      continue;
    }
    layers.from(`/namespaces/${name}`, item, "/linux");
    own[name] = true;
    if (!members.has("path")) continue;
    // Somebody else's: the host's, or another container's. Nobody knows from here.
    delete own[name];
    fields.note(item, `the ${name} namespace is one that exists already: whose it is does not stand here`);
  }
  return own;
}

/** What a network namespace of its own is connected to does not stand in the document; a new one has loopback alone. */
function networkOf({ network }: Section<"namespaces">): Section<"network"> | undefined {
  return network === undefined ? undefined : { mode: network ? "none" : "host" };
}

function readIdentity(layers: Layers, root: Members, process: Members, linux: Members): Section<"identity"> {
  const { fields } = layers;
  const user = layers.inside(process, "user");
  fields.others(user, ["uid", "gid", "umask", "additionalGids"]);
  const groups = user.get("additionalGids");
  if (groups !== undefined) fields.note(groups, '"additionalGids" is not carried over');
  const known: Partial<Writable<Section<"identity">>> = {};
  for (const name of ["uid", "gid"] as const) {
    const id = fields.small(user.get(name), name, 0xfffffffe);
    // A user object without ids is one with zeros: that is what runtimes make of it.
    if (process.has("user")) known[name] = id ?? 0;
    layers.from(`/identity/${name}`, user.get(name), "/process/user");
  }
  if (known.uid !== undefined) known.allowRoot = known.uid === 0 || known.gid === 0;
  const hostname = fields.text(root.get("hostname"), "hostname");
  if (hostname !== undefined) known.hostname = hostname;
  layers.from("/identity/hostname", root.get("hostname"), "");
  const [uids, gids] = [linux.get("uidMappings"), linux.get("gidMappings")];
  layers.from("/identity/map", uids, "/linux");
  if (uids !== undefined || gids !== undefined)
    known.map = { uidMappings: readMap(fields, uids), gidMappings: readMap(fields, gids) };
  return known;
}

function readMap(fields: Fields, field: Field | undefined) {
  return fields.items(field, "a mapping").flatMap((item) => {
    const members = fields.members(item, "a range of ids");
    if (members === null) return [];
    fields.others(members, ["containerID", "hostID", "size"]);
    const [containerID = 0, hostID = 0, size = 0] = ["containerID", "hostID", "size"].map((key) =>
      fields.small(members.get(key), key, 0xffffffff),
    );
    return [{ containerID, hostID, size }];
  });
}

function readFiles(
  layers: Layers,
  root: Members,
  linux: Members,
  beside: string,
): { readonly filesystem: Section<"filesystem">; readonly mounts: readonly OciMount[] } {
  const { fields } = layers;
  const bundle = layers.inside(root, "root");
  fields.others(bundle, ["path", "readonly"]);
  const path = pathFrom(beside, fields.text(bundle.get("path"), "path") ?? "rootfs");
  const { mounts, proc, devices } = readMounts(fields, root.get("mounts"), beside);
  const allowed = layers.inside(linux, "resources").get("devices");
  const all = [...mounts, ...hostDevices(fields, linux.get("devices")), ...everyDevice(fields, allowed)];
  for (const [index, { pointer }] of all.entries())
    layers.pointers.set(`/filesystem/mounts/${index}`, pointer);
  layers.from("/filesystem", root.get("mounts"), "");
  layers.from("/filesystem/root", bundle.get("path"), "/root");
  layers.from("/filesystem/write", bundle.get("readonly"), "/root");
  layers.from("/filesystem/masked", linux.get("maskedPaths"), "/linux");
  layers.from("/filesystem/readOnly", linux.get("readonlyPaths"), "/linux");
  layers.from("/filesystem/devices", linux.get("devices"), "/linux");
  return {
    filesystem: {
      root: { type: "directory", path },
      write: fields.flag(bundle.get("readonly"), "readonly") === true ? "none" : { directory: path },
      proc,
      mounts: all.map(({ mount }) => mount),
      masked: fields.texts(linux.get("maskedPaths"), "maskedPaths"),
      readOnly: fields.texts(linux.get("readonlyPaths"), "readonlyPaths"),
      devices: [...SUPPLIED, ...devices],
      workdir: "none",
    },
    mounts: all,
  };
}

/** A device node is the host's device, whatever it is called inside. */
function hostDevices(fields: Fields, field: Field | undefined): readonly OciMount[] {
  return fields.items(field, "devices").flatMap((item) => {
    const members = fields.members(item, "a device");
    if (members === null) return [];
    fields.others(members, ["type", "path", "major", "minor", "fileMode", "uid", "gid"]);
    const path = resolve("/", fields.text(members.get("path"), "path") ?? "dev");
    const mount = {
      type: "bind",
      source: path,
      target: path,
      readOnly: false,
      noExec: true,
      optional: false,
    } as const;
    return [{ mount, pointer: item.pointer, portable: false }];
  });
}

/** A rule of the device cgroup that allows all devices of a type, or all: any node that is made or found opens. */
function everyDevice(fields: Fields, field: Field | undefined): readonly OciMount[] {
  return fields.items(field, "devices").flatMap((item) => {
    const members = fields.members(item, "a device rule");
    if (members === null) return [];
    fields.others(members, ["allow", "type", "major", "minor", "access"]);
    const allowed = fields.flag(members.get("allow"), "allow") === true;
    if (!allowed || (members.has("major") && fields.integer(members.get("major"), "major") !== -1)) return [];
    const mount = {
      type: "bind",
      source: "/dev",
      target: "/dev",
      readOnly: false,
      noExec: true,
      optional: false,
    } as const;
    return [{ mount, pointer: item.pointer, portable: false }];
  });
}

function readPrivileges(
  layers: Layers,
  process: Members,
): Pick<StatedSpec, "capabilities" | "noNewPrivileges"> {
  const { fields } = layers;
  layers.from("/capabilities", process.get("capabilities"), "/process");
  layers.from("/noNewPrivileges", process.get("noNewPrivileges"), "/process");
  if (process.size === 0) return {};
  const noNewPrivileges = fields.flag(process.get("noNewPrivileges"), "noNewPrivileges") ?? false;
  // Without the object, runtimes differ: some drop all, some none.
  if (!process.has("capabilities")) return { noNewPrivileges };
  const sets = layers.inside(process, "capabilities");
  fields.others(sets, CAPABILITY_SETS);
  const known: readonly string[] = CAPABILITIES;
  const capabilities = Object.fromEntries(
    CAPABILITY_SETS.map((set) => {
      const field = sets.get(set);
      layers.from(`/capabilities/${set}`, field, "/process/capabilities");
      const names = fields.texts(field, set);
      const odd = names.filter((name) => !known.includes(name));
      if (field !== undefined && odd.length > 0)
        fields.note(field, `left out, as no kernel has such capabilities: ${odd.join(", ")}`);
      const kept = names.flatMap((name, at) => (known.includes(name) ? [{ name, at }] : []));
      for (const [index, { at }] of kept.entries())
        layers.pointers.set(`/capabilities/${set}/${index}`, `/process/capabilities/${set}/${at}`);
      return [set, kept.map(({ name }) => name)];
    }),
  ) as Section<"capabilities">;
  const { ambient, permitted, inheritable } = capabilities;
  const idle = ambient?.filter((name) => !permitted?.includes(name) || !inheritable?.includes(name)) ?? [];
  const field = sets.get("ambient");
  // PR_CAP_AMBIENT_RAISE fails without both (capabilities(7)), and runtimes go on.
  if (field !== undefined && idle.length > 0)
    fields.note(field, `without effect, since not permitted and inheritable as well: ${idle.join(", ")}`);
  return {
    capabilities: { ...capabilities, ambient: ambient?.filter((name) => !idle.includes(name)) ?? [] },
    noNewPrivileges,
  };
}

function readLabels(layers: Layers, process: Members, linux: Members): Section<"lsm"> {
  const { fields } = layers;
  const text = (members: Members, key: string): string | null =>
    fields.text(members.get(key), key)?.replace(/^$/, "") || null;
  const apparmorProfile = text(process, "apparmorProfile");
  const selinuxLabel = text(process, "selinuxLabel");
  layers.from("/lsm", process.get("apparmorProfile") ?? process.get("selinuxLabel"), "/process");
  layers.from("/lsm/apparmorProfile", process.get("apparmorProfile"), "/process");
  layers.from("/lsm/selinuxLabel", process.get("selinuxLabel"), "/process");
  layers.from("/lsm/mountLabel", linux.get("mountLabel"), "/linux");
  return {
    type: apparmorProfile !== null ? "apparmor" : selinuxLabel !== null ? "selinux" : "none",
    apparmorProfile,
    selinuxLabel,
    mountLabel: text(linux, "mountLabel"),
  };
}

function readEnvironment(layers: Layers, process: Members): Section<"environment"> {
  const { fields } = layers;
  layers.from("/environment", process.get("env"), "/process");
  const set: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const item of fields.items(process.get("env"), "env")) {
    const text = fields.text(item, "a variable");
    const at = text?.indexOf("=") ?? -1;
    if (text === undefined) continue;
    if (at < 1) {
      fields.note(item, `${JSON.stringify(text)} sets no variable`);
      continue;
    }
    const name = text.slice(0, at);
    set[name] = text.slice(at + 1);
    layers.pointers.set(`/environment/set/${name}`, item.pointer);
  }
  return { pass: [], set };
}

function readProcess(layers: Layers, process: Members, linux: Members): Section<"process"> {
  const { fields } = layers;
  const user = layers.inside(process, "user");
  const workdir = fields.text(process.get("cwd"), "cwd") ?? "/";
  const umask = fields.small(user.get("umask"), "umask", 0o777);
  const oomScoreAdj = fields.integer(process.get("oomScoreAdj"), "oomScoreAdj");
  const terminal = fields.flag(process.get("terminal"), "terminal") === true;
  for (const [pointer, key] of [
    ["/process", "cwd"],
    ["/process/oomScoreAdj", "oomScoreAdj"],
    ["/process/terminal", "terminal"],
  ] as const)
    layers.from(pointer, process.get(key), "/process");
  layers.from("/process/umask", user.get("umask"), "/process/user");
  layers.from("/process/timeOffsets", linux.get("timeOffsets"), "/linux");
  return {
    workdir,
    // A runtime sets what it is told and leaves the rest as its caller has it.
    ...(umask === undefined ? {} : { umask }),
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    // Without one of its own the program has whatever its caller gives it.
    ...(terminal ? ({ terminal: "always" } as const) : {}),
    memoryDenyWriteExecute: false,
    speculationMitigations: false,
    timeOffsets: {
      monotonic: readOffset(layers, linux, "monotonic"),
      boottime: readOffset(layers, linux, "boottime"),
    },
  };
}

function readOffset(layers: Layers, linux: Members, clock: string) {
  const members = layers.inside(layers.inside(linux, "timeOffsets"), clock);
  return {
    secs: layers.fields.integer(members.get("secs"), "secs") ?? 0,
    nanosecs: layers.fields.integer(members.get("nanosecs"), "nanosecs") ?? 0,
  };
}
