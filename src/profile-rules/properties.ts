/**
 * Properties across layers: each holds when at least one layer holds it, and says for every layer whether it does. A property that stands
 * on two layers survives a hole in one. Pure.
 */
import { formatRule } from "../compile/seccomp/ir.ts";
import {
  CODE_AT_RUN_TIME,
  FAMILIES,
  MODULES,
  MOUNTING,
  makesNamespace,
  makesSocket,
  NEW_NAMESPACE,
  SETUID_BITS,
  SETUID_BY_STRUCT,
  TERMINAL_INJECTION,
  TRACING,
} from "./calls.ts";
import type { ProfileFacts } from "./facts.ts";
import type { Allowed, Question } from "./filter-facts.ts";

/** What one layer does for a property. */
export interface Layer {
  /** "system calls", "capabilities": the layer in words. */
  readonly layer: string;
  readonly holds: boolean;
  /** One clause: why it holds or what gets through. */
  readonly says: string;
  /** JSON pointer of what decides it. */
  readonly pointer: string;
}

export interface Property {
  readonly id: string;
  /** What is impossible when it holds: "making a new user namespace". */
  readonly about: string;
  layers(facts: ProfileFacts): readonly Layer[];
}

/** Whether any layer holds it. */
export const holdsAnywhere = (layers: readonly Layer[]): boolean => layers.some(({ holds }) => holds);

/** A call as people read it: `clone(arg0 & 0x10000000) on x86_64`. */
export function describeCall({ name, abi }: Allowed, { conditions = [] }: Question): string {
  const written = conditions.map((condition) =>
    formatRule({ conditions: [condition], verdict: 0 }).replace(/ -> .*$/, ""),
  );
  return `${name}${written.length === 0 ? "" : ` with ${written.join(" and ")}`} (${abi})`;
}

function byCalls(facts: ProfileFacts, questions: readonly Question[]): Layer {
  for (const question of questions) {
    const allowed = facts.allowed(question);
    if (allowed === null) continue;
    const says =
      facts.spec.seccomp === null ? "there is no filter" : `${describeCall(allowed, question)} gets through`;
    return { layer: "system calls", holds: false, says, pointer: allowed.pointer };
  }
  return { layer: "system calls", holds: true, says: "every way to it is refused", pointer: "/seccomp" };
}

function byCapability(facts: ProfileFacts, ...names: readonly string[]): Layer {
  const had = names.find((name) => facts.capabilities.has(name));
  return {
    layer: "capabilities",
    holds: had === undefined,
    says: had === undefined ? `${names.join(" and ")} can never be had` : `${had} can be had`,
    pointer: (had === undefined ? undefined : facts.capabilities.get(had)) ?? "/capabilities",
  };
}

/** Capabilities of a user namespace of one's own reach nothing of the host. */
function byUserNamespace({ spec }: ProfileFacts, what: string): Layer {
  const own = spec.namespaces.user;
  return {
    layer: "user namespace",
    holds: own,
    says: own ? `its own: ${what}` : "the host's",
    pointer: "/namespaces/user",
  };
}

function byNamespace({ spec }: ProfileFacts, name: "pid" | "network" | "mount" | "ipc", what: string): Layer {
  const own = spec.namespaces[name] && !(name === "network" && spec.network.mode === "host");
  return {
    layer: `${name} namespace`,
    holds: own,
    says: own ? what : "the host's",
    pointer: `/namespaces/${name}`,
  };
}

function byFiles(facts: ProfileFacts): Layer {
  const kept = facts.paths.find((path) => path.kept);
  return {
    layer: "files",
    holds: kept === undefined,
    says:
      kept === undefined ? "nothing that is written outlives the run" : `${kept.inside} is kept on the host`,
    pointer: kept?.pointer ?? "/filesystem",
  };
}

export const PROPERTIES = {
  "no-new-user-namespaces": {
    about: "making a user namespace",
    layers: (facts) => [byCalls(facts, makesNamespace(NEW_NAMESPACE["CLONE_NEWUSER"] ?? 0n))],
  },
  "no-namespace-changes": {
    about: "making or entering namespaces",
    layers: (facts) => [
      byCalls(facts, [...Object.values(NEW_NAMESPACE).flatMap(makesNamespace), { names: ["setns"] }]),
    ],
  },
  "no-af-alg": {
    about: "sockets of the kernel's crypto interface (AF_ALG)",
    layers: (facts) => [byCalls(facts, makesSocket(FAMILIES["alg"] ?? 0n))],
  },
  "no-io-uring": {
    about: "io_uring, whose operations pass no filter",
    layers: (facts) => [
      byCalls(facts, [{ names: ["io_uring_setup", "io_uring_enter", "io_uring_register"] }]),
    ],
  },
  "no-packet-sockets": {
    about: "raw access to the host's network",
    layers: (facts) => [
      byCalls(facts, makesSocket(FAMILIES["packet"] ?? 0n)),
      byCapability(facts, "CAP_NET_RAW"),
      byNamespace(facts, "network", "nothing but loopback to see"),
    ],
  },
  "no-host-writes": { about: "writing files of the host", layers: (facts) => [byFiles(facts)] },
  "no-setuid-files": {
    about: "leaving set-user-id files on the host",
    layers: (facts) => [byFiles(facts), byCalls(facts, [...SETUID_BITS, SETUID_BY_STRUCT])],
  },
  "no-mounting": {
    about: "changing the mount tree",
    layers: (facts) => [byCalls(facts, MOUNTING), byCapability(facts, "CAP_SYS_ADMIN")],
  },
  "no-kernel-code": {
    about: "loading code into the kernel",
    layers: (facts) => [
      byCalls(facts, MODULES),
      byCapability(facts, "CAP_SYS_MODULE", "CAP_SYS_BOOT"),
      byUserNamespace(facts, "the kernel asks for the capability in the host's"),
    ],
  },
  "no-tracing-of-others": {
    about: "looking into processes outside",
    layers: (facts) => [
      byCalls(facts, TRACING),
      byNamespace(facts, "pid", "no process outside has a number in here"),
      byCapability(facts, "CAP_SYS_PTRACE"),
    ],
  },
  "no-terminal-injection": {
    about: "typing into the caller's terminal",
    layers: (facts) => [
      byCalls(facts, TERMINAL_INJECTION),
      {
        layer: "terminal",
        holds: true,
        says: "a terminal and session of its own, with a relay to the caller's",
        pointer: "/process/terminal",
      },
    ],
  },
  "no-host-identity": {
    about: "acting as a user of the host with rights",
    layers: (facts) => [
      byUserNamespace(facts, "ids inside are others outside"),
      {
        layer: "ids",
        holds: !mapsHostRoot(facts),
        says: mapsHostRoot(facts) ? "the host's root is mapped" : "no id inside is the host's root",
        pointer: "/identity/map",
      },
    ],
  },
  "no-privileges-by-exec": {
    about: "gaining rights by executing a file",
    layers: (facts) => [
      {
        layer: "no_new_privs",
        holds: facts.spec.noNewPrivileges,
        says: facts.spec.noNewPrivileges ? "set" : "not set",
        pointer: "/noNewPrivileges",
      },
      {
        layer: "capabilities",
        holds: facts.spec.capabilities.bounding.length === 0,
        says:
          facts.spec.capabilities.bounding.length === 0
            ? "the bounding set is empty"
            : `the bounding set has ${facts.spec.capabilities.bounding.join(", ")}`,
        pointer: "/capabilities/bounding",
      },
      { layer: "files", holds: true, says: "every mount is nosuid", pointer: "/filesystem" },
    ],
  },
  "no-code-at-run-time": {
    about: "making memory executable that was written",
    layers: (facts) => [
      byCalls(facts, CODE_AT_RUN_TIME),
      {
        layer: "memory",
        holds: facts.spec.process.memoryDenyWriteExecute,
        says: facts.spec.process.memoryDenyWriteExecute
          ? "PR_SET_MDWE is set"
          : "memoryDenyWriteExecute is off",
        pointer: "/process/memoryDenyWriteExecute",
      },
    ],
  },
} as const satisfies Readonly<Record<string, Omit<Property, "id">>>;

export type PropertyId = keyof typeof PROPERTIES;

/** Whether an explicit map gives an id inside the host's id 0. */
export function mapsHostRoot({ spec }: ProfileFacts): boolean {
  const { map } = spec.identity;
  if (!spec.namespaces.user) return true;
  if (typeof map === "string") return false;
  return [...map.uidMappings, ...map.gidMappings].some(({ hostID }) => hostID === 0);
}
