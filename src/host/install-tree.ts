/**
 * Directories below /usr/local that programs install into, so that a sandbox that takes writes can let its payload do so. Takes the top, gives
 * paths relative to it, parents first; looks at names and modes only, follows no link.
 */
import { lstatSync, readdirSync } from "node:fs";
import { errorCode } from "./files.ts";

export const INSTALL_ROOT = "/usr/local";

/** Its hierarchy by the Filesystem Hierarchy Standard, 4.9; packages with trees of their own (`cuda-12`) are not installed into. */
const STANDARD = new Set([
  "bin",
  "etc",
  "games",
  "include",
  "lib",
  "lib64",
  "libexec",
  "man",
  "sbin",
  "share",
  "src",
]);
const MOST_LEVELS = 3;
const MOST = 64;

/** [] where there is no such tree. Directories that others may not read stay as they are, with all below them. */
export function probeInstallTree(top: string = INSTALL_ROOT): readonly string[] {
  if (!isOpenDirectory(top)) return [];
  const found: string[] = [];
  let level = list(top).filter((name) => STANDARD.has(name));
  for (let depth = 1; depth <= MOST_LEVELS; depth += 1) {
    const here = level.filter((path) => isOpenDirectory(`${top}/${path}`));
    found.push(...here);
    level = here.flatMap((path) => list(`${top}/${path}`).map((name) => `${path}/${name}`));
  }
  // By levels, so that what is left out is deep.
  return found.slice(0, MOST);
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .toSorted();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return [];
  }
}

function isOpenDirectory(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isDirectory() === true && (status.mode & 0o005) === 0o005;
}
