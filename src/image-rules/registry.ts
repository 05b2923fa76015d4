/** Every rule that judges images, in the order in which reports and documents name them. */
import { humanSize, plural } from "../amounts.ts";
import { defineRule, type Registry } from "../gate/rule.ts";
import type { LeftoverKind } from "../image/facts/leftovers.ts";
import type { Secret } from "../image/facts/secrets.ts";
import { BASE_RULES } from "./base-rules.ts";
import { BUILD_RULES, secretsOfBuild } from "./build-rules.ts";
import type { About, CheckedImage } from "./checked-image.ts";
import { CONTENT_RULES } from "./content-rules.ts";
import { EVIDENCE_RULES } from "./evidence.ts";
import { ALLOW, decidedBy, forbids, type ImageRule, isAllowed, violation } from "./image-rule.ts";
import { withOrigin } from "./inherited.ts";
import { cis, dockle, man } from "./references.ts";
import { STRUCTURE_RULES } from "./structure-rules.ts";

const LEFTOVERS: readonly LeftoverKind[] = [
  "documentation",
  "manual-pages",
  "locales",
  "headers",
  "static-libraries",
  "package-cache",
  "cache",
  "logs",
  "temporary",
  "version-control",
  "editor",
  "cloud-settings",
  "build-files",
  "bytecode",
  "tests",
];

const limit = (about: string, initial: number) => ({ type: "size", about, default: initial }) as const;

function placeOfSecret({ build }: CheckedImage, { where, subject, line, layer }: Secret): About {
  if (layer !== null) return { layer };
  const keyword = where === "label" ? "LABEL" : "ENV";
  const step =
    where === "history"
      ? build.steps[line - 1]
      : build.steps.findLast((one) => one.keyword === keyword && one.text.includes(subject));
  return step === undefined ? { keyword } : { step };
}

/** A variable or label whose value is not the base's is the image's own, whatever line of the history has its name. */
function isSetAnew({ config, below }: CheckedImage, { where, subject }: Secret): boolean {
  if (below === null) return false;
  if (where === "label") return config?.labels[subject] !== below.config?.labels[subject];
  if (where !== "environment") return false;
  const of = (env: readonly string[] = []): string =>
    JSON.stringify(env.filter((one) => one.split("=", 1)[0] === subject));
  return of(config?.env) !== of(below.config?.env);
}

const RULES: readonly ImageRule[] = [
  forbids(
    {
      id: "nothing-unknown",
      title: "Everything that the rules ask about could be read",
      rationale:
        "A package database that is damaged, hidden behind a link or too long is not an empty one. What could not be read cannot be called clean.",
      remediation:
        "Repair what is named, raise the limit that was reached, or give the image in a form that can be read whole.",
      references: [],
    },
    ["gap"],
    ({ subject, detail }) =>
      `${subject === "image" ? "a part of the image" : subject} could not be read: ${detail}`,
  ),
  forbids(
    {
      id: "unambiguous-layers",
      title: "Every runtime sees the same files",
      rationale:
        "Files and deletions below a directory that is a link, names that are there twice, hard links that change the rights of their file, and devices or attributes that overlayfs obeys give different trees on different runtimes: what was checked is then not what runs.",
      remediation: "Build the layer with a tool that writes one entry for each file, at its real path.",
      references: [
        {
          title: "OCI image specification, layers",
          url: "https://github.com/opencontainers/image-spec/blob/main/layer.md",
        },
      ],
    },
    ["anomaly"],
    ({ subject }) => `the layers are ambiguous: ${subject}`,
  ),
  forbids(
    {
      id: "non-root-user",
      title: "The image names a user that is not root",
      rationale:
        "A process that is root in the container is root outside of it wherever user namespaces are off, which is the default.",
      remediation: "Give the image a numeric user other than 0: USER 65532:65532.",
      references: [cis("4.1"), dockle("CIS-DI-0001")],
    },
    ["root-user"],
    ({ subject, detail }) =>
      `the image ${subject === "no user" ? "names no user and runs as root" : `runs as ${subject}${detail}`}`,
  ),
  forbids(
    {
      id: "no-setuid-programs",
      title: "No file is set-user-id or set-group-id",
      rationale:
        "Such a program runs with the rights of its owner for whoever starts it, and has been the way to root for fifty years.",
      remediation: "Remove the bits in the layer that brings the file: chmod a-s, or leave the package out.",
      references: [cis("4.8"), dockle("CIS-DI-0008")],
    },
    ["set-user-id", "set-group-id"],
    ({ kind, subject, detail }) => `${subject} is ${kind} (${detail})`,
  ),
  decidedBy(
    "file-capabilities",
    forbids(
      {
        id: "no-file-capabilities",
        title: "No file gives capabilities to whoever executes it",
        rationale:
          "A file capability is a part of root's rights that any user gets by executing the file; few tools show it.",
        remediation: "Remove it with setcap -r, or give the capability to the container that needs it.",
        references: [man("capabilities", 7)],
      },
      ["capability"],
      ({ subject }) => `executing a file gives a capability: ${subject}`,
    ),
  ),
  forbids(
    {
      id: "no-device-nodes",
      title: "There are no device nodes",
      rationale:
        "A container gets the devices it may use from its runtime. One in the image is of use only to get at another.",
      remediation: "Leave /dev empty: remove the nodes in the layer that makes them.",
      references: [man("mknod", 1)],
    },
    ["device"],
    ({ subject, detail }) => `${subject} is a device (${detail})`,
  ),
  forbids(
    {
      id: "no-world-writable",
      title: "Nothing can be written by everybody",
      rationale:
        "What every user may write, a process that was taken over may replace: configuration, plug-ins, programs.",
      remediation: "Take the right to write from others; directories that must be shared get the sticky bit.",
      references: [],
    },
    ["world-writable"],
    ({ subject, detail }) => `everybody may write ${subject} (${detail})`,
  ),
  defineRule<CheckedImage, typeof ALLOW>({
    id: "no-secrets",
    title: "No key, token or password is in any layer, variable, label or history line",
    rationale:
      "Whoever can pull the image has it. A later layer that deletes the file does not take it out of the layer before; the history keeps build arguments.",
    remediation:
      "Replace the secret, then build with secret mounts (RUN --mount=type=secret) or give it at run time.",
    references: [cis("4.10"), dockle("CIS-DI-0010")],
    options: ALLOW,
    check: (image, { allow }) => [
      ...secretsOfBuild(image, allow),
      ...image.secrets.flatMap((secret) => {
        const object = `${secret.kind} in ${secret.where} ${secret.subject}`;
        if (isAllowed(allow, object)) return [];
        const found = violation(image, object, `there is a secret: ${object}`, placeOfSecret(image, secret));
        return [isSetAnew(image, secret) ? { ...found, origin: "own" as const } : found];
      }),
    ],
  }),
  forbids(
    {
      id: "no-empty-passwords",
      title: "No user has an empty password",
      rationale:
        "Anybody who reaches su, login or a service that asks the password database becomes that user.",
      remediation: "Lock the password: passwd -l, or an * in the second field.",
      references: [man("passwd", 5), dockle("DKL-LI-0001")],
    },
    ["empty-password"],
    ({ subject }) => `the password of ${subject} is empty`,
  ),
  forbids(
    {
      id: "unique-ids",
      title: "No two users or groups share an id",
      rationale: "Users that share an id own each other's files, and logs cannot tell them apart.",
      remediation: "Give each its own id, or remove the one that is not needed.",
      references: [dockle("DKL-LI-0002")],
    },
    ["shared-id"],
    ({ subject, detail }) => `${subject} is shared by ${detail}`,
  ),
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
  forbids(
    {
      id: "health-check",
      title: "The image says how to check its health",
      rationale:
        "Without it an engine restarts only what exits; a program that hangs or was replaced goes on.",
      remediation: "Add HEALTHCHECK. Kubernetes has probes of its own: leave this rule off there.",
      references: [cis("4.6"), dockle("CIS-DI-0006")],
    },
    ["no-healthcheck"],
    () => "the image has no health check",
  ),
  defineRule<
    CheckedImage,
    { kinds: { type: "words"; about: string; default: readonly string[]; known: () => readonly string[] } }
  >({
    id: "no-leftovers",
    title: "There is nothing that no program of the image uses",
    rationale:
      "Caches, documentation, headers and repositories make an image slower to pull and give away how it was made; version control often holds what was removed.",
    remediation: "Remove it in the same RUN that made it, or copy only what is needed into the last stage.",
    references: [dockle("DKL-LI-0003")],
    options: {
      kinds: {
        type: "words",
        about: "what counts",
        default: [
          "package-cache",
          "cache",
          "temporary",
          "version-control",
          "editor",
          "cloud-settings",
          "build-files",
        ],
        known: () => LEFTOVERS,
      },
    },
    check: (facts, { kinds }) =>
      facts.leftovers
        .filter(({ kind, bytes }) => kinds.includes(kind) && bytes > 0)
        .map(({ kind, files, bytes, examples, layer }) => ({
          ...violation(
            facts,
            kind,
            `${kind}: ${humanSize(bytes)} in ${plural(files, "file")}, such as /${examples[0] ?? ""}`,
          ),
          amount: bytes,
          // One own file among a thousand of the base's makes them the image's.
          ...(facts.below === null || layer < facts.below.layers.length ? {} : { origin: "own" as const }),
        })),
  }),
  defineRule<CheckedImage, { limit: { type: "size"; about: string; default: number } }>({
    id: "no-waste",
    title: "Layers hold little that later layers hide",
    rationale:
      "What a later layer deletes or replaces is still stored, pulled and readable. The copy that is seen does not count here, nor do other names of one file.",
    remediation:
      "Delete and change files in the RUN that makes them; set owner and mode with COPY --chown and --chmod.",
    references: [],
    options: { limit: limit("how much may be hidden", 2 ** 20) },
    check: (facts, { limit: most }) => {
      const [largest] = facts.waste.largest;
      if (facts.waste.bytes <= most || largest === undefined) return [];
      const what = `${humanSize(facts.waste.bytes)} of files are hidden by later layers, most of it /${largest.path}`;
      return [{ ...violation(facts, "waste", what, { layer: largest.layer }), amount: facts.waste.bytes }];
    },
  }),
  defineRule<CheckedImage, { limit: { type: "size"; about: string; default: number } }>({
    id: "size-limit",
    title: "The image is no larger than it was allowed",
    rationale: "Size is what is pulled at every start and what has to be kept patched.",
    remediation: "Look at sandbox image inspect for what is large, or raise the limit with a reason.",
    references: [],
    options: { limit: limit("bytes of files that a container sees", 256 * 2 ** 20) },
    check: (facts, { limit: most }) =>
      facts.size.visible <= most
        ? []
        : [
            {
              ...violation(
                facts,
                "size",
                `${humanSize(facts.size.visible)} of files, more than ${humanSize(most)}`,
              ),
              amount: facts.size.visible,
            },
          ],
  }),
  defineRule<CheckedImage, { limit: { type: "integer"; about: string; default: number } }>({
    id: "package-limit",
    title: "There are no more packages than were allowed",
    rationale: "Each package is somebody else's code that has to be watched and updated.",
    remediation: "Leave out what the program does not need; --no-install-recommends leaves out most.",
    references: [cis("4.3")],
    options: { limit: { type: "integer", about: "how many", default: 60 } },
    check: (facts, { limit: most }) =>
      facts.packages.length <= most
        ? []
        : [
            {
              ...violation(
                facts,
                "packages",
                `${plural(facts.packages.length, "package")}, more than ${most}`,
              ),
              amount: facts.packages.length,
            },
          ],
  }),
  ...EVIDENCE_RULES,
];

export const IMAGE_RULES: Registry<CheckedImage> = {
  kind: "image",
  rules: [...RULES, ...CONTENT_RULES, ...BASE_RULES, ...BUILD_RULES, ...STRUCTURE_RULES].map(withOrigin),
};
