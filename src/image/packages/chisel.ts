/**
 * Ubuntu's slices: var/lib/chisel/manifest.wall, zstd-compressed lines of JSON ("jsonwall"), one for each package, slice, path and content.
 * It is a manifest, not a database of a package manager: nothing in the image can install more.
 */
import { Budget } from "../budget.ts";
import { decompressWhole } from "../formats/decompress.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { Refusal } from "../refusal.ts";
import type { Tree } from "../tree/tree.ts";
import { type ClaimedPackage, type Found, type Gap, keptBytes, withoutSlash } from "./package.ts";

const MANIFEST = "var/lib/chisel/manifest.wall";
const LONGEST = 64 << 20;

export async function findChisel(tree: Tree): Promise<Found> {
  const gaps: Gap[] = [];
  const stored = keptBytes(tree, MANIFEST, gaps);
  if (stored === null) return { packages: [], gaps };
  try {
    const text = (
      await decompressWhole(stored, new Budget({ ...DEFAULT_LIMITS, unpacked: LONGEST }))
    ).toString("utf8");
    return { packages: parse(text), gaps };
  } catch (error) {
    if (!(error instanceof Refusal) && !(error instanceof SyntaxError)) throw error;
    return { packages: [], gaps: [...gaps, { path: MANIFEST, reason: error.message }] };
  }
}

interface Line {
  readonly kind?: unknown;
  readonly name?: unknown;
  readonly version?: unknown;
  readonly arch?: unknown;
  readonly path?: unknown;
  readonly slice?: unknown;
  readonly slices?: unknown;
}

function parse(text: string): readonly ClaimedPackage[] {
  const lines = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
  const files = new Map<string, string[]>();
  const own = (slice: unknown, path: unknown): void => {
    if (typeof slice !== "string" || typeof path !== "string") return;
    const name = slice.split("_")[0] ?? "";
    const list = files.get(name) ?? [];
    files.set(name, list);
    list.push(withoutSlash(path));
  };
  for (const { kind, path, slice, slices } of lines) {
    if (kind === "content") own(slice, path);
    else if (kind === "path" && Array.isArray(slices)) for (const one of slices) own(one, path);
  }
  const listed = new Map([...files].map(([name, list]) => [name, [...new Set(list)]]));
  return lines.flatMap(({ kind, name, version, arch }): readonly ClaimedPackage[] =>
    kind === "package" && typeof name === "string"
      ? [
          {
            manager: "chisel",
            name,
            version: typeof version === "string" ? version : "",
            architecture: typeof arch === "string" ? arch : null,
            source: null,
            license: null,
            database: MANIFEST,
            files: listed.get(name) ?? [],
          },
        ]
      : [],
  );
}
