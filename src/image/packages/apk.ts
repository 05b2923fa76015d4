/** Alpine's database: paragraphs of lines `X:value`, one letter each; directories (F) come before the files in them (R). */
import type { Tree } from "../tree/tree.ts";
import { type ClaimedPackage, type Found, type Gap, keptText, withoutSlash } from "./package.ts";

/** Newer versions keep it below usr. */
const DATABASES = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

export function findApk(tree: Tree): Found {
  const gaps: Gap[] = [];
  const seen = new Set<string>();
  const packages = DATABASES.flatMap((path) => {
    // With /lib a link to usr/lib both names lead to one file.
    const real = tree.resolve(path)?.path;
    if (real === undefined || seen.has(real)) return [];
    seen.add(real);
    const text = keptText(tree, path, gaps);
    return text === null ? [] : parse(text, path);
  });
  return { packages, gaps };
}

/** `so:libc.musl-x86_64.so.1 musl>=1.2 !conflict`: names, without versions. */
const related = (text = ""): readonly string[] =>
  text.split(" ").flatMap((one) => /^([^!<>=~][^<>=~]*)/.exec(one)?.[1] ?? []);

function parse(text: string, database: string): readonly ClaimedPackage[] {
  return text.split(/\n{2,}/).flatMap((paragraph) => {
    const fields = new Map<string, string>();
    const files: string[] = [];
    let directory = "";
    for (const line of paragraph.split("\n")) {
      const key = line.slice(0, 1);
      const value = line.slice(2);
      if (line[1] !== ":") continue;
      if (key === "F") directory = withoutSlash(value);
      else if (key === "R") files.push(directory === "" ? value : `${directory}/${value}`);
      else if (!fields.has(key)) fields.set(key, value);
    }
    const name = fields.get("P");
    if (name === undefined) return [];
    return [
      {
        manager: "apk",
        name,
        version: fields.get("V") ?? "",
        architecture: fields.get("A") ?? null,
        source: fields.get("o") ?? null,
        license: fields.get("L") ?? null,
        needs: related(fields.get("D")).map((one) => [one]),
        provides: related(fields.get("p")),
        database,
        files,
      },
    ];
  });
}
