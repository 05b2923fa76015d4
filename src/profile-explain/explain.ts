/**
 * What a profile allows, as data for every form it is shown in: per layer what it is set to and where that was decided, the properties and the
 * layers that hold each, the system calls by group, what each dangerous allowance exposes. Takes facts; pure.
 */
import { type Abi, SERVED } from "../compile/seccomp/abi.ts";
import { GROUPS } from "../compile/seccomp/groups.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import type { Place } from "../gate/rule.ts";
import type { Provenance } from "../problems.ts";
import { CAPABILITY_SETS, NAMESPACES, type Spec } from "../profile/spec.ts";
import { formatSize, formatTime } from "../profile/units.ts";
import { DANGEROUS } from "../profile-rules/calls.ts";
import { type Exposure, exposureOf } from "../profile-rules/exposure.ts";
import type { ProfileFacts } from "../profile-rules/facts.ts";
import type { FilterFacts } from "../profile-rules/filter-facts.ts";
import { type Layer, PROPERTIES } from "../profile-rules/properties.ts";
import { answersTo, type CallAnswer } from "./calls.ts";

/** One setting, and the line that decided it. */
export interface Setting {
  readonly what: string;
  readonly value: string;
  readonly origin: Provenance;
}

export interface Section {
  readonly title: string;
  readonly settings: readonly Setting[];
}

export interface PropertyAnswer {
  readonly id: string;
  /** What is impossible when it holds. */
  readonly about: string;
  readonly holds: boolean;
  readonly layers: readonly Layer[];
}

/** The calls of one group on the native convention of x86-64. */
export interface GroupAnswer {
  readonly group: string;
  readonly about: string;
  readonly allowed: readonly string[];
  /** With some arguments only. */
  readonly conditional: readonly { readonly name: string; readonly when: string }[];
  readonly refused: readonly string[];
}

export interface Exposed {
  readonly name: string;
  readonly why: string;
  readonly places: readonly Place[];
}

export interface Explanation {
  readonly name: string;
  readonly description: string;
  /** Files read, base first. */
  readonly files: readonly string[];
  readonly exposure: Exposure;
  readonly sections: readonly Section[];
  readonly properties: readonly PropertyAnswer[];
  /** Empty: there is no filter. */
  readonly calls: readonly GroupAnswer[];
  /** Calls and capabilities that reach beyond the sandbox and can be had. */
  readonly exposed: readonly Exposed[];
}

const SHOWN_ABI: Abi = "x86_64";

export function explain(facts: ProfileFacts, files: readonly string[]): Explanation {
  const { spec } = facts;
  return {
    name: spec.name,
    description: spec.description,
    files,
    exposure: exposureOf(facts),
    sections: sectionsOf(facts),
    properties: Object.entries(PROPERTIES).map(([id, { about, layers: layersOf }]) => {
      const layers = layersOf(facts);
      return { id, about, holds: layers.some(({ holds }) => holds), layers };
    }),
    calls: groupsOf(facts.filters.find(({ arch }) => SERVED[arch][0] === SHOWN_ABI)),
    exposed: exposedBy(facts),
  };
}

function sectionsOf(facts: ProfileFacts): readonly Section[] {
  const { spec } = facts;
  const row = (what: string, value: string, pointer: string): Setting => ({
    what,
    value,
    origin: facts.origin(pointer),
  });
  const own = NAMESPACES.filter((name) => spec.namespaces[name]);
  const shared = NAMESPACES.filter((name) => !spec.namespaces[name]);
  const { filesystem, resources, process, identity, network } = spec;
  const limit = (name: keyof typeof resources, text: (value: number) => string): Setting => {
    const value = resources[name];
    return row(name, typeof value === "number" ? text(value) : "no limit", `/resources/${name}`);
  };
  return [
    {
      title: "isolation",
      settings: [
        row("own namespaces", list(own), `/namespaces/${own[0] ?? "user"}`),
        row("shared with the host", list(shared), `/namespaces/${shared[0] ?? "user"}`),
        row("runs as", `uid ${identity.uid}, gid ${identity.gid} inside`, "/identity/uid"),
        row("ids outside", mapText(spec), "/identity/map"),
        row("network", network.mode === "none" ? "loopback only" : network.mode, "/network/mode"),
        row("security module", lsmText(spec), "/lsm/type"),
        row("Landlock", landlockText(spec), "/landlock"),
      ],
    },
    {
      title: "files",
      settings: [
        row("root", rootText(spec), "/filesystem/root"),
        row("writes to the root", writeText(spec), "/filesystem/write"),
        ...filesystem.mounts.map((mount, index) => row(...mountText(mount), `/filesystem/mounts/${index}`)),
        row("working directory", workdirText(spec), "/filesystem/workdir"),
        row("/proc", procText(spec), "/filesystem/proc"),
        row("devices", list(filesystem.devices), "/filesystem/devices"),
      ],
    },
    {
      title: "privileges",
      settings: [
        ...CAPABILITY_SETS.map((set) =>
          row(`${set} set`, list(spec.capabilities[set]), `/capabilities/${set}`),
        ),
        row("no_new_privs", spec.noNewPrivileges ? "set" : "not set", "/noNewPrivileges"),
      ],
    },
    {
      title: "limits",
      settings: [
        limit("memory", formatSize),
        limit("swap", formatSize),
        limit("cpus", String),
        limit("pids", String),
        limit("cpuTime", formatTime),
        limit("wallTime", formatTime),
        limit("fileSize", formatSize),
        limit("openFiles", String),
        limit("coreSize", formatSize),
        limit("outputSize", formatSize),
      ],
    },
    {
      title: "surroundings",
      settings: [
        row("variables passed", list(spec.environment.pass), "/environment/pass"),
        row(
          "variables set",
          list(Object.keys(spec.environment.set)),
          `/environment/set/${Object.keys(spec.environment.set)[0] ?? ""}`,
        ),
        row("terminal", process.terminal, "/process/terminal"),
        row(
          "write then execute memory",
          process.memoryDenyWriteExecute ? "refused" : "possible",
          "/process/memoryDenyWriteExecute",
        ),
        row(
          "log",
          spec.audit.require
            ? `required; when it cannot be written: ${spec.audit.onFailure}`
            : "not required",
          "/audit/require",
        ),
      ],
    },
  ];
}

const list = (names: readonly string[]): string => (names.length === 0 ? "none" : names.join(", "));

function mapText({ identity, namespaces }: Spec): string {
  if (!namespaces.user) return "the same: there is no user namespace";
  if (identity.map === "auto") return "ids that own nothing, or the caller's own";
  if (identity.map === "subordinate") return "a range of subordinate ids";
  return identity.map.uidMappings
    .map(({ containerID, hostID, size }) => `${containerID} is ${hostID} outside (${size})`)
    .join(", ");
}

function lsmText({ lsm, require }: Spec): string {
  if (lsm.type === "none") return "none";
  const name = lsm.apparmorProfile ?? lsm.selinuxLabel;
  const which = lsm.type === "any" ? "whichever the host has" : lsm.type;
  return `${which}${name === null ? "" : ` (${name})`}, ${require.lsm === "none" ? "if there is one" : "required"}`;
}

function landlockText({ landlock, require }: Spec): string {
  if (landlock === null) return "none";
  return `files, ports and signals once more, ${require.landlock === "none" ? "if the kernel has it" : "required"}`;
}

function rootText({ filesystem }: Spec): string {
  const { root } = filesystem;
  switch (root.type) {
    case "system":
      return `the host's /usr, read-only, with a generated /etc (${root.etc})`;
    case "closure":
      return "the program and the libraries it is linked with";
    case "directory":
      return `${root.path} of the host, never written to`;
    case "empty":
      return "nothing but what is mounted";
  }
  return root satisfies never;
}

function writeText({ filesystem: { write, writeSize } }: Spec): string {
  if (write === "none") return "refused";
  if (write === "ephemeral") return `discarded after the run, ${formatSize(writeSize)}`;
  return `kept in ${write.directory} of the host`;
}

function workdirText({ filesystem: { workdir } }: Spec): string {
  if (workdir === "none") return "not shown";
  return `the caller's, ${workdir === "rw" ? "writable" : "read-only"}, at its own path`;
}

function procText({ filesystem: { proc, masked, readOnly } }: Spec): string {
  if (proc === "none") return "not there";
  if (proc === "pids") return "own processes only";
  return `own processes and facts of the machine; ${masked.length} paths masked, ${readOnly.length} read-only`;
}

function mountText(mount: Spec["filesystem"]["mounts"][number]): readonly [what: string, value: string] {
  switch (mount.type) {
    case "bind":
      return [
        mount.target,
        `${mount.source} of the host, ${mount.readOnly ? "read-only" : "writable"}${mount.noExec ? ", no execution" : ""}`,
      ];
    case "tmpfs":
      return [
        mount.target,
        `in memory, ${formatSize(mount.size)}${mount.noExec ? ", no execution" : ", programs can be run"}`,
      ];
    case "file":
      return [mount.target, `a file of ${mount.content.length} characters`];
    case "symlink":
      return [mount.target, `a link to ${mount.link}`];
  }
  return mount satisfies never;
}

function groupsOf(filter: FilterFacts | undefined): readonly GroupAnswer[] {
  if (filter === undefined) return [];
  const numbers = syscallTable(SHOWN_ABI).numbers;
  const answers = new Map<string, CallAnswer>();
  const grouped = new Set<string>();
  const answer = (name: string): CallAnswer => {
    const known = answers.get(name) ?? answersTo(filter, SHOWN_ABI, name);
    answers.set(name, known);
    return known;
  };
  const groupOf = (group: string, about: string, calls: readonly string[]): GroupAnswer => {
    const named = calls.filter((name) => numbers.has(name));
    for (const name of named) grouped.add(name);
    return {
      group,
      about,
      allowed: named.filter((name) => answer(name).allowed === "always"),
      conditional: named.flatMap((name) => {
        const { allowed, when } = answer(name);
        return allowed === "sometimes" ? [{ name, when }] : [];
      }),
      refused: named.filter((name) => answer(name).allowed === "never"),
    };
  };
  const groups = Object.entries(GROUPS).map(([group, { about, calls }]) => groupOf(group, about, calls));
  const rest = [...numbers.keys()].filter((name) => !grouped.has(name));
  return [...groups, ...(rest.length === 0 ? [] : [groupOf("others", "Calls of no group", rest)])].filter(
    ({ allowed, conditional, refused }) => allowed.length + conditional.length + refused.length > 0,
  );
}

function exposedBy(facts: ProfileFacts): readonly Exposed[] {
  const calls = Object.entries(DANGEROUS).flatMap(([name, why]): readonly Exposed[] => {
    const found = facts.spec.seccomp === null ? null : facts.allowed({ names: [name] });
    return found === null ? [] : [{ name, why, places: facts.at(found.pointer) }];
  });
  const over = facts.spec.namespaces.user ? "over a user namespace of its own" : "over the host";
  const capabilities = [...facts.capabilities].map(
    ([name, pointer]): Exposed => ({ name, why: over, places: facts.at(pointer) }),
  );
  return [...calls, ...capabilities];
}
