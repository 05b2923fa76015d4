/** Rules about files: what of the host is shown, what can be written, what written can be run. */
import { matchesPattern } from "../../gate/paths.ts";
import type { ProfileFacts } from "../facts.ts";
import { type OpenPath, overlaps, WORKING_DIRECTORY } from "../path-facts.ts";
import { cis, man, type ProfileRule, profileRule, pss, violation } from "../profile-rule.ts";

const shown = (facts: ProfileFacts): readonly (OpenPath & { readonly host: string })[] =>
  facts.paths.flatMap((path) => (path.host === null ? [] : [{ ...path, host: path.host }]));

/** The directory itself or one above it. */
const contains = (directory: string, path: string): boolean =>
  directory === "/" || path === directory || path.startsWith(`${directory}/`);

const ENGINE_SOCKETS = [
  "/run/docker.sock",
  "/var/run/docker.sock",
  "/run/containerd/containerd.sock",
  "/var/run/containerd/containerd.sock",
  "/run/podman/podman.sock",
  "/run/crio/crio.sock",
  "/var/run/crio/crio.sock",
  "/run/k3s/containerd/containerd.sock",
  "/run/dbus/system_bus_socket",
  "/var/run/dbus/system_bus_socket",
];

const SENSITIVE = [
  "/",
  "/boot",
  "/dev",
  "/etc",
  "/home",
  "/lib",
  "/proc",
  "/root",
  "/run",
  "/sys",
  "/usr",
  "/var",
];

export const FILES: readonly ProfileRule[] = [
  profileRule({
    id: "read-only-root",
    title: "The root file system is read-only",
    rationale:
      "Whoever can write to the root can leave programs, replace configuration and hide traces for the rest of the run.",
    remediation: 'Set filesystem.write to "none" and give a tmpfs where writing is needed.',
    references: [cis("5.13")],
    options: {
      discarded: {
        type: "flag",
        default: false,
        about: "whether writes that are discarded after the run are accepted",
      },
    },
    *check(facts, { discarded }) {
      const { write } = facts.spec.filesystem;
      if (write === "none" || (write === "ephemeral" && discarded)) return;
      const what = write === "ephemeral" ? "discarded after the run" : "kept on the host";
      yield violation(facts, "/", `the root can be written; what is written is ${what}`, "/filesystem/write");
    },
  }),
  profileRule({
    id: "no-host-writes",
    title: "Nothing that is written stays on the host",
    rationale:
      "A writable host directory is a way out in time: what is left there is read, executed or parsed later, by somebody with more rights.",
    remediation: "Bind it read-only, use a tmpfs, or list the path in the option `allow`.",
    references: [cis("5.6")],
    options: {
      allow: {
        type: "words",
        default: [],
        about: `host paths that may be written, with * and **; "${WORKING_DIRECTORY}" for the caller's directory`,
      },
    },
    *check(facts, { allow }) {
      for (const { host, inside, kept, pointer } of shown(facts)) {
        if (!kept || allow.some((pattern) => matchesPattern(pattern, host))) continue;
        yield violation(facts, host, `${host} of the host can be written, at ${inside}`, pointer);
      }
    },
  }),
  profileRule({
    id: "no-host-paths",
    title: "Only listed paths of the host are shown",
    rationale:
      "Every path of the host that is shown can be read, and its sockets connected to, even through a read-only bind.",
    remediation: "Remove the bind, or list the path in the option `allow`.",
    references: [pss("baseline", "HostPath Volumes"), pss("restricted", "Volume Types")],
    options: {
      allow: {
        type: "words",
        default: [],
        about: `host paths that may be shown, with * and **; "${WORKING_DIRECTORY}" for the caller's directory`,
      },
    },
    *check(facts, { allow }) {
      for (const { host, inside, pointer } of shown(facts))
        if (!allow.some((pattern) => matchesPattern(pattern, host)))
          yield violation(facts, host, `${host} of the host is shown at ${inside}`, pointer);
    },
  }),
  profileRule({
    id: "no-sensitive-paths",
    title: "No system directory of the host is shown",
    rationale:
      "Directories of the system hold keys, password hashes, sockets of services and the state of the kernel; written to, they are the host.",
    remediation: "Bind the file that is needed, not the directory it is in, and read-only.",
    references: [cis("5.6")],
    options: {
      paths: {
        type: "words",
        default: SENSITIVE,
        about:
          "directories that may not be shown, themselves or as a part of one above them; nor what is below them, if it can be written",
      },
    },
    *check(facts, { paths }) {
      for (const { host, inside, writable, kept, pointer } of shown(facts)) {
        const hit = paths.find(
          (path) =>
            contains(host, path) ||
            (writable && kept && path !== "/" && path !== "/home" && contains(path, host)),
        );
        if (hit !== undefined && host !== WORKING_DIRECTORY)
          yield violation(
            facts,
            host,
            `${host} of the host is shown at ${inside}: a part of ${hit}`,
            pointer,
          );
      }
    },
  }),
  profileRule({
    id: "no-engine-socket",
    title: "No control socket of the host is shown",
    rationale:
      "The socket of a container engine or of the system's message bus starts programs as root on the host. Binding it read-only changes nothing: connecting is not writing.",
    remediation: "Remove the bind, or bind a directory that does not contain the socket.",
    references: [cis("5.32"), man("unix", 7)],
    options: {
      sockets: { type: "words", default: ENGINE_SOCKETS, about: "sockets that may not be shown" },
    },
    *check(facts, { sockets }) {
      for (const { host, inside, pointer } of shown(facts)) {
        const hit = sockets.find((socket) => contains(host, socket));
        if (hit !== undefined)
          yield violation(facts, hit, `${hit} is shown, by ${host} at ${inside}`, pointer);
      }
    },
  }),
  profileRule({
    id: "no-host-devices",
    title: "No device directory of the host is shown",
    rationale:
      "Device nodes do not open through a bind here, but terminals, shared memory and message queues of the host below /dev do.",
    remediation:
      "List the devices that are needed in filesystem.devices: they are instances or clones of its own.",
    references: [cis("5.18")],
    options: {},
    *check(facts) {
      for (const { host, inside, pointer } of shown(facts))
        if (host !== "/" && overlaps(host, "/dev"))
          yield violation(facts, host, `${host} of the host is shown at ${inside}`, pointer);
    },
  }),
  profileRule({
    id: "kernel-paths-masked",
    title: "What /proc tells and takes about the whole host is covered",
    rationale:
      "These files show addresses, keys and activity of the host's kernel, or change it when written by whoever may.",
    remediation:
      'Set filesystem.proc to "pids", or list the path in filesystem.masked or filesystem.readOnly.',
    references: [pss("baseline", "/proc Mount Type"), man("proc", 5)],
    options: {
      masked: {
        type: "words",
        default: [
          "/proc/acpi",
          "/proc/asound",
          "/proc/interrupts",
          "/proc/kcore",
          "/proc/keys",
          "/proc/latency_stats",
          "/proc/sched_debug",
          "/proc/scsi",
          "/proc/timer_list",
          "/proc/timer_stats",
        ],
        about: "paths that must be masked",
      },
      readOnly: {
        type: "words",
        default: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        about: "paths that must be read-only or masked",
      },
    },
    *check(facts, options) {
      const { proc, masked, readOnly } = facts.spec.filesystem;
      if (proc !== "full") return;
      const covered = (path: string, by: readonly string[]): boolean =>
        by.some((over) => contains(over, path));
      for (const path of options.masked)
        if (!covered(path, masked)) yield violation(facts, path, `${path} can be read`, "/filesystem/masked");
      for (const path of options.readOnly)
        if (!covered(path, [...masked, ...readOnly]))
          yield violation(facts, path, `${path} is not read-only`, "/filesystem/readOnly");
    },
  }),
  profileRule({
    id: "no-writable-programs",
    title: "Nothing that can be written can be executed",
    rationale:
      "The second step of most attacks is a program of the attacker's own: written, then executed. Where no place allows both, only what is installed can run.",
    remediation:
      'Give mounts that are written the option "noexec", set filesystem.write to "none", and refuse memfd_create and execveat with an empty path.',
    references: [man("mount", 8), man("memfd_create", 2)],
    options: {},
    *check(facts) {
      for (const { inside, writable, executable, pointer } of facts.paths)
        if (writable && executable)
          yield violation(facts, inside, `files written to ${inside} can be executed`, pointer);
      const memory = facts.allowed({ names: ["memfd_create"] });
      if (memory !== null)
        yield violation(
          facts,
          "memfd_create",
          "memfd_create makes files that can be executed",
          memory.pointer,
        );
    },
  }),
];
