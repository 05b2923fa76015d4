/**
 * Debian's database (dpkg(1), dpkg-query(1)): var/lib/dpkg/status with a list of files for each package, or, in distroless images, one file
 * for each package in status.d with the checksums of its files beside it.
 */
import type { Tree } from "../tree/tree.ts";
import { type ClaimedPackage, type Found, type Gap, keptText, namesIn, withoutSlash } from "./package.ts";
import { parseStanzas, type Stanza } from "./stanza.ts";

const STATUS = "var/lib/dpkg/status";
const PARTS = "var/lib/dpkg/status.d";
const INFO = "var/lib/dpkg/info";

export function findDpkg(tree: Tree): Found {
  const gaps: Gap[] = [];
  const packages: ClaimedPackage[] = [];
  const lists = new Map<string, readonly string[] | null>();
  const status = keptText(tree, STATUS, gaps);
  if (status !== null) {
    const diversions = readDiversions(keptText(tree, "var/lib/dpkg/diversions", gaps));
    for (const stanza of parseStanzas(status)) {
      // "install ok installed": what counts is the last word; removed ones keep their configuration and their paragraph.
      const state = stanza.get("status")?.split(" ").at(-1) ?? "";
      if (/^(?:not-installed|config-files|)$/.test(state)) continue;
      const name = stanza.get("package");
      if (name === undefined) continue;
      // One array for all paragraphs of one package: a hostile database repeats it.
      const key = `${name}:${stanza.get("architecture") ?? ""}`;
      if (!lists.has(key)) lists.set(key, listed(tree, stanza, name, diversions, gaps));
      packages.push(claimed(stanza, name, STATUS, lists.get(key) ?? null));
    }
  }
  for (const part of namesIn(tree, PARTS)) {
    if (part.endsWith(".md5sums")) continue;
    const path = `${PARTS}/${part}`;
    const text = keptText(tree, path, gaps);
    if (text === null) continue;
    const sums = keptText(tree, `${path}.md5sums`, gaps);
    const files = sums === null ? null : checksummed(sums);
    for (const stanza of parseStanzas(text)) {
      const name = stanza.get("package");
      if (name !== undefined) packages.push(claimed(stanza, name, path, files));
    }
  }
  return { packages, gaps };
}

function claimed(
  stanza: Stanza,
  name: string,
  database: string,
  files: readonly string[] | null,
): ClaimedPackage {
  return {
    manager: "dpkg",
    name,
    version: stanza.get("version") ?? "",
    architecture: stanza.get("architecture") ?? null,
    // "glibc (2.36-9)": the version follows where it differs.
    source: stanza.get("source")?.split(" ")[0] ?? null,
    license: null,
    needs: [stanza.get("pre-depends"), stanza.get("depends")].flatMap((text) => related(text)),
    provides: related(stanza.get("provides")).flat(),
    database,
    files,
  };
}

/** `libc6 (>= 2.36), awk | mawk, python3:any`: names, without versions and architectures (deb-control(5)). */
function related(text: string | undefined): readonly (readonly string[])[] {
  if (text === undefined) return [];
  return text
    .split(",")
    .map((group) => group.split("|").flatMap((one) => /^\s*([^\s:(]+)/.exec(one)?.[1] ?? []))
    .filter((group) => group.length > 0);
}

type Diversions = ReadonlyMap<string, { readonly to: string; readonly by: string }>;

/** Three lines each: the name, the name it was given, the package that asked (dpkg-divert(1)). */
function readDiversions(text: string | null): Diversions {
  const lines = text?.split("\n") ?? [];
  const found = new Map<string, { to: string; by: string }>();
  for (let at = 0; at + 2 < lines.length; at += 3)
    found.set(withoutSlash(lines[at] ?? ""), {
      to: withoutSlash(lines[at + 1] ?? ""),
      by: lines[at + 2] ?? "",
    });
  return found;
}

function listed(
  tree: Tree,
  stanza: Stanza,
  name: string,
  diversions: Diversions,
  gaps: Gap[],
): readonly string[] | null {
  // Packages that may be installed for several architectures carry theirs in the name of the list.
  const text =
    keptText(tree, `${INFO}/${name}.list`, gaps) ??
    keptText(tree, `${INFO}/${name}:${stanza.get("architecture") ?? ""}.list`, gaps);
  if (text === null) return null;
  return text
    .split("\n")
    .map(withoutSlash)
    .filter((path) => path !== "" && path !== ".")
    .map((path) => {
      const diverted = diversions.get(path);
      return diverted === undefined || diverted.by === name ? path : diverted.to;
    });
}

/** Lines of md5sum(1): digest, two blanks, path. */
function checksummed(text: string): readonly string[] {
  return text
    .split("\n")
    .flatMap((line) => /^[0-9a-f]{32} [ *](.+)$/.exec(line)?.[1] ?? [])
    .map(withoutSlash);
}
