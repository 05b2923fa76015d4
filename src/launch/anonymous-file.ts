/**
 * Files without a name: for the launcher's image and the memory shared with it.
 *
 * Takes an access mode and whether the file will be executed; gives an open descriptor. Nothing with a name is left
 * on disk, so there is nothing to clean up whatever dies. Node has no memfd_create; O_TMPFILE is the next best thing.
 */
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheBase, runtimeBase } from "../base-directories.ts";
import { errorCode } from "./errors.ts";

/** __O_TMPFILE | O_DIRECTORY (asm-generic/fcntl.h); Node names no such constant. The same on x86-64; aarch64 swaps O_DIRECTORY. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

const TMPFS_MAGIC = 0x01021994;

/** Where each kind of file worked last time. */
const found: { plain: string | null; executable: string | null } = { plain: null, executable: null };

/**
 * A new, empty file opened read-write that no path leads to. O_EXCL also keeps linkat(2) from ever giving it a name.
 *
 * Throws the system's error of the last directory tried when none is writable, or, for an executable file,
 * one that names the directories which are mounted noexec.
 */
export function openAnonymousFile(purpose: "plain" | "executable", mode: number): number {
  const remembered = found[purpose];
  if (remembered !== null) {
    const fd = tryDirectory(remembered, purpose, mode);
    if (typeof fd === "number") return fd;
  }
  const tried = candidates();
  const failures: unknown[] = [];
  for (const directory of tried) {
    const fd = tryDirectory(directory, purpose, mode);
    if (typeof fd === "number") {
      found[purpose] = directory;
      return fd;
    }
    failures.push(fd);
  }
  const noexec = tried.filter((_, index) => failures[index] instanceof NoExec);
  throw noexec.length > 0 ? new NoExec(noexec) : failures.at(-1);
}

/** What can be written there cannot be executed. A system error to whoever looks at errors by their code. */
class NoExec extends Error {
  readonly code = "EACCES";
  readonly syscall = "access";
  constructor(directories: readonly string[]) {
    super(
      `EACCES: no directory takes the launcher: ${directories.join(", ")} cannot execute files (mounted noexec?); ` +
        (process.geteuid?.() === 0
          ? "remount one of them with exec"
          : "point XDG_RUNTIME_DIR to a directory of yours on a file system that can"),
    );
  }
}

/** Memory first: nothing to write back, and shared mappings of a disk file would dirty its journal. */
function candidates(): readonly string[] {
  const all = process.geteuid?.() === 0 ? ROOTS : named().filter((each) => each !== null);
  return [...all.filter(isMemory), ...all.filter((directory) => !isMemory(directory))];
}

/** Root's are the system's: an environment that came with su(1) or sudo -E names places of somebody else's, who may also serve what is read from them. */
const ROOTS = ["/dev/shm", "/run", "/tmp", "/var/tmp"] as const;
const named = (): readonly (string | null)[] => [runtimeBase(), "/dev/shm", tmpdir(), cacheBase()];

function isMemory(directory: string): boolean {
  try {
    return statfsSync(directory).type === TMPFS_MAGIC;
  } catch {
    return false; // A directory that is not there is tried last, and then says why.
  }
}

/** A descriptor, or why this directory does not do. */
function tryDirectory(directory: string, purpose: "plain" | "executable", mode: number): unknown {
  let fd: number;
  try {
    fd = openIn(directory, mode);
  } catch (error) {
    return error;
  }
  try {
    // Whatever the caller's umask has taken away.
    fchmodSync(fd, mode);
    // access(2) with X_OK looks at the mount too: EACCES on a noexec one.
    if (purpose === "executable") accessSync(`/proc/self/fd/${fd}`, constants.X_OK);
    return fd;
  } catch (error) {
    closeSync(fd);
    return errorCode(error) === "EACCES" ? new NoExec([directory]) : error;
  }
}

function openIn(directory: string, mode: number): number {
  try {
    return openSync(directory, O_TMPFILE | constants.O_RDWR | constants.O_EXCL, mode);
  } catch (error) {
    // EOPNOTSUPP: the file system has no O_TMPFILE; EISDIR: the kernel has none (open(2)).
    if (errorCode(error) !== "EOPNOTSUPP" && errorCode(error) !== "EISDIR") throw error;
  }
  // A name for an instant, in a directory that nobody else may enter.
  const own = mkdtempSync(join(directory, "sandbox-seed-"));
  const path = join(own, "file");
  try {
    const fd = openSync(
      path,
      constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_RDWR,
      mode,
    );
    unlinkSync(path);
    return fd;
  } finally {
    rmdirSync(own);
  }
}
