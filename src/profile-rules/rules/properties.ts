/** Rules about properties across layers: one for each, violated when fewer layers hold it than the policy asks for. */
import type { Reference } from "../../gate/rule.ts";
import { cis, man, NOT_JUDGED, type ProfileRule, profileRule, pss } from "../profile-rule.ts";
import { PROPERTIES, type PropertyId } from "../properties.ts";

interface PropertyText {
  readonly title: string;
  readonly rationale: string;
  readonly remediation: string;
  readonly references: readonly Reference[];
}

/** Properties that are rules. Those that another rule states more exactly are not. */
const TEXTS: Readonly<Partial<Record<PropertyId, PropertyText>>> = {
  "no-new-user-namespaces": {
    title: "No user namespace can be made",
    rationale:
      "In a user namespace of its own a program has every capability over what it makes there: the way to most kernel holes of recent years, none of which need it otherwise.",
    remediation:
      "Refuse clone and unshare with CLONE_NEWUSER (0x10000000), and clone3 with ENOSYS, since its flags are in memory.",
    references: [man("user_namespaces", 7)],
  },
  "no-namespace-changes": {
    title: "No namespace can be made or entered",
    rationale:
      "Namespaces are how a sandbox is built; a program inside needs none, and each is kernel code to attack.",
    remediation:
      "Refuse unshare and setns, clone with any CLONE_NEW flag (0x7e020000), and clone3 with ENOSYS.",
    references: [man("namespaces", 7)],
  },
  "no-af-alg": {
    title: "The kernel's crypto sockets cannot be reached",
    rationale:
      "AF_ALG sockets run the kernel's crypto code on a program's data, a repeated source of local root holes. A filter on socket alone does not close them: socketcall and io_uring make sockets too.",
    remediation:
      "Allow socket for AF_UNIX, AF_INET and AF_INET6 only, no 32-bit convention, and no io_uring; a network namespace does not help.",
    references: [
      man("address_families", 7),
      {
        title: "Linux kernel crypto API, user space interface",
        url: "https://docs.kernel.org/crypto/userspace-if.html",
      },
    ],
  },
  "no-io-uring": {
    title: "Nothing can be submitted past the filter",
    rationale:
      "Operations submitted through io_uring are not seen by the filter, and its code has been a large share of the kernel's local root holes.",
    remediation: "Refuse io_uring_setup, io_uring_enter and io_uring_register.",
    references: [man("io_uring_setup", 2)],
  },
  "no-packet-sockets": {
    title: "The host's network cannot be read or forged",
    rationale: "Packet sockets on the host's interfaces read and send whatever passes.",
    remediation:
      "Use a network namespace of its own, give no CAP_NET_RAW, and allow no socket of family packet.",
    references: [man("packet", 7), cis("5.10")],
  },
  "no-setuid-files": {
    title: "No set-user-id file can be left on the host",
    rationale:
      "A set-user-id file in a directory that outlives the run gives its owner's rights to whoever executes it on the host.",
    remediation:
      "Keep no written files, or refuse chmod, open and their kin with mode bits 04000 and 02000, and openat2.",
    references: [man("inode", 7)],
  },
  "no-mounting": {
    title: "The mount tree cannot be changed",
    rationale: "Whoever can mount can cover or uncover what the sandbox hides.",
    remediation: "Refuse the mount calls, and give no CAP_SYS_ADMIN.",
    references: [man("mount", 2)],
  },
  "no-kernel-code": {
    title: "No code can be loaded into the kernel",
    rationale: "A kernel module or another kernel is the host.",
    remediation: "Refuse the module and kexec calls, and give no CAP_SYS_MODULE or CAP_SYS_BOOT.",
    references: [man("init_module", 2), cis("5.4")],
  },
  "no-tracing-of-others": {
    title: "Processes outside cannot be looked into",
    rationale: "Whoever can trace a process outside has its memory, its descriptors and its rights.",
    remediation: "Use a process-id namespace of its own, and refuse ptrace, process_vm_* and pidfd_getfd.",
    references: [man("ptrace", 2), cis("5.16")],
  },
  "no-terminal-injection": {
    title: "Nothing can be typed into the caller's terminal",
    rationale:
      "TIOCSTI and TIOCLINUX put characters into a terminal's input, where the caller's shell reads them after the run.",
    remediation: "Allow ioctl by request numbers, without 0x5412 and 0x541c.",
    references: [man("TIOCSTI", 2)],
  },
  "no-privileges-by-exec": {
    title: "No file executed gives rights",
    rationale: "A set-user-id program that is found or made inside must be an ordinary program there.",
    remediation: "Set noNewPrivileges, and keep the bounding set empty.",
    references: [man("execve", 2), pss("restricted", "Privilege Escalation")],
  },
  "no-code-at-run-time": {
    title: "Memory that was written cannot be executed",
    rationale:
      "Injected code must be executable to run. Programs without a compiler of their own never need memory that is first written and then executed.",
    remediation:
      "Set process.memoryDenyWriteExecute to true. Runtimes that compile while running (Java, JavaScript, Lua) do not work then.",
    references: [man("PR_SET_MDWE", 2)],
  },
};

export const PROPERTY_RULES: readonly ProfileRule[] = Object.entries(TEXTS).map(([id, text]) =>
  profileRule({
    id,
    ...text,
    options: {
      layers: {
        type: "integer",
        default: 1,
        about: "how many layers must hold it: with 2, a hole in one is not enough",
      },
    },
    *check(facts, { layers: wanted }) {
      const { about, layers: layersOf } = PROPERTIES[id as PropertyId];
      const layers = layersOf(facts);
      const held = layers.filter(({ holds }) => holds);
      const open = layers.filter(({ holds }) => !holds);
      const needed = Math.min(wanted, layers.length);
      if (held.length >= needed) return;
      const [unsaid] = open.filter(({ undecided }) => undecided === true);
      const decided = open.filter(({ undecided }) => undecided !== true);
      // Enough layers may hold it, but the document does not say.
      if (unsaid !== undefined && layers.length - decided.length >= needed) {
        const message = `cannot be judged: ${decided.map(({ layer, says }) => `${layer}: ${says}; `).join("")}${unsaid.says}`;
        yield { object: NOT_JUDGED, message, places: facts.at(unsaid.pointer), undecided: true };
        return;
      }
      const why = open.map(({ layer, says }) => `${layer}: ${says}`).join("; ");
      const by = held.map(({ layer }) => layer).join(", ");
      yield {
        object: open.map(({ layer }) => layer).join(", "),
        message:
          held.length === 0 ? `${about} is possible: ${why}` : `${about} is prevented only by ${by}: ${why}`,
        places: open.flatMap(({ pointer }) => facts.at(pointer)),
      };
    },
  }),
);
