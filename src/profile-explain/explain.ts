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
import { NotStated, stated } from "../profile/stated.ts";
import { formatSize, formatTime } from "../profile/units.ts";
import { DANGEROUS } from "../profile-rules/calls.ts";
import { type Exposure, exposureOf } from "../profile-rules/exposure.ts";
import type { ProfileFacts } from "../profile-rules/facts.ts";
import type { FilterFacts } from "../profile-rules/filter-facts.ts";
import { holdsAnywhere, type Layer, PROPERTIES } from "../profile-rules/properties.ts";
import { answersTo, type CallAnswer } from "./calls.ts";

/** One setting, and the line that decided it. */
export interface Setting {
  readonly what: string;
  readonly value: string;
  readonly origin: Provenance;
}

export interface Section {
  readonly title: string;
  /** Empty: nothing of it is said. */
  readonly settings: readonly Setting[];
}

export interface PropertyAnswer {
  readonly id: string;
  /** What is impossible when it holds. */
  readonly about: string;
  readonly holds: boolean;
  /** It may hold: a layer that is not said here decides. */
  readonly undecided: boolean;
  readonly layers: readonly Layer[];
}

/** The calls of one group on the convention that is shown. */
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
  /** The native convention whose calls are shown. */
  readonly convention: Abi;
  /** Empty: there is no filter. */
  readonly calls: readonly GroupAnswer[];
  /** Calls and capabilities that reach beyond the sandbox and can be had. */
  readonly exposed: readonly Exposed[];
}

const SHOWN_FIRST: Abi = "x86_64";

export function explain(facts: ProfileFacts, files: readonly string[]): Explanation {
  const { spec, filters } = facts;
  const shown = filters.find(({ arch }) => SERVED[arch][0] === SHOWN_FIRST) ?? filters[0];
  const convention = shown === undefined ? SHOWN_FIRST : (SERVED[shown.arch][0] as Abi);
  return {
    name: spec.name,
    description: spec.description,
    files,
    exposure: exposureOf(facts),
    sections: sectionsOf(facts),
    properties: Object.entries(PROPERTIES).map(([id, { about, layers: layersOf }]) => {
      const layers = layersOf(facts);
      const holds = holdsAnywhere(layers);
      return {
        id,
        about,
        holds,
        undecided: !holds && layers.some((layer) => layer.undecided === true),
        layers,
      };
    }),
    convention,
    calls: shown === undefined ? [] : groupsOf(shown, convention),
    exposed: exposedBy(facts),
  };
}

function sectionsOf(facts: ProfileFacts): readonly Section[] {
  const { spec } = facts;
  const row = (what: string, pointer: string, value: () => string): Setting => ({
    what,
    value: said(value),
    origin: facts.origin(pointer),
  });
  const namespaces = NAMESPACES.map((name) => ({ name, own: stated(() => spec.namespaces[name]) }));
  const named = (wanted: boolean): string =>
    list(namespaces.flatMap(({ name, own }) => (own === wanted ? [name] : [])));
  const unsaid = namespaces.flatMap(({ name, own }) => (own instanceof NotStated ? [name] : []));
  const anySaid = unsaid.length < namespaces.length;
  const first = namespaces.find(({ own }) => own === true)?.name ?? "user";
  const limit = (name: keyof Spec["resources"], text: (value: number) => string): Setting =>
    row(name, `/resources/${name}`, () => {
      const value = spec.resources[name];
      return typeof value === "number" ? text(value) : "no limit";
    });
  const mounts = stated(() =>
    spec.filesystem.mounts.map((mount, index) => {
      const [what, value] = mountText(mount);
      return row(what, `/filesystem/mounts/${index}`, () => value);
    }),
  );
  const variables = stated(() => Object.keys(spec.environment.set));
  const sections: readonly Section[] = [
    {
      title: "isolation",
      settings: [
        row("own namespaces", `/namespaces/${first}`, () => (anySaid ? named(true) : NOT_SAID)),
        row("shared with the host", "/namespaces", () => (anySaid ? named(false) : NOT_SAID)),
        ...(anySaid && unsaid.length > 0
          ? [row("joined from elsewhere", `/namespaces/${unsaid[0]}`, () => list(unsaid))]
          : []),
        row("runs as", "/identity/uid", () => `uid ${spec.identity.uid}, gid ${spec.identity.gid} inside`),
        row("ids outside", "/identity/map", () => mapText(spec)),
        row("network", "/network/mode", () =>
          spec.network.mode === "none" ? "loopback only" : spec.network.mode,
        ),
        row("security module", "/lsm/type", () => lsmText(spec)),
        row("Landlock", "/landlock", () => landlockText(spec)),
      ],
    },
    {
      title: "files",
      settings: [
        row("root", "/filesystem/root", () => rootText(spec)),
        row("writes to the root", "/filesystem/write", () => writeText(spec)),
        ...(mounts instanceof NotStated ? [] : mounts),
        row("working directory", "/filesystem/workdir", () => workdirText(spec)),
        row("/proc", "/filesystem/proc", () => procText(spec)),
        row("devices", "/filesystem/devices", () => list(spec.filesystem.devices)),
      ],
    },
    {
      title: "privileges",
      settings: [
        ...CAPABILITY_SETS.map((set) =>
          row(`${set} set`, `/capabilities/${set}`, () => list(spec.capabilities[set])),
        ),
        row("no_new_privs", "/noNewPrivileges", () => (spec.noNewPrivileges ? "set" : "not set")),
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
        row("variables passed", "/environment/pass", () => list(spec.environment.pass)),
        row(
          "variables set",
          `/environment/set/${variables instanceof NotStated ? "" : (variables[0] ?? "")}`,
          () => list(Object.keys(spec.environment.set)),
        ),
        row("terminal", "/process/terminal", () => spec.process.terminal),
        row("write then execute memory", "/process/memoryDenyWriteExecute", () =>
          spec.process.memoryDenyWriteExecute ? "refused" : "possible",
        ),
        row("log", "/audit/require", () =>
          spec.audit.require
            ? `required; when it cannot be written: ${spec.audit.onFailure}`
            : "not required",
        ),
      ],
    },
  ];
  return sections.map(({ title, settings }) => ({
    title,
    settings: settings.every(({ value }) => value === NOT_SAID) ? [] : settings,
  }));
}

/** What a document does not say is said to be so. */
function said(value: () => string): string {
  const text = stated(value);
  return text instanceof NotStated ? NOT_SAID : text;
}

export const NOT_SAID = "not said here";

const list = (names: readonly string[]): string => (names.length === 0 ? "none" : names.join(", "));

function mapText({ identity, namespaces }: Spec): string {
  if (!namespaces.user) return "the same: there is no user namespace";
  if (typeof identity.map === "object" && identity.map.uidMappings.length === 0) return "none are mapped";
  if (identity.map === "auto") return "ids that own nothing, or the caller's own";
  if (identity.map === "subordinate") return "a range of subordinate ids";
  return identity.map.uidMappings
    .map(({ containerID, hostID, size }) => `${containerID} is ${hostID} outside (${size})`)
    .join(", ");
}

function lsmText(spec: Spec): string {
  const { lsm } = spec;
  if (lsm.type === "none") return "none";
  const name = lsm.apparmorProfile ?? lsm.selinuxLabel;
  const which = lsm.type === "any" ? "whichever the host has" : lsm.type;
  const needed = stated(() => (spec.require.lsm === "none" ? ", if there is one" : ", required"));
  return `${which}${name === null ? "" : ` (${name})`}${needed instanceof NotStated ? "" : needed}`;
}

function landlockText(spec: Spec): string {
  if (spec.landlock === null) return "none";
  return `files, ports and signals once more, ${spec.require.landlock === "none" ? "if the kernel has it" : "required"}`;
}

function rootText({ filesystem }: Spec): string {
  const { root } = filesystem;
  switch (root.type) {
    case "system":
      return `the host's /usr, read-only, with a generated /etc (${root.etc})`;
    case "closure":
      return "the program and the libraries it is linked with";
    case "directory":
      return root.path.startsWith("/") ? `${root.path} of the host` : `${root.path} beside the document`;
    case "empty":
      return "nothing but what is mounted";
  }
  return root satisfies never;
}

function writeText({ filesystem }: Spec): string {
  const { write } = filesystem;
  if (write === "none") return "refused";
  if (write === "ephemeral") return `discarded after the run, ${formatSize(filesystem.writeSize)}`;
  return write.directory.startsWith("/")
    ? `kept in ${write.directory} of the host`
    : `kept in ${write.directory}`;
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
        `in memory, ${mount.size === 0 ? "no limit" : formatSize(mount.size)}${mount.noExec ? ", no execution" : ", programs can be run"}`,
      ];
    case "file":
      return [mount.target, `a file of ${mount.content.length} characters`];
    case "symlink":
      return [mount.target, `a link to ${mount.link}`];
  }
  return mount satisfies never;
}

function groupsOf(filter: FilterFacts, abi: Abi): readonly GroupAnswer[] {
  const { numbers } = syscallTable(abi);
  const answers = new Map<string, CallAnswer>();
  const grouped = new Set<string>();
  const answer = (name: string): CallAnswer => {
    const known = answers.get(name) ?? answersTo(filter, abi, name);
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
    const found = facts.filters.length === 0 ? null : facts.allowed({ names: [name] });
    return found === null ? [] : [{ name, why, places: facts.at(found.pointer) }];
  });
  const capabilities = stated(() => {
    const over = facts.spec.namespaces.user ? "over a user namespace of its own" : "over the host";
    return [...facts.capabilities].map(
      ([name, pointer]): Exposed => ({ name, why: over, places: facts.at(pointer) }),
    );
  });
  return [...calls, ...(capabilities instanceof NotStated ? [] : capabilities)];
}
