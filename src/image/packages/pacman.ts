/** Arch Linux's database: a directory for each package with `desc` and `files`, both of paragraphs `%NAME%`, values, empty line. */
import type { Tree } from "../tree/tree.ts";
import { type ClaimedPackage, type Found, type Gap, keptText, namesIn, withoutSlash } from "./package.ts";

const LOCAL = "var/lib/pacman/local";

export function findPacman(tree: Tree): Found {
  const gaps: Gap[] = [];
  const packages = namesIn(tree, LOCAL).flatMap((directory): readonly ClaimedPackage[] => {
    const database = `${LOCAL}/${directory}/desc`;
    const desc = keptText(tree, database, gaps);
    const fields = desc === null ? null : sections(desc);
    const name = fields?.get("NAME")?.[0];
    if (fields === null || name === undefined) return [];
    const list = keptText(tree, `${LOCAL}/${directory}/files`, gaps);
    const base = fields.get("BASE")?.[0];
    return [
      {
        manager: "pacman",
        name,
        version: fields.get("VERSION")?.[0] ?? "",
        architecture: fields.get("ARCH")?.[0] ?? null,
        source: base ?? null,
        license: fields.get("LICENSE")?.join(" AND ") ?? null,
        database,
        files: list === null ? null : (sections(list).get("FILES") ?? []).map(withoutSlash),
      },
    ];
  });
  return { packages, gaps };
}

function sections(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let values: string[] = [];
  for (const line of text.split("\n")) {
    const name = /^%([A-Z0-9]+)%$/.exec(line)?.[1];
    if (name !== undefined) found.set(name, (values = []));
    else if (line !== "") values.push(line);
  }
  return found;
}
