/** Rules about privileges: capabilities in any set, and ways to more. */

import { CAPABILITIES } from "../../profile/capability-names.ts";
import { CAPABILITY_SETS } from "../../profile/spec.ts";
import { SCOPE_NAMES } from "../../program/landlock.ts";
import { cis, man, type ProfileRule, profileRule, pss, violation } from "../profile-rule.ts";

export const PRIVILEGES: readonly ProfileRule[] = [
  profileRule({
    id: "no-new-privileges",
    title: "Executing a file never adds rights",
    rationale:
      "Without no_new_privs, files with set-user-id bits or capabilities give their rights to whoever executes them.",
    remediation: "Set noNewPrivileges to true.",
    references: [cis("5.26"), pss("restricted", "Privilege Escalation"), man("PR_SET_NO_NEW_PRIVS", 2)],
    options: {},
    *check(facts) {
      if (!facts.spec.noNewPrivileges)
        yield violation(facts, "noNewPrivileges", "no_new_privs is not set", "/noNewPrivileges");
    },
  }),
  profileRule({
    id: "capabilities",
    title: "Only listed capabilities are in any set",
    rationale:
      "Each capability is a part of root. Even over a namespace of its own it opens kernel code that few have tested against attackers.",
    remediation:
      "Remove the capability from every set, or add it to the option `allow` of the policy with a reason.",
    references: [
      cis("5.4"),
      pss("baseline", "Capabilities"),
      pss("restricted", "Capabilities"),
      man("capabilities", 7),
    ],
    options: {
      allow: {
        type: "words",
        default: [],
        known: () => CAPABILITIES,
        about: "capabilities that may be in any set",
      },
    },
    *check(facts, { allow }) {
      const seen = new Set<string>(allow);
      for (const set of CAPABILITY_SETS) {
        for (const [index, name] of facts.spec.capabilities[set].entries()) {
          if (seen.has(name)) continue;
          seen.add(name);
          yield violation(facts, name, `${name} is in the ${set} set`, `/capabilities/${set}/${index}`);
        }
      }
    },
  }),
  profileRule({
    id: "not-privileged",
    title: "The program is not privileged",
    rationale:
      "With CAP_SYS_ADMIN over the host, or with every capability, there is no boundary left: this is what --privileged gives a container.",
    remediation: "Give the few capabilities that are needed, in a user namespace of its own.",
    references: [cis("5.5"), pss("baseline", "Privileged Containers")],
    options: {},
    *check(facts) {
      const admin = facts.capabilities.get("CAP_SYS_ADMIN");
      const all = CAPABILITIES.every((name) => facts.capabilities.has(name));
      if (admin === undefined || (facts.spec.namespaces.user && !all)) return;
      const what = all ? "every capability can be had" : "CAP_SYS_ADMIN over the host can be had";
      yield violation(facts, "privileged", what, admin);
    },
  }),
  profileRule({
    id: "security-module",
    title: "A security module of the kernel confines the program",
    rationale:
      "AppArmor and SELinux judge by what a file or socket is, not by who asks: they hold where an id, a capability or a mount was forgotten.",
    remediation:
      'Set lsm.type to "any", "apparmor" or "selinux", without the profile "unconfined", and require.lsm where hosts must have one.',
    references: [cis("5.2"), cis("5.3"), pss("baseline", "AppArmor"), pss("baseline", "SELinux")],
    options: {
      required: {
        type: "flag",
        default: false,
        about: "whether a host without such a module must be refused (require.lsm)",
      },
    },
    *check(facts, { required }) {
      const { lsm } = facts.spec;
      if (lsm.type === "none") yield violation(facts, "lsm", "no security module confines it", "/lsm/type");
      else if (lsm.apparmorProfile === "unconfined")
        yield violation(facts, "lsm", "its AppArmor profile is unconfined", "/lsm/apparmorProfile");
      else if (lsm.selinuxLabel !== null && /:unconfined_t(:|$)/.test(lsm.selinuxLabel))
        yield violation(facts, "lsm", "its SELinux type is unconfined", "/lsm/selinuxLabel");
      else if (required && facts.spec.require.lsm === "none")
        yield violation(facts, "lsm", "a host without a security module is accepted", "/require/lsm");
    },
  }),
  profileRule({
    id: "landlock",
    title: "Landlock restricts the program",
    rationale:
      "Landlock says again what mounts and namespaces allow, in other code of the kernel and at each access: a wrong mount flag or a descriptor that got in is then not enough.",
    remediation:
      "Leave landlock as it is derived, with both of landlock.scope, and set require.landlock where hosts must have it.",
    references: [],
    options: {
      required: {
        type: "flag",
        default: false,
        about: "whether a host without Landlock must be refused (require.landlock)",
      },
    },
    *check(facts, { required }) {
      const { landlock } = facts.spec;
      if (landlock === null) {
        yield violation(facts, "landlock", "Landlock is off", "/landlock");
        return;
      }
      for (const scope of SCOPE_NAMES)
        if (!landlock.scope[scope])
          yield violation(facts, scope, `${scope} is not scoped`, `/landlock/scope/${scope}`);
      if (required && facts.spec.require.landlock === "none")
        yield violation(facts, "landlock", "a host without Landlock is accepted", "/require/landlock");
    },
  }),
];
