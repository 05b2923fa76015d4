/** OpenWrt's and Yocto's database: Debian's paragraphs, in places of its own. */
import type { Tree } from "../tree/tree.ts";
import { type ClaimedPackage, type Found, type Gap, keptText, withoutSlash } from "./package.ts";
import { parseStanzas } from "./stanza.ts";

const PLACES = ["usr/lib/opkg", "lib/opkg", "var/lib/opkg"];

export function findOpkg(tree: Tree): Found {
  const gaps: Gap[] = [];
  const seen = new Set<string>();
  const packages: ClaimedPackage[] = [];
  const lists = new Map<string, readonly string[] | null>();
  for (const place of PLACES) {
    const path = `${place}/status`;
    const real = tree.resolve(path)?.path;
    if (real === undefined || seen.has(real)) continue;
    seen.add(real);
    for (const stanza of parseStanzas(keptText(tree, path, gaps) ?? "")) {
      const name = stanza.get("package");
      if (name === undefined || stanza.get("status")?.split(" ").at(-1) !== "installed") continue;
      const file = `${place}/info/${name}.list`;
      // One array for all paragraphs of one name: a hostile database repeats it.
      if (!lists.has(file)) lists.set(file, lines(keptText(tree, file, gaps)));
      packages.push({
        manager: "opkg",
        name,
        version: stanza.get("version") ?? "",
        architecture: stanza.get("architecture") ?? null,
        source: stanza.get("source") ?? null,
        license: stanza.get("license") ?? null,
        database: path,
        files: lists.get(file) ?? null,
      });
    }
  }
  return { packages, gaps };
}

/** Some versions write size and mode after the name, behind a tab. */
function lines(list: string | null): readonly string[] | null {
  if (list === null) return null;
  return list
    .split("\n")
    .map((line) => withoutSlash(line.split("\t")[0] ?? ""))
    .filter((path) => path !== "");
}
