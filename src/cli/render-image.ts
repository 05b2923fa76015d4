/** Facts about an image → text for people. Names come from the image: everything is made printable before it gets here or on the way. */
import { humanSize, plural } from "../amounts.ts";
import { describeBase } from "../image/base.ts";
import { showStep } from "../image/facts/secrets.ts";
import type { ImageFacts } from "../image/index.ts";
import { printable } from "../image/index.ts";
import { describeSupport } from "../image-rules/supported-distribution.ts";
import { type Palette, palette } from "./color.ts";

const today = (): string => new Date().toISOString().slice(0, 10);

/** Longest list that is printed whole. */
const LONGEST = 12;

export function renderImage(facts: ImageFacts, color: boolean): string {
  const paint = palette(color);
  return [
    head(facts, paint),
    config(facts, paint),
    layers(facts, paint),
    packages(facts, paint),
    programs(facts, paint),
    permissions(facts, paint),
    users(facts, paint),
    secrets(facts, paint),
    leftovers(facts, paint),
    reach(facts, paint),
    doubts(facts, paint),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function section(paint: Palette, title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : [paint.strong(title), ...lines.map((line) => `  ${line}`)].join("\n");
}

const octal = (mode: number): string => mode.toString(8).padStart(4, "0");
const words = (argv: readonly string[]): string => printable(JSON.stringify(argv).replaceAll('","', '", "'));

/** The first of a list, and how many more there are. */
function some(lines: readonly string[]): readonly string[] {
  if (lines.length <= LONGEST) return lines;
  return [...lines.slice(0, LONGEST), `... and ${lines.length - LONGEST} more (--json lists all)`];
}

function head(facts: ImageFacts, paint: Palette): string {
  const { size, distribution, config: own } = facts;
  const platform =
    own === null ? "" : [own.os, own.architecture, own.variant].filter((one) => one !== "").join("/");
  const rows = [
    ["image", `${printable(facts.path)} (${facts.kind})`],
    ["names", printable(facts.names.join(", "))],
    ["digest", facts.manifestDigest ?? facts.configDigest ?? ""],
    ["platform", printable(platform)],
    ["system", printable(distribution?.name ?? "")],
    ["updates", printable(describeSupport({ distribution, today: today() }) ?? "")],
    ["base", printable(describeBase(facts.base).join(" "))],
    [
      "size",
      `${humanSize(size.stored)} stored, ${humanSize(size.visible)} in ${plural(size.files, "file")} visible`,
    ],
  ].filter(([, value]) => value !== "");
  return rows.map(([name = "", value = ""]) => `${paint.strong(name.padEnd(9))} ${value}`).join("\n");
}

function config({ config: own }: ImageFacts, paint: Palette): string {
  if (own === null) return "";
  return section(paint, "configuration", [
    `user        ${own.user === "" ? paint.warning("none: root") : printable(own.user)}`,
    `entrypoint  ${words(own.entrypoint)}`,
    `command     ${words(own.command)}`,
    ...(own.workingDirectory === "" ? [] : [`directory   ${printable(own.workingDirectory)}`]),
    ...(own.ports.length === 0 ? [] : [`ports       ${printable(own.ports.join(", "))}`]),
    ...(own.volumes.length === 0 ? [] : [`volumes     ${printable(own.volumes.join(", "))}`]),
    ...(own.healthcheck === null ? [] : [`healthcheck ${words(own.healthcheck)}`]),
  ]);
}

function layers(facts: ImageFacts, paint: Palette): string {
  return section(
    paint,
    plural(facts.layers.length, "layer"),
    facts.layers.map((layer, index) => {
      const whose = facts.base.split === null ? "" : index < facts.base.split.base.layers ? "base " : "own  ";
      const line = printable(showStep(layer.createdBy ?? "").replaceAll(/\s+/g, " "));
      const sizes = `${humanSize(layer.size)} stored, ${humanSize(layer.visible)} visible`;
      return `${String(index + 1).padStart(2)}  ${whose}${sizes.padEnd(38)} ${paint.faint(line.length > 90 ? `${line.slice(0, 87)}...` : line)}`.trimEnd();
    }),
  );
}

function packages(facts: ImageFacts, paint: Palette): string {
  if (facts.packages.length === 0)
    return section(paint, "packages", ["no package database: what is installed is not known"]);
  const by = facts.managers.map((manager) => {
    const own = facts.packages.filter((one) => one.manager === manager);
    const bytes = own.reduce((sum, { size }) => sum + size, 0);
    return `${manager.padEnd(8)} ${plural(own.length, "package")}, ${humanSize(bytes)}`;
  });
  const largest = facts.packages
    .toSorted((a, b) => b.size - a.size)
    .slice(0, 5)
    .map(({ name, version, size }) => `${humanSize(size).padStart(10)}  ${printable(`${name} ${version}`)}`);
  const missing = facts.packages.filter(({ claimed, present }) => claimed !== null && present < claimed);
  const unowned = facts.elf.files.filter((file) => file.package === null);
  return section(paint, "packages", [
    ...by,
    "largest:",
    ...largest,
    ...(missing.length === 0 ? [] : [`${plural(missing.length, "package")} with files that are not there`]),
    ...(unowned.length === 0
      ? []
      : [
          paint.warning(
            `${plural(unowned.length, "program or library", "programs or libraries")} of no package:`,
          ),
          ...some(unowned.map(({ path }) => `  /${printable(path)}`)),
        ]),
  ]);
}

function programs(facts: ImageFacts, paint: Palette): string {
  const kinds = [...new Set(facts.programs.flatMap((program) => program.kinds))].toSorted();
  const weak = facts.elf.files.filter(
    ({ program, hardening }) => !hardening.nx || hardening.relro === "none" || (program && !hardening.pie),
  );
  return section(paint, "programs", [
    ...kinds.map((kind) => {
      const paths = facts.programs
        .filter((program) => program.kinds.includes(kind))
        .map(({ path }) => `/${path}`);
      const shown = paths.slice(0, 6).join(", ");
      return `${kind.padEnd(16)} ${printable(shown)}${paths.length > 6 ? `, ${paths.length - 6} more` : ""}`;
    }),
    `${facts.elf.files.length} ELF files, ${weak.length} without position independence, RELRO or a stack that is not executable`,
  ]);
}

function permissions({ permissions: found }: ImageFacts, paint: Palette): string {
  const line = (what: string, { path, mode, uid, gid }: (typeof found.setuid)[number]): string =>
    `${what.padEnd(14)} ${octal(mode)} ${uid}:${gid} /${printable(path)}`;
  return section(
    paint,
    "permissions",
    some([
      ...found.setuid.map((file) => line("set-user-id", file)),
      ...found.setgid.map((file) => line("set-group-id", file)),
      ...found.capable.map((file) => {
        const names = file.capabilities?.permitted.join(", ") ?? "an attribute that no kernel takes";
        return `${line("capabilities", file)}: ${names}`;
      }),
      ...found.devices.map((file) => `${line("device", file)}: ${file.type} ${file.major}:${file.minor}`),
      ...found.worldWritable.map((file) => line("world-writable", file)),
    ]),
  );
}

function users({ users: all, sharedIds }: ImageFacts, paint: Palette): string {
  return section(paint, "users", [
    ...all
      .filter(({ login, password }) => login || password !== "locked")
      .map(({ name, uid, shell, password, login }) => {
        const how = login ? `logs in with ${printable(shell)}` : "no login shell";
        const judged = password === "empty" ? paint.bad("empty") : password;
        return `${printable(name)} (${uid}): ${how}, password ${judged}`;
      }),
    ...sharedIds.map(({ id, names, of }) => `${of} id ${id} is shared by ${printable(names.join(", "))}`),
  ]);
}

function secrets(facts: ImageFacts, paint: Palette): string {
  return section(
    paint,
    "secrets",
    some(
      facts.secrets.map(({ kind, where, subject, line, layer }) => {
        const place = {
          file: `/${subject}:${line}`,
          "hidden-file": `/${subject}:${line}, deleted later but still in its layer`,
          environment: `environment variable ${subject}`,
          label: `label ${subject}`,
          history: `history line ${subject}`,
        }[where];
        return `${paint.bad(kind)} in ${printable(place)}${layer === null ? "" : ` (layer ${layer + 1})`}`;
      }),
    ),
  );
}

function whoseWaste({ base: { split } }: ImageFacts): string {
  if (split === null) return "";
  const { base, own, overlaid } = split;
  return `: the base ${humanSize(base.waste)} of its own, own layers ${humanSize(overlaid)} of the base and ${humanSize(own.waste)} of their own`;
}

function leftovers(facts: ImageFacts, paint: Palette): string {
  const { waste } = facts;
  return section(paint, "weight", [
    ...facts.leftovers.map(
      ({ kind, files, bytes }) =>
        `${kind.padEnd(16)} ${humanSize(bytes).padStart(10)} in ${plural(files, "file")}`,
    ),
    ...(waste.bytes === 0
      ? []
      : [
          `${"hidden".padEnd(16)} ${humanSize(waste.bytes).padStart(10)} in ${plural(waste.files, "file")} that later layers delete or replace${whoseWaste(facts)}`,
        ]),
    ...(waste.duplicates === 0
      ? []
      : [
          `${"duplicates".padEnd(16)} ${humanSize(waste.duplicates).padStart(10)} in files that are there twice`,
        ]),
  ]);
}

function reach({ reach: found, packages: all }: ImageFacts, paint: Palette): string {
  if (found.starts.length === 0) return "";
  const why = {
    shell: "is a shell: it can start anything",
    interpreter: "is an interpreter: it can start anything",
    loads: "loads libraries by name at run time",
    starts: "starts other programs",
    opaque: "is linked statically: what it does is not known",
  } as const;
  return section(paint, "reachable from the entry point", [
    `${plural(found.reached.length, "file")} by name, interpreter and library; ${plural(found.unreached.files, "program or library", "programs or libraries")} (${humanSize(found.unreached.bytes)}) are not`,
    ...(found.unreachedPackages.length === 0
      ? []
      : [
          `${found.unreachedPackages.length} of ${plural(all.length, "package")} have programs or libraries and none that is reached`,
        ]),
    ...found.missing.map((message) => paint.warning(printable(message))),
    ...some(found.unknown.map((one) => `not decidable: /${printable(one.path)} ${why[one.why]}`)),
  ]);
}

function doubts({ anomalies, gaps }: ImageFacts, paint: Palette): string {
  const what = {
    "through-link": "goes through a directory that is a link: runtimes differ",
    "named-twice": "is in its layer twice",
    "link-changes-file": "is a hard link that gives its file other rights: runtimes differ",
    "overlay-whiteout": "is a device that overlayfs takes for a deletion",
    "overlay-xattr": "has an attribute that overlayfs obeys",
    "data-after-end": "data follows the end of the layer",
  } as const;
  return section(paint, "doubts", [
    ...some(
      anomalies.map(
        (one) =>
          `layer ${one.layer + 1}: ${one.path === "" ? "" : `/${printable(one.path)} `}${what[one.what]}`,
      ),
    ),
    ...some(
      gaps.map(
        ({ path, reason }) => `not known: ${path === "" ? "" : `/${printable(path)}: `}${printable(reason)}`,
      ),
    ),
  ]);
}
