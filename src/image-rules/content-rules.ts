/** Rules about what is in an image beyond single exposures: who may change and use what, what nothing reaches, what each layer holds. */
import { humanSize, plural } from "../amounts.ts";
import { joinPath } from "../gate/paths.ts";
import { defineRule } from "../gate/rule.ts";
import type { CheckedImage } from "./checked-image.ts";
import { ALLOW, forbids, type ImageRule, isAllowed, violation } from "./image-rule.ts";
import { cis, dockerfile, dockle, man } from "./references.ts";

const mode = (file: { readonly mode: number; readonly uid: number; readonly gid: number }): string =>
  `${file.mode.toString(8).padStart(4, "0")} ${file.uid}:${file.gid}`;

/** Whether `8000-8010/tcp` or `22` (which is 22/tcp) has the port `one` in it. */
function includesPort(declared: string, one: string): boolean {
  const [, first, last = first, protocol = "tcp"] = /^(\d+)(?:-(\d+))?(?:\/(.*))?$/.exec(declared) ?? [];
  const [port, of = "tcp"] = one.split("/");
  return protocol.toLowerCase() === of && Number(first) <= Number(port) && Number(port) <= Number(last);
}

export const CONTENT_RULES: readonly ImageRule[] = [
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
  defineRule<CheckedImage, Record<string, never>>({
    id: "numeric-user",
    title: "The user is named by number",
    rationale:
      "What a name means is for etc/passwd of the image to say, which a layer may change. Kubernetes refuses to start an image with a name when it must not run as root.",
    remediation: "Write USER 65532:65532 instead of a name.",
    references: [dockerfile("USER", "user")],
    options: {},
    check: (image) => {
      const [user = "", group = "0"] = (image.config?.user ?? "").split(":");
      if (user === "" || (/^\d+$/.test(user) && /^\d+$/.test(group))) return [];
      const name = image.config?.user ?? "";
      return [violation(image, name, `the user is the name ${name}`, { keyword: "USER" })];
    },
  }),
  defineRule<CheckedImage, typeof ALLOW>({
    id: "protected-programs",
    title: "What the entry point runs cannot be changed by the user it runs as",
    rationale:
      "A process that was taken over replaces its own program, a library of it or a directory above, and is there again after the next start.",
    remediation:
      "Leave programs and libraries root's, without write permission: COPY --chown=0:0 --chmod=755.",
    references: [],
    options: ALLOW,
    check: (image, { allow }) =>
      image.replaceable
        .filter(({ path }) => !isAllowed(allow, `/${path}`))
        .map((one) => {
          const through = one.through === one.path ? "" : ` through /${one.through}`;
          const what = `the user of the image may change /${one.path}${through} (${mode(one)})`;
          return violation(image, `/${one.path}`, what, { layer: one.layer });
        }),
  }),
  forbids(
    {
      id: "no-login-users",
      title: "No user can log in",
      rationale:
        "An account with a shell and a password that is not locked is one more way in, and the shell is there to use.",
      remediation: "Give accounts /usr/sbin/nologin as shell, or lock them: passwd -l.",
      references: [man("passwd", 5)],
    },
    ["login-user"],
    ({ subject, detail }) => `${subject} can log in with ${detail === "" ? "/bin/sh" : detail}`,
  ),
  defineRule<CheckedImage, { limit: { type: "size"; about: string; default: number } }>({
    id: "reached-programs",
    title: "Nearly every program and library is one that the entry point reaches",
    rationale:
      "What nothing starts is of use only to somebody who should not be there. Libraries that are loaded by name at run time are not seen: such programs are listed as not decidable.",
    remediation:
      "Leave out the packages that sandbox image inspect names as not reached, or raise the limit.",
    references: [cis("4.3")],
    options: {
      limit: {
        type: "size",
        about: "bytes of programs and libraries that nothing reaches",
        default: 2 ** 23,
      },
    },
    check: (image, { limit }) => {
      const { starts, unreached, unreachedPackages, unknown } = image.reach;
      if (starts.length === 0)
        return [violation(image, "entry point", "there is no entry point to begin with", "image")];
      if (unreached.bytes <= limit) return [];
      const packages =
        unreachedPackages.length === 0
          ? ""
          : `, packages such as ${unreachedPackages.slice(0, 3).join(", ")}`;
      const doubt =
        unknown.length === 0
          ? ""
          : `; ${plural(unknown.length, "reached program")} may reach more than can be seen`;
      const what = `${plural(unreached.files, "program or library", "programs and libraries")} (${humanSize(unreached.bytes)}) that nothing reaches${packages}${doubt}`;
      // What is reached is for the image's own command to say.
      return [{ ...violation(image, "unreached", what, "image"), amount: unreached.bytes }];
    },
  }),
  defineRule<CheckedImage, { limit: { type: "integer"; about: string; default: number } }>({
    id: "layer-limit",
    title: "There are no more layers than were allowed",
    rationale: "Each layer keeps what the next ones delete, and is looked through at every start.",
    remediation: "Build in one stage, copy into another; join RUN steps that belong together.",
    references: [],
    options: { limit: { type: "integer", about: "how many", default: 30 } },
    check: (image, { limit }) =>
      image.layers.length <= limit
        ? []
        : [
            {
              ...violation(image, "layers", `${plural(image.layers.length, "layer")}, more than ${limit}`),
              amount: image.layers.length,
            },
          ],
  }),
  defineRule<CheckedImage, { limit: { type: "size"; about: string; default: number } }>({
    id: "layer-size-limit",
    title: "No layer is larger than was allowed",
    rationale: "One large layer is pulled, kept and patched as a whole, whatever of it changed.",
    remediation:
      "Look at sandbox image inspect for what is in it; leave out, or split what changes from what does not.",
    references: [],
    options: { limit: { type: "size", about: "bytes of a layer as a tar file", default: 512 * 2 ** 20 } },
    check: (image, { limit }) =>
      image.layers.flatMap(({ unpacked }, layer) =>
        unpacked <= limit
          ? []
          : [
              {
                ...violation(
                  image,
                  `layer ${layer + 1}`,
                  `${humanSize(unpacked)} in one layer, more than ${humanSize(limit)}`,
                  { layer },
                ),
                amount: unpacked,
              },
            ],
      ),
  }),
  defineRule<CheckedImage, typeof ALLOW>({
    id: "no-package-indexes",
    title: "No layer keeps the index or the downloads of a package manager",
    rationale:
      "They are tens of megabytes that every pull pays for, and an index of long ago to install from. Deleting them in a later step leaves them in the layer.",
    remediation:
      "Remove them in the RUN that fetched them: rm -rf /var/lib/apt/lists/*; apk add --no-cache; dnf clean all. Or use RUN --mount=type=cache.",
    references: [dockle("DKL-DI-0004"), dockle("DKL-DI-0005")],
    options: ALLOW,
    check: (image, { allow }) =>
      image.packageIndexes
        .filter(({ manager, example }) => !isAllowed(allow, manager) && !isAllowed(allow, `/${example}`))
        .map(({ manager, layer, files, bytes, example }) => ({
          ...violation(
            image,
            manager,
            `${manager}: ${humanSize(bytes)} in ${plural(files, "file")}, such as /${example}`,
            { layer },
          ),
          amount: bytes,
        })),
  }),
  defineRule<CheckedImage, typeof ALLOW>({
    id: "no-credential-files",
    title: "No file is called as credentials are called",
    rationale:
      "Names such as id_rsa, credentials.json or .jks are where keys are kept. What is in the file may be harmless; the name is worth a look.",
    remediation:
      "Leave the file out (.dockerignore), give it at run time, or allow its path when it holds nothing secret. A later step that deletes it does not take it out.",
    references: [cis("4.10"), dockle("CIS-DI-0010")],
    options: ALLOW,
    check: (image, { allow }) =>
      image.credentialFiles
        .filter(({ path }) => !isAllowed(allow, `/${path}`))
        .map(({ path, layer, hidden }) =>
          violation(
            image,
            `/${path}`,
            `/${path} is called like a credential${hidden ? ", and still in a layer after a later one took it away" : ""}`,
            { layer },
          ),
        ),
  }),
  defineRule<CheckedImage, { paths: { type: "words"; about: string; default: readonly string[] } }>({
    id: "no-sensitive-volumes",
    title: "No volume lies over what the kernel or the runtime provides",
    rationale:
      "A volume below /proc, /sys or /dev replaces what a runtime puts there to confine the container, and is filled from whatever is mounted.",
    remediation: "Take the path out of VOLUME; keep data below /var/lib or /data.",
    references: [dockle("DKL-DI-0002"), dockerfile("VOLUME", "volume")],
    options: {
      paths: {
        type: "words",
        about: "directories at and below which no volume may be",
        default: ["/dev", "/proc", "/sys", "/run", "/var/run"],
      },
    },
    check: (image, { paths }) =>
      (image.config?.volumes ?? []).flatMap((volume) => {
        const clean = joinPath("/", volume);
        const over = paths.find((path) => clean === path || clean.startsWith(`${path}/`));
        if (over === undefined && clean !== "/") return [];
        return [
          violation(image, volume, `the volume ${volume} lies over ${over ?? "the root"}`, {
            keyword: "VOLUME",
          }),
        ];
      }),
  }),
  defineRule<CheckedImage, { ports: { type: "words"; about: string; default: readonly string[] } }>({
    id: "no-login-ports",
    title: "No port for logging in is declared",
    rationale:
      "A service for logging in has no place in a container: its runtime has exec, with rights and a record of its own.",
    remediation: "Take the port out of EXPOSE and the service out of the image.",
    references: [dockerfile("EXPOSE", "expose")],
    options: {
      ports: {
        type: "words",
        about: "ports, with protocol",
        default: ["22/tcp", "23/tcp", "512/tcp", "513/tcp", "514/tcp", "3389/tcp", "5900/tcp"],
      },
    },
    check: (image, { ports }) =>
      (image.config?.ports ?? [])
        .filter((port) => ports.some((one) => includesPort(port, one)))
        .map((port) => violation(image, port, `the image declares port ${port}`, { keyword: "EXPOSE" })),
  }),
];
