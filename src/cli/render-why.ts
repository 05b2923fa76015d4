/** Why a package or a program is in an image → text for people. */
import { humanSize, plural } from "../amounts.ts";
import { showStep } from "../image/facts/secrets.ts";
import { whyPackage } from "../image/facts/why.ts";
import type { ImageFacts } from "../image/index.ts";
import { printable } from "../image/index.ts";

const SHOWN = 5;

/** Null when the image has nothing of that name. `what`: a package's name, or the path of a program or library from "/". */
export function renderWhy(facts: ImageFacts, what: string): string | null {
  const lines = what.startsWith("/") ? ofFile(facts, what.slice(1)) : ofPackage(facts, what);
  return lines.length === 0 ? null : lines.map(printable).join("\n");
}

function ofFile(facts: ImageFacts, path: string): readonly string[] {
  const elf = facts.elf.files.find((file) => file.path === path);
  const program = facts.programs.find((one) => one.path === path || one.aliases.includes(path));
  const script = facts.elf.unownedScripts.find((one) => one.path === path);
  const layer = elf?.layer ?? program?.layer ?? script?.layer;
  if (layer === undefined) return [];
  const real = program?.path ?? path;
  const owner = facts.elf.files.find((file) => file.path === real)?.package ?? null;
  const kinds = program === undefined ? "" : `, ${program.kinds.join(", ")}`;
  return [
    `/${path}${real === path ? "" : `, which is /${real}`}${kinds}: ${fromLayer(facts, layer)}`,
    facts.reach.reached.includes(real)
      ? "  the entry point reaches it"
      : "  the entry point reaches it by no name, interpreter or library",
    ...(owner === null ? ["  no package database lists it"] : ofPackage(facts, owner)),
  ];
}

function ofPackage(facts: ImageFacts, name: string): readonly string[] {
  return whyPackage(facts.packages, name).flatMap(({ package: one, neededBy, chain }) => {
    const some = (neededBy ?? []).slice(0, SHOWN).join(", ");
    const rest = (neededBy?.length ?? 0) > SHOWN ? ", ..." : "";
    const needed =
      neededBy === null
        ? "  its database does not say what needs it"
        : neededBy.length === 0
          ? "  no package needs it: somebody asked for it, or the base had it"
          : `  needed by ${plural(neededBy.length, "package")}: ${some}${rest}`;
    return [
      `${one.name} ${one.version} (${one.manager}), ${humanSize(one.size)}: most of it ${fromLayer(facts, one.layer)}`,
      needed,
      ...(chain.length > 1 ? [`  ${chain.join(" needs ")}`] : []),
      ...(chain.length === 0 && neededBy !== null
        ? ["  those that need it need each other in a circle"]
        : []),
      ...(facts.reach.unreachedPackages.includes(one.name)
        ? ["  the entry point reaches none of its programs and libraries"]
        : []),
    ];
  });
}

function fromLayer({ layers, base }: ImageFacts, layer: number): string {
  const line = showStep(layers[layer]?.createdBy ?? "").replaceAll(/\s+/g, " ");
  const whose =
    base.split === null ? "" : layer < base.split.base.layers ? " of the base image" : " of its own";
  const made = line.length > 90 ? `${line.slice(0, 87)}...` : line;
  return `from layer ${layer + 1}${whose}${made === "" ? "" : ` (${made})`}`;
}
