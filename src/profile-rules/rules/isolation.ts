/** Rules about what is shared with the host: namespaces, ids, network. */
import type { Reference } from "../../gate/rule.ts";
import type { Namespace } from "../../profile/spec.ts";
import { cis, man, type ProfileRule, profileRule, pss, violation } from "../profile-rule.ts";
import { mapsHostRoot } from "../properties.ts";

interface NamespaceText {
  readonly about: string;
  readonly rationale: string;
  readonly references: readonly Reference[];
}

const NAMESPACE_TEXTS: Readonly<Record<Namespace, NamespaceText>> = {
  user: {
    about: "user",
    rationale:
      "In a user namespace of its own no id and no capability means anything outside. In the host's, a capability that a program gets by a mistake of the kernel or of a set-user-id file is one over the host.",
    references: [cis("5.31"), man("user_namespaces", 7)],
  },
  mount: {
    about: "mount",
    rationale:
      "Without its own mount tree a program sees the host's files, and what it mounts appears there.",
    references: [man("mount_namespaces", 7)],
  },
  pid: {
    about: "process-id",
    rationale:
      "In the host's, every process can be seen, signalled within the same user, and looked into; nothing ends the descendants of a run for certain.",
    references: [cis("5.16"), pss("baseline", "Host Namespaces"), man("pid_namespaces", 7)],
  },
  network: {
    about: "network",
    rationale:
      "In the host's, services that listen on loopback, abstract sockets and the network behind the host are in reach.",
    references: [cis("5.10"), pss("baseline", "Host Namespaces"), man("network_namespaces", 7)],
  },
  ipc: {
    about: "IPC",
    rationale:
      "In the host's, System V shared memory, semaphores and queues of other programs of the same user can be read and changed.",
    references: [cis("5.17"), pss("baseline", "Host Namespaces"), man("ipc_namespaces", 7)],
  },
  uts: {
    about: "UTS",
    rationale: "In the host's, the host's name is seen, and changed by whoever may set it.",
    references: [cis("5.21"), man("uts_namespaces", 7)],
  },
  cgroup: {
    about: "cgroup",
    rationale:
      "In the host's, /proc/self/cgroup tells where on the host a program runs and what runs beside it.",
    references: [man("cgroup_namespaces", 7)],
  },
  time: {
    about: "time",
    rationale: "In the host's, the time since boot identifies the host and its restarts.",
    references: [man("time_namespaces", 7)],
  },
};

const namespaceRule = (name: Namespace): ProfileRule => {
  const { about, rationale, references } = NAMESPACE_TEXTS[name];
  return profileRule({
    id: `own-${name}-namespace`,
    title: `The ${about} namespace is its own`,
    rationale,
    remediation: `Set namespaces.${name} to true${name === "network" ? ' and network.mode to "none"' : ""}.`,
    references,
    options: {},
    *check(facts) {
      const { spec } = facts;
      const pointer =
        name === "network" && spec.network.mode === "host" ? "/network/mode" : `/namespaces/${name}`;
      if (pointer === "/network/mode" || !spec.namespaces[name])
        yield violation(facts, name, `the ${about} namespace is the host's`, pointer);
    },
  });
};

export const ISOLATION: readonly ProfileRule[] = [
  ...(Object.keys(NAMESPACE_TEXTS) as Namespace[]).map(namespaceRule),
  profileRule({
    id: "not-root",
    title: "The program does not run as root",
    rationale:
      "Many programs, and many mistakes of the kernel, treat uid 0 as something special even without capabilities; files that it leaves behind belong to root wherever ids are not mapped.",
    remediation: "Set identity.uid and identity.gid to ids other than 0.",
    references: [pss("restricted", "Running as Non-root"), cis("4.1")],
    options: {},
    *check(facts) {
      for (const field of ["uid", "gid"] as const)
        if (facts.spec.identity[field] === 0)
          yield violation(facts, field, `it runs with ${field} 0`, `/identity/${field}`);
    },
  }),
  profileRule({
    id: "no-host-root",
    title: "No id inside is the host's root",
    rationale:
      "A program whose ids are the host's root owns every file of the host that is shown to it, and is root again after an escape.",
    remediation: 'Use identity.map "auto" or "subordinate", or map to host ids that own nothing.',
    references: [cis("5.31"), man("user_namespaces", 7)],
    options: {},
    *check(facts) {
      if (mapsHostRoot(facts))
        yield violation(facts, "root", "an id inside is id 0 of the host", "/identity/map");
    },
  }),
];
