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
  const all = found.flatMap(({ packages }) => packages);
  const claimed = all.slice(0, MOST_PACKAGES);
  const owners = new Map<string, number>();
  const looking = new Looking(tree);
  if (claimed.length < all.length)
    looking.gaps.push({
      path: all[MOST_PACKAGES]?.database ?? "",
      reason: `databases list more than ${MOST_PACKAGES} packages`,
    });
  const packages = claimed.map((one, index) => compare(looking, one, index, owners));
  return {
    packages,
    managers: [...new Set(claimed.map(({ manager }) => manager))],
    gaps: [...found.flatMap(({ gaps }) => gaps), ...looking.gaps],
    owners,
  };
}

/** Looks up what databases claim, up to a bound: a list of a few megabytes can name a chain of links a million times. */
class Looking {
  readonly tree: Tree;
  readonly gaps: Gap[] = [];
  readonly #most: number;
  #claims = 0;

  constructor(tree: Tree) {
    this.tree = tree;
    this.#most = tree.steps + MOST_STEPS;
  }

  /** False, and a gap, when that was enough. */
  mayGoOn(database: string): boolean {
    if (++this.#claims <= MOST_CLAIMS && this.tree.steps <= this.#most) return true;
    if (this.gaps.length === 0)
      this.gaps.push({
        path: database,
        reason: "it claims more files than are looked for, or ones that take too long to find",
      });
    return false;
  }
}

const MOST_PACKAGES = 200_000;
/** A distribution with everything has a million files. */
const MOST_CLAIMS = 4_000_000;
const MOST_STEPS = 40_000_000;
/** PATH_MAX. */
const LONGEST_PATH = 4096;

function compare(
  looking: Looking,
  { files, ...one }: ClaimedPackage,
  index: number,
  owners: Map<string, number>,
): PackageFacts {
  let claimed = 0;
  let present = 0;
  let size = 0;
  const layers = new Map<number, number>();
  const { tree } = looking;
  for (const path of files ?? []) {
    if (!looking.mayGoOn(one.database)) break;
    const found = path.length > LONGEST_PATH ? null : lookUp(tree, path);
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
