/**
 * Properties across layers: each holds when at least one layer holds it, and says for every layer whether it does. A property that stands
 * on two layers survives a hole in one. Pure.
 */
import { formatRule } from "../compile/seccomp/ir.ts";
import { NotStated, stated } from "../profile/stated.ts";
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
  /** The document does not say whether it does: `holds` is false then. */
  readonly undecided?: true;
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
      facts.filters.length === 0 ? "there is no filter" : `${describeCall(allowed, question)} gets through`;
    return { layer: "system calls", holds: false, says, pointer: allowed.pointer };
  }
  return { layer: "system calls", holds: true, says: "every way to it is refused", pointer: "/seccomp" };
}

/** A layer that a document may say nothing about. */
function layer(
  name: string,
  pointer: string,
  ask: () => { readonly holds: boolean; readonly says: string; readonly pointer?: string },
): Layer {
  const answer = stated(ask);
  if (answer instanceof NotStated)
    return { layer: name, holds: false, undecided: true, says: answer.message, pointer: answer.pointer };
  return { layer: name, pointer, ...answer };
}

function byCapability(facts: ProfileFacts, ...names: readonly string[]): Layer {
  return layer("capabilities", "/capabilities", () => {
    const { capabilities } = facts;
    const had = names.find((name) => capabilities.has(name));
    if (had === undefined) return { holds: true, says: `${names.join(" and ")} can never be had` };
    return { holds: false, says: `${had} can be had`, pointer: capabilities.get(had) ?? "/capabilities" };
  });
}

/** Capabilities of a user namespace of one's own reach nothing of the host. */
function byUserNamespace({ spec }: ProfileFacts, what: string): Layer {
  return layer("user namespace", "/namespaces/user", () => {
    const holds = spec.namespaces.user;
    return { holds, says: holds ? `its own: ${what}` : "the host's" };
  });
}

function byNamespace({ spec }: ProfileFacts, name: "pid" | "network" | "mount" | "ipc", what: string): Layer {
  return layer(`${name} namespace`, `/namespaces/${name}`, () => {
    const holds = spec.namespaces[name] && !(name === "network" && spec.network.mode === "host");
    return { holds, says: holds ? what : "the host's" };
  });
}

function byFiles(facts: ProfileFacts): Layer {
  return layer("files", "/filesystem", () => {
    const kept = facts.paths.find((path) => path.kept);
    if (kept === undefined) return { holds: true, says: "nothing that is written outlives the run" };
    return { holds: false, says: `${kept.inside} is kept on the host`, pointer: kept.pointer };
  });
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
      layer("terminal", "/process/terminal", () => ({
        // Ours has one whatever the profile says.
        holds: facts.ours || facts.spec.process.terminal === "always",
        says: "a terminal and session of its own, with a relay to the caller's",
      })),
    ],
  },
  "no-host-identity": {
    about: "acting as a user of the host with rights",
    layers: (facts) => [
      byUserNamespace(facts, "ids inside are others outside"),
      layer("ids", "/identity/map", () => ({
        holds: !mapsHostRoot(facts),
        says: mapsHostRoot(facts) ? "the host's root is mapped" : "no id inside is the host's root",
      })),
    ],
  },
  "no-privileges-by-exec": {
    about: "gaining rights by executing a file",
    layers: (facts) => [
      layer("no_new_privs", "/noNewPrivileges", () => ({
        holds: facts.spec.noNewPrivileges,
        says: facts.spec.noNewPrivileges ? "set" : "not set",
      })),
      layer("capabilities", "/capabilities/bounding", () => {
        const { bounding } = facts.spec.capabilities;
        if (bounding.length === 0) return { holds: true, says: "the bounding set is empty" };
        return { holds: false, says: `the bounding set has ${bounding.join(", ")}` };
      }),
      layer("files", "/filesystem", () => {
        if (facts.ours) return { holds: true, says: "every mount is nosuid" };
        // Asked so that a document without files is none that has harmless ones.
        const { root } = facts.spec.filesystem;
        return { holds: false, says: `set-user-id files of the root (${root.type}) count` };
      }),
    ],
  },
  "no-code-at-run-time": {
    about: "making memory executable that was written",
    layers: (facts) => [
      byCalls(facts, CODE_AT_RUN_TIME),
      layer("memory", "/process/memoryDenyWriteExecute", () => {
        const holds = facts.spec.process.memoryDenyWriteExecute;
        return { holds, says: holds ? "PR_SET_MDWE is set" : "PR_SET_MDWE is not set" };
      }),
    ],
  },
} as const satisfies Readonly<Record<string, Omit<Property, "id">>>;

export type PropertyId = keyof typeof PROPERTIES;

/** Whether an explicit map gives an id inside the host's id 0. */
export function mapsHostRoot({ spec }: ProfileFacts): boolean {
  if (!spec.namespaces.user) return true;
  const { map } = spec.identity;
  if (typeof map === "string") return false;
  return [...map.uidMappings, ...map.gidMappings].some(({ hostID }) => hostID === 0);
}
