/** Rules about system calls, each a question to the emitted filter. */
import { ABIS, type Abi, SCMP_ARCH, SERVED } from "../../compile/seccomp/abi.ts";
import { allSyscalls, syscallTable } from "../../compile/seccomp/tables.ts";
import { lets } from "../ask.ts";
import { DANGEROUS, FAMILIES, makesSocket, ORDINARY_FAMILIES } from "../calls.ts";
import { bareCall, deciding } from "../filter-facts.ts";
import { cis, man, type ProfileRule, profileRule, pss, violation } from "../profile-rule.ts";
import { describeCall } from "../properties.ts";

/** A number that no architecture has given out: what the next kernel adds. */
const UNKNOWN_CALL = 4000;

const NATIVE: readonly Abi[] = Object.values(SERVED).map(([native]) => native as Abi);

export const CALLS: readonly ProfileRule[] = [
  profileRule({
    id: "filter",
    title: "System calls are filtered",
    rationale:
      "The kernel offers several hundred calls to every program. Most holes of the kernel are in calls that ordinary programs never make.",
    remediation: 'Give the profile a "seccomp" section, or extend one that has it.',
    references: [cis("5.22"), pss("baseline", "Seccomp"), pss("restricted", "Seccomp"), man("seccomp", 2)],
    options: {},
    *check(facts) {
      if (facts.filters.length === 0)
        yield violation(facts, "seccomp", "there is no system-call filter", "/seccomp");
    },
  }),
  profileRule({
    id: "deny-by-default",
    title: "A call that no rule names is refused",
    rationale:
      "A list of forbidden calls is out of date with the next kernel: what it adds is allowed before anybody has looked at it.",
    remediation: 'Set seccomp.defaultAction to "SCMP_ACT_ERRNO" and allow what is needed.',
    references: [cis("5.22")],
    options: {},
    *check(facts) {
      for (const filter of facts.filters) {
        const abi = SERVED[filter.arch][0] as Abi;
        if (!lets(filter.asked.meaning.ask(bareCall(abi, UNKNOWN_CALL)))) continue;
        yield violation(facts, "default", "calls of newer kernels get through", "/seccomp/defaultAction");
        return;
      }
    },
  }),
  profileRule({
    id: "native-calls-only",
    title: "Only calls of the native convention get through",
    rationale:
      "Compatibility conventions (32-bit, x32) are less tested code of the kernel, have other numbers, and multiplexers such as socketcall whose arguments no filter sees.",
    remediation: "Remove the architecture from seccomp.architectures.",
    references: [cis("5.22"), man("seccomp", 2)],
    options: {
      allow: { type: "words", default: [], known: () => ABIS, about: "other conventions that may be used" },
    },
    *check(facts, { allow }) {
      for (const abi of ABIS) {
        if (NATIVE.includes(abi) || allow.includes(abi)) continue;
        const found = facts.allowed({ names: [...syscallTable(abi).numbers.keys()], abis: [abi] });
        if (found === null || facts.filters.length === 0) continue;
        const listed = facts.filters[0]?.rules?.spec.architectures ?? [];
        const index = listed.indexOf(SCMP_ARCH[abi]);
        const pointer = index >= 0 ? `/seccomp/architectures/${index}` : "/seccomp/architectures";
        yield violation(facts, abi, `calls of ${abi} get through, such as ${found.name}`, pointer);
      }
    },
  }),
  profileRule({
    id: "no-dangerous-calls",
    title: "No call that reaches beyond the sandbox gets through",
    rationale:
      "These calls act on the whole host, on other processes or on the kernel itself, or are known for the holes found in them. Ordinary programs need none.",
    remediation: "Remove the call, or the group that contains it, from the rule that allows it.",
    references: [cis("5.22"), man("seccomp", 2)],
    options: {
      calls: {
        type: "words",
        default: Object.keys(DANGEROUS),
        known: allSyscalls,
        about: "calls that must not get through, with any arguments",
      },
    },
    *check(facts, { calls }) {
      if (facts.filters.length === 0) return;
      for (const name of calls) {
        const found = facts.allowed({ names: [name] });
        if (found === null) continue;
        const why = DANGEROUS[name];
        yield violation(
          facts,
          name,
          `${name} gets through on ${found.abi}${why === undefined ? "" : `: ${why}`}`,
          found.pointer,
        );
      }
    },
  }),
  profileRule({
    id: "socket-families",
    title: "Sockets of listed families only",
    rationale:
      "A socket of a rare family makes the kernel load and run a protocol that hardly anybody uses: a steady source of local root holes.",
    remediation: "Allow socket only with its first argument equal to the families that are needed.",
    references: [man("address_families", 7), man("socket", 2)],
    options: {
      allow: {
        type: "words",
        default: ORDINARY_FAMILIES,
        known: () => Object.keys(FAMILIES),
        about: "families whose sockets may be made",
      },
    },
    *check(facts, { allow }) {
      for (const [name, number] of Object.entries(FAMILIES)) {
        if (allow.includes(name)) continue;
        for (const question of makesSocket(number)) {
          const found = facts.allowed(question);
          if (found === null) continue;
          const how = facts.filters.length === 0 ? "there is no filter" : describeCall(found, question);
          yield violation(facts, name, `a socket of family ${name} can be made: ${how}`, found.pointer);
          break;
        }
      }
    },
  }),
  profileRule({
    id: "errno-for-new-calls",
    title: "A call newer than the filter fails with ENOSYS",
    rationale:
      "Libraries try a new call first and fall back when it does not exist. Told EPERM, they give up: a filter that says so breaks programs with the next update, and is then switched off.",
    remediation: 'Use "SCMP_ACT_ERRNO" as the default action: newer calls then get ENOSYS.',
    references: [man("seccomp", 2)],
    options: {},
    *check(facts) {
      for (const filter of facts.filters) {
        const abi = SERVED[filter.arch][0] as Abi;
        const { verdict, pointer } = deciding(filter, abi, "", bareCall(abi, UNKNOWN_CALL));
        if (lets(verdict) || (verdict & 0xffff) === 38) continue;
        yield violation(
          facts,
          "newer",
          "a call newer than the filter ends the program or confuses it",
          pointer,
        );
        return;
      }
    },
  }),
];
