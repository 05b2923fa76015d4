/**
 * The log's directory and file as descriptors. Takes paths, gives descriptors that were checked; never follows a link, never opens what
 * others can write to. Node sets O_CLOEXEC on every descriptor.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  type Stats,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { sleepSync } from "./lock.ts";
import type { AuditError, Place } from "./log-error.ts";

const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Open and check the directory; `make` it, private, when it is missing. */
export function openDirectory(path: string, make: boolean, place: Place): number {
  let fd: number;
  try {
    try {
      fd = openSync(path, DIRECTORY_FLAGS);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
      if (!make) {
        const hint = `create it (mkdir -p -m 700 ${path}), or choose another file with --audit FILE`;
        throw place.error("cannot be opened: its directory does not exist", hint, "ENOENT", error);
      }
      makeDirectory(path);
      fd = openSync(path, DIRECTORY_FLAGS);
    }
  } catch (error) {
    if (isLink(path)) {
      throw place.error(
        `is in a directory that is a symbolic link: ${path}`,
        `give the real path with --audit ${join(realPath(path), basename(place.shown))}`,
        "ELOOP",
        error,
      );
    }
    throw place.failed(`cannot have its directory ${path}`, error);
  }
  const stat = fstatSync(fd);
  const own = process.geteuid?.();
  const sticky = (stat.mode & 0o1000) !== 0;
  if (stat.uid !== own && stat.uid !== 0) {
    closeSync(fd);
    throw place.error(
      `is in a directory of user ${stat.uid}: ${path}`,
      "choose a directory of your own with --audit FILE",
      "EPERM",
    );
  }
  // In a sticky directory such as /tmp others cannot rename or remove what is ours.
  if ((stat.mode & 0o022) !== 0 && !sticky) {
    closeSync(fd);
    throw place.error(`is in a directory that others may write: ${path}`, `chmod go-w ${path}`, "EPERM");
  }
  return fd;
}

/** Component by component: the `recursive` of Node never returns where nothing can be made, such as below /proc. */
function makeDirectory(path: string): void {
  for (let end = path.indexOf("/", 1); ; end = path.indexOf("/", end + 1)) {
    const directory = end === -1 ? path : path.slice(0, end);
    try {
      mkdirSync(directory, { mode: 0o700 });
      // Whatever the caller's umask has taken away.
      chmodSync(directory, 0o700);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    if (end === -1) return;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    // It cannot even be looked at; the error that brought us here says why.
    return false;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // A dangling link has no better name.
    return path;
  }
}

const OPEN_FLAGS =
  constants.O_RDWR |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOFOLLOW |
  // Opening a fifo must not block; it makes no difference to a regular file.
  constants.O_NONBLOCK |
  constants.O_NOCTTY;

/** Open and check the file. */
export function openFile(path: string, place: Place): number {
  let fd: number;
  try {
    fd = openSync(path, OPEN_FLAGS, 0o600);
  } catch (error) {
    throw place.failed("cannot be opened", error);
  }
  restoreMode(fd);
  const fault = checkFile(fstatSync(fd), place);
  if (fault !== null) {
    closeSync(fd);
    throw fault;
  }
  return fd;
}

/** A caller's umask may have left a new log its owner's to append to once and never again. */
function restoreMode(fd: number): void {
  const { uid, mode, size } = fstatSync(fd);
  if (size === 0 && uid === process.geteuid?.() && (mode & 0o777) === 0) fchmodSync(fd, 0o600);
}

function checkFile(stat: Stats, place: Place): AuditError | null {
  if (!stat.isFile()) {
    return place.error("is not a regular file", "choose another file with --audit FILE", "EINVAL");
  }
  const own = process.geteuid?.();
  if (stat.uid !== own) {
    return place.error(
      `belongs to user ${stat.uid}, not to you (${own})`,
      "choose a file of your own with --audit FILE",
      "EPERM",
    );
  }
  if ((stat.mode & 0o022) !== 0) {
    return place.error("may be written by others", `chmod 600 ${place.shown}`, "EPERM");
  }
  return null;
}

/** Write all bytes at the end of `fd`; the count that got there and why not more. */
export function writeAll(
  fd: number,
  bytes: Uint8Array,
): { readonly written: number; readonly error: unknown } {
  let written = 0;
  while (written < bytes.length) {
    try {
      // A short count is no error to write(2) and to Node: a full disk shows only at the next call, so there is one.
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") {
        // A pipe that somebody made non-blocking and whose reader is slow.
        sleepSync(1);
        continue;
      }
      return { written, error };
    }
  }
  return { written, error: null };
}
