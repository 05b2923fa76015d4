/** Rules about which programs there are, where they are from, and how they were built. */
import { forbids, type ImageRule } from "./image-rule.ts";
import { cis, man } from "./references.ts";

export const PROGRAM_RULES: readonly ImageRule[] = [
  forbids(
    {
      id: "no-shell",
      title: "There is no shell",
      rationale:
        "Most exploits end in a shell. Where none is, injected commands have nothing that runs them.",
      remediation:
        'Build on a base without one, and start the program in vector form: ENTRYPOINT ["/app"]. A renamed shell is found as well.',
      references: [cis("4.3")],
    },
    ["shell"],
    ({ subject }) => `${subject} is a shell`,
  ),
  forbids(
    {
      id: "no-package-manager",
      title: "There is no package manager",
      rationale:
        "It installs whatever an intruder lacks, and an image that changes at run time is not the one that was checked.",
      remediation: "Copy what is needed into an image without one, in a last build stage.",
      references: [cis("4.3")],
    },
    ["package-manager"],
    ({ subject }) => `${subject} manages packages`,
  ),
  forbids(
    {
      id: "no-build-tools",
      title: "There are no compilers, debuggers or version-control tools",
      rationale:
        "They turn a foothold into a workshop: build an exploit for this kernel, look into other processes, fetch more.",
      remediation: "Build in one stage and copy the result into another.",
      references: [cis("4.3")],
    },
    ["compiler", "debugger", "version-control"],
    ({ kind, subject }) => `${subject} is a tool for building or looking into programs (${kind})`,
  ),
  forbids(
    {
      id: "no-network-tools",
      title: "There are no tools to fetch or send over the network",
      rationale: "They bring the next stage of an attack in, and what was found out.",
      remediation: "Leave them out; for health checks let the program check itself.",
      references: [cis("4.3")],
    },
    ["network-tool"],
    ({ subject }) => `${subject} talks to the network for whoever asks`,
  ),
  forbids(
    {
      id: "no-privilege-tools",
      title: "There are no tools to change user, root or namespaces",
      rationale:
        "Programs such as su, mount and nsenter serve only somebody who wants other rights than the image was given.",
      remediation: "Start the program as the user it needs; leave the package out.",
      references: [],
    },
    ["privilege"],
    ({ subject }) => `${subject} changes privileges`,
  ),
  forbids(
    {
      id: "no-unused-interpreters",
      title: "Every interpreter is one that the entry point reaches",
      rationale: "An interpreter that nothing needs is a shell by another name.",
      remediation: "Remove the package, or allow the interpreter that the program starts by itself.",
      references: [],
    },
    ["interpreter"],
    ({ subject }) => `${subject} interprets programs and is not reached from the entry point`,
    ({ subject }, { reach }) => !reach.reached.includes(subject.slice(1)),
  ),
  forbids(
    {
      id: "known-packages",
      title: "A package database says what is installed",
      rationale:
        "Scanners for known vulnerabilities go by it. An image without one is not without vulnerabilities: nobody can tell.",
      remediation:
        "Keep the database of the base (status.d in distroless images, /var/lib/chisel), without the manager.",
      references: [cis("4.4")],
    },
    ["no-package-database"],
    () => "there is no package database: what is installed is not known",
  ),
  forbids(
    {
      id: "no-unowned-programs",
      title: "Every program belongs to a package or is allowed by name",
      rationale:
        "What no database lists is not updated, not scanned, and is where an intruder's program would be.",
      remediation:
        "Install it as a package, or name it: `allow` lists the programs that are the image's own.",
      references: [cis("4.11")],
    },
    ["unowned-program"],
    ({ subject }) => `${subject} belongs to no package`,
  ),
  forbids(
    {
      id: "hardened-programs",
      title:
        "Programs are built position-independent, with RELRO, stack protector and a stack that is not executable",
      rationale: "Each of them turns a class of memory errors from code execution into a crash.",
      remediation: "Build with -fPIE -pie -fstack-protector-strong -Wl,-z,relro,-z,now.",
      references: [],
    },
    ["weak-program"],
    ({ subject }) => `a program is not hardened: ${subject}`,
  ),
  forbids(
    {
      id: "complete-programs",
      title: "Nothing that the entry point needs is missing",
      rationale: "A library that is looked for and not found is one that somebody else may provide.",
      remediation: "Install what is missing, or remove what asks for it.",
      references: [man("ld.so", 8)],
    },
    ["missing-library"],
    ({ subject }) => subject,
  ),
];
