/** Every database that is there → what is claimed, what of it is present, and which programs nobody claims. */
import type { Located, Tree } from "../tree/tree.ts";
import { findApk } from "./apk.ts";
import { findChisel } from "./chisel.ts";
import { findDpkg } from "./dpkg.ts";
import { findLanguage } from "./language.ts";
import { findOpkg } from "./opkg.ts";
import type { ClaimedPackage, Finder, Gap, Manager } from "./package.ts";
import { findPacman } from "./pacman.ts";
import { findRpm } from "./rpm/find.ts";

const FINDERS: readonly Finder[] = [findDpkg, findApk, findRpm, findPacman, findOpkg, findLanguage];

export interface PackageFacts extends Omit<ClaimedPackage, "files"> {
  /** Files that it claims; null when the database has no list. Directories are not counted. */
  readonly claimed: number | null;
  /** Those of them that are there. */
  readonly present: number;
  /** Bytes of those. */
  readonly size: number;
  /** Index of the layer that most of it came in with; that of the database when nothing of it is there. */
  readonly layer: number;
}

export interface Packages {
  readonly packages: readonly PackageFacts[];
  /** Managers that have a database in the image. None is not "no packages": it is not known then what is installed. */
  readonly managers: readonly Manager[];
  readonly gaps: readonly Gap[];
  /** Real path of a file → index of the package that claims it. */
  readonly owners: ReadonlyMap<string, number>;
}

export async function findPackages(tree: Tree): Promise<Packages> {
  const found = [...FINDERS.map((find) => find(tree)), await findChisel(tree)];
  const claimed = found.flatMap(({ packages }) => packages);
  const owners = new Map<string, number>();
  const packages = claimed.map((one, index) => compare(tree, one, index, owners));
  return {
    packages,
    managers: [...new Set(claimed.map(({ manager }) => manager))],
    gaps: found.flatMap(({ gaps }) => gaps),
    owners,
  };
}

function compare(
  tree: Tree,
  { files, ...one }: ClaimedPackage,
  index: number,
  owners: Map<string, number>,
): PackageFacts {
  let claimed = 0;
  let present = 0;
  let size = 0;
  const layers = new Map<number, number>();
  for (const path of files ?? []) {
    const found = lookUp(tree, path);
    if (found?.node.children != null) continue;
    claimed++;
    if (found === null) continue;
    present++;
    const { inode } = found.node;
    // A file that two packages claim counts for the first.
    if (!owners.has(found.path)) {
      owners.set(found.path, index);
      size += inode.type === "file" ? inode.size : 0;
    }
    layers.set(inode.layer, (layers.get(inode.layer) ?? 0) + 1);
  }
  const [most] = [...layers].toSorted(([, a], [, b]) => b - a);
  const layer = most?.[0] ?? fileOf(tree, one.database)?.node.inode.layer ?? 0;
  return { ...one, claimed: files === null ? null : claimed, present, size, layer };
}

/** A database may lie in an archive: `app.jar!lib/inner.jar`. */
function fileOf(tree: Tree, database: string): Located | null {
  for (let end = database.length; end > 0; end = database.lastIndexOf("!", end - 1)) {
    const found = tree.resolve(database.slice(0, end));
    if (found !== null) return found;
  }
  return null;
}

/** Databases name files by the paths that they were installed under: /bin/sh is usr/bin/sh where bin is a link. */
const lookUp = (tree: Tree, path: string): Located | null => tree.resolve(path, false);
