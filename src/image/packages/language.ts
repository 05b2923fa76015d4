/**
 * What language tools left a manifest of: npm (package.json below node_modules), Python (dist-info, egg-info), Go (build information in the
 * program), Java (pom.properties or the manifest in a jar). As far as a manifest says; nothing is guessed from file names.
 */
import { isJarName, type JarLibrary } from "../content/jar.ts";
import type { Tree } from "../tree/tree.ts";
import { type ClaimedPackage, type Found, type Gap, keptBytes, keptText } from "./package.ts";
import { parseStanzas } from "./stanza.ts";

export function findLanguage(tree: Tree): Found {
  const gaps: Gap[] = [];
  const packages: ClaimedPackage[] = [];
  for (const { path, node } of tree.walk()) {
    const { content } = node.inode;
    if (content?.elf?.go != null) packages.push(...goModules(path, content.elf.go));
    else if (isJarName(path) && node.inode.type === "file") {
      packages.push(...(content?.jar ?? []).map((library) => javaLibrary(path, library)));
      if (content?.gap != null) gaps.push({ path, reason: content.gap });
    } else if (/(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(path)) {
      const found = npmPackage(tree, path, gaps);
      if (found !== null) packages.push(found);
    } else if (/\.dist-info\/METADATA$|\.egg-info(?:\/PKG-INFO)?$/.test(path) && node.inode.type === "file") {
      const found = pythonPackage(tree, path, gaps);
      if (found !== null) packages.push(found);
    }
  }
  return { packages, gaps };
}

function goModules(
  path: string,
  go: NonNullable<NonNullable<import("../content/content.ts").Content["elf"]>["go"]>,
) {
  const standard = { name: "stdlib", version: go.go.replace(/^go/, "") };
  return [standard, ...go.modules].map(
    ({ name, version }): ClaimedPackage => ({
      manager: "go",
      name,
      // "(devel)": built from a working tree.
      version: version === "(devel)" ? "" : version,
      architecture: null,
      source: null,
      license: null,
      database: path,
      files: [],
    }),
  );
}

/** What a jar says of itself is no claim to a file: anybody can write it. */
function javaLibrary(path: string, { group, name, version, inside }: JarLibrary): ClaimedPackage {
  return {
    manager: "java",
    name: group === null ? name : `${group}:${name}`,
    version,
    architecture: null,
    source: null,
    license: null,
    database: inside === "" ? path : `${path}!${inside}`,
    files: [],
  };
}

/** JSON that nests deeply takes a second for each megabyte. */
const LONGEST_MANIFEST = 2 ** 20;

function npmPackage(tree: Tree, path: string, gaps: Gap[]): ClaimedPackage | null {
  const bytes = keptBytes(tree, path, gaps);
  if (bytes !== null && bytes.length > LONGEST_MANIFEST) {
    gaps.push({ path, reason: "it is too long for a manifest" });
    return null;
  }
  const manifest = bytes === null ? null : object(bytes);
  const name = manifest?.["name"];
  const version = manifest?.["version"];
  // Test fixtures and nested "type" markers have no version.
  if (typeof name !== "string" || typeof version !== "string") return null;
  const license = manifest?.["license"];
  return {
    manager: "npm",
    name,
    version,
    architecture: null,
    source: null,
    license: typeof license === "string" ? license : null,
    database: path,
    files: below(tree, path.slice(0, -"/package.json".length)),
  };
}

function object(bytes: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    // Not JSON, so not npm's: packages ship all kinds of files of that name.
    return null;
  }
}

/** Files of a directory but those of packages nested in it. */
function below(tree: Tree, directory: string): readonly string[] {
  const files: string[] = [];
  const visit = (path: string): void => {
    for (const [name, child] of tree.get(path)?.children ?? [])
      if (child.children === null) files.push(`${path}/${name}`);
      else if (name !== "node_modules") visit(`${path}/${name}`);
  };
  visit(directory);
  return files;
}

function pythonPackage(tree: Tree, path: string, gaps: Gap[]): ClaimedPackage | null {
  const [fields] = parseStanzas(keptText(tree, path, gaps) ?? "");
  const name = fields?.get("name");
  if (fields === undefined || name === undefined) return null;
  const directory = path.slice(0, path.lastIndexOf("/"));
  const record = path.endsWith("/METADATA") ? keptText(tree, `${directory}/RECORD`, gaps) : null;
  return {
    manager: "python",
    name,
    version: fields.get("version") ?? "",
    architecture: null,
    source: null,
    license: fields.get("license-expression") ?? fields.get("license")?.split("\n")[0] ?? null,
    database: path,
    files:
      record === null ? null : recorded(record, directory.slice(0, Math.max(directory.lastIndexOf("/"), 0))),
  };
}

/** RECORD is CSV: a path relative to site-packages first, in quotes if it has a comma. */
function recorded(text: string, base: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const path = /^"((?:[^"]|"")*)"|^([^,]+),/.exec(line);
    const name = path?.[1]?.replaceAll('""', '"') ?? path?.[2];
    return name === undefined ? [] : [`${base}/${name}`];
  });
}
