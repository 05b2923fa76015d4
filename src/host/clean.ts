/**
 * Removes what a power cut or a SIGKILL at the worst moment left: empty cgroups of dead runs, and temporary files in our
 * private directories. Ends no process, ever: a cgroup that still holds one is reported and left. A run that is just
 * starting is safe, because everything it makes carries its supervisor's pid, and that pid is alive.
 */
import { lstatSync, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheBase, runtimeBase } from "../base-directories.ts";
import { removeUnusedPolicies } from "./apparmor-use.ts";
import type { HostFacts } from "./facts.ts";
import { errorCode } from "./files.ts";

export interface CleanReport {
  readonly removed: readonly string[];
  /** What was left alone although its run is over, and why. */
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
}

/** `sandbox-<run id>`: the pid of the supervisor and 64 random bits. */
const RUN_DIRECTORY = /^sandbox-([1-9]\d*)-[0-9a-f]{16}$/;
/** A directory that a run makes for an instant, see launch/anonymous-file.ts. */
const SEED_DIRECTORY = /^sandbox-seed-[A-Za-z0-9]{6}$/;
/** `<name>.<pid>.<random>.tmp`: written beside a file and renamed over it. */
const TEMPORARY_FILE = /(?:^|\.)([1-9]\d*)\.[0-9a-f]{8,32}\.tmp$/;
/** Files without an owner in their name are stale after this many milliseconds. */
const STALE_AGE = 3_600_000;
/**
 * Elsewhere than under our own parents a pid may be one of another pid namespace (a container's): a run that looks dead
 * may be between making its cgroup and joining it, so only what has stood for this many milliseconds is touched.
 */
const SETTLED_AGE = 60_000;
/** Below this depth no run of ours made a cgroup; cgroup trees are deep only by malice. */
const MAX_DEPTH = 8;
const MAX_DIRECTORIES = 20_000;

/**
 * Whether the owner may still be there. Pid reuse makes this "yes" for a dead run at worst: its leftovers then stay until
 * the next cleaning. A zombie counts as alive: its parent has not seen the end yet.
 */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== "ESRCH";
  }
}

/** The parents under which runs make cgroups, each once. */
function cgroupParents(facts: HostFacts): readonly string[] {
  return [
    ...new Set(
      Object.values(facts.cgroup.controllers).flatMap(({ parent, top }) =>
        top === undefined ? [parent] : [parent, top],
      ),
    ),
  ];
}

/** Names in a directory; [] when it is gone or closed to us. */
function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (ABSENT.has(errorCode(error) ?? "")) return [];
    throw error;
  }
}

const ABSENT = new Set(["ENOENT", "ENOTDIR", "EACCES", "EPERM", "ENODEV", "ELOOP"]);

interface Collected {
  readonly removed: string[];
  readonly kept: { readonly path: string; readonly reason: string }[];
}

function attempt(path: string, remove: (path: string) => void, into: Collected): void {
  try {
    remove(path);
    into.removed.push(path);
  } catch (error) {
    const code = errorCode(error);
    // Another cleaning was faster.
    if (code === "ENOENT") return;
    if (code === undefined) throw error;
    into.kept.push({ path, reason: code === "EBUSY" ? "processes are still in it" : code });
  }
}

/** rmdir(2) of a cgroup fails with EBUSY while a process or a child is in it, so the kernel itself rules out a mistake. */
function removeRunCgroup(path: string, into: Collected): void {
  for (const child of names(path)) {
    const below = join(path, child);
    if (lstatSync(below, { throwIfNoEntry: false })?.isDirectory() === true) attempt(below, rmdirSync, into);
  }
  attempt(path, rmdirSync, into);
}

/** Nothing is said of a run that goes on. */
function removeIfEmpty(path: string, into: Collected): void {
  const found: Collected = { removed: [], kept: [] };
  removeRunCgroup(path, found);
  into.removed.push(...found.removed);
  into.kept.push(
    ...found.kept.filter(({ reason }) => reason !== "processes are still in it" || !isRunning(path)),
  );
}

function isRunning(path: string): boolean {
  const owner = RUN_DIRECTORY.exec(basename(path))?.[1];
  return owner !== undefined && alive(Number(owner));
}

/**
 * The quick part, for the start of every run: one readdir for each parent. Gives the paths removed.
 */
export function cleanStaleCgroups(facts: HostFacts): CleanReport {
  const collected: Collected = { removed: [], kept: [] };
  for (const parent of cgroupParents(facts)) cleanParent(parent, names(parent), 0, collected);
  return collected;
}

/** @param minimumAge - milliseconds since the directory was made. */
function cleanParent(parent: string, children: readonly string[], minimumAge: number, into: Collected): void {
  for (const name of children) {
    const owner = RUN_DIRECTORY.exec(name)?.[1];
    if (owner === undefined) continue;
    const path = join(parent, name);
    // A pid that lives may be another's, of another pid namespace or reused. A run joins its cgroup at once: one that is old and
    // empty is over, and one that is not empty cannot be removed.
    const age = alive(Number(owner)) ? SETTLED_AGE : minimumAge;
    if (age === 0 || older(path, age)) removeIfEmpty(path, into);
  }
}

/**
 * Everything: cgroups anywhere below the mounted hierarchies (an earlier login's runs had other parents), then the private
 * directories. Slower; for `sandbox doctor --clean`.
 */
export function cleanLeftovers(facts: HostFacts, places: Places = defaultPlaces(facts)): CleanReport {
  const collected: Collected = { removed: [], kept: [] };
  for (const parent of cgroupParents(facts)) cleanParent(parent, names(parent), 0, collected);
  for (const root of places.cgroupRoots) cleanTree(root, collected);
  for (const directory of places.privateDirectories) cleanPrivate(directory, facts.user.uid, collected);
  for (const directory of places.sharedDirectories) cleanSeeds(directory, facts.user.uid, collected);
  if (facts.lsm.apparmor?.load.available === true)
    collected.removed.push(...removeUnusedPolicies().map((name) => `the AppArmor profile ${name}`));
  return { removed: [...new Set(collected.removed)], kept: collected.kept };
}

export interface Places {
  /** Mount points of cgroup hierarchies, searched to a bounded depth. */
  readonly cgroupRoots: readonly string[];
  /** Directories that only we write: run-time state and cache. */
  readonly privateDirectories: readonly string[];
  /** Directories of everybody, where only our own seed directories are looked at. */
  readonly sharedDirectories: readonly string[];
}

export function defaultPlaces(facts: HostFacts): Places {
  const runtime = [runtimeBase()].filter((each) => each !== null);
  const cache = [cacheBase()].filter((each) => each !== null);
  return {
    cgroupRoots: ["/sys/fs/cgroup"],
    privateDirectories: [
      ...runtime.map((base) => join(base, "sandbox")),
      ...(facts.user.uid === 0 ? ["/run/sandbox", "/var/cache/sandbox"] : []),
      ...cache.map((base) => join(base, "sandbox")),
    ],
    sharedDirectories: [...runtime, "/dev/shm", "/tmp", ...cache],
  };
}

function cleanTree(root: string, into: Collected): void {
  const queue = [{ path: root, depth: 0 }];
  for (let seen = 0; seen < MAX_DIRECTORIES; seen++) {
    const next = queue.shift();
    if (next === undefined) return;
    const entries = subdirectories(next.path);
    cleanParent(next.path, entries, SETTLED_AGE, into);
    if (next.depth >= MAX_DEPTH) continue;
    for (const name of entries) {
      if (!RUN_DIRECTORY.test(name)) queue.push({ path: join(next.path, name), depth: next.depth + 1 });
    }
  }
}

/** Directories only, links not followed. */
function subdirectories(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (ABSENT.has(errorCode(error) ?? "")) return [];
    throw error;
  }
}

/** Temporary files of dead writers, in a directory that is ours and that no other user may write. */
function cleanPrivate(directory: string, uid: number, into: Collected): void {
  const own = lstatSync(directory, { throwIfNoEntry: false });
  if (own?.isDirectory() !== true || own.uid !== uid || (own.mode & 0o022) !== 0) return;
  for (const name of names(directory)) {
    const owner = TEMPORARY_FILE.exec(name)?.[1];
    const path = join(directory, name);
    if (owner !== undefined && !alive(Number(owner))) attempt(path, unlinkSync, into);
    else if (owner === undefined && name.endsWith(".tmp") && stale(path, uid))
      attempt(path, unlinkSync, into);
  }
}

/** A seed directory lives for microseconds; an old one of ours is a leftover. rmdir(2) takes only an empty one. */
function cleanSeeds(directory: string, uid: number, into: Collected): void {
  for (const name of names(directory)) {
    const path = join(directory, name);
    if (!SEED_DIRECTORY.test(name) || !stale(path, uid)) continue;
    const file = join(path, "file");
    if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) attempt(file, unlinkSync, into);
    attempt(path, rmdirSync, into);
  }
}

function stale(path: string, uid: number): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.uid === uid && older(path, STALE_AGE);
}

function older(path: string, age: number): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status !== undefined && Date.now() - status.mtimeMs > age;
}
