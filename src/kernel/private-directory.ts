/**
 * Files in a directory that only we can write. What is kept there is a convenience that an attacker would like to own, so: a
 * directory that is not ours alone is not used, neither is a file in it, a file appears whole or not at all, and nothing here is
 * ever an error. What a content is worth is the caller's to check.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { cacheBase, type Environment } from "../base-directories.ts";
import { BUILD_ID } from "../build-id.ts";

/** /var/cache/sandbox for root, else `sandbox` in the XDG cache directory; null where there is none. */
export function cacheDirectory(environment: Environment = process.env): string | null {
  if (process.geteuid?.() === 0) return "/var/cache/sandbox";
  const base = cacheBase(environment);
  return base === null ? null : join(base, "sandbox");
}

/** Where to keep what was made: in the directory named, nowhere (null), or in our own, but then for built code only, which knows what it was built from. */
export function cachePlace(named: string | null | undefined): string | null {
  return named ?? (named === undefined && BUILD_ID !== null ? cacheDirectory() : null);
}

/** The bytes of a file of at most `limit` bytes, or null when there is none that only we could have written. */
export function readPrivate(directory: string, name: string, limit: number): Buffer | null {
  return within(directory, (base) => {
    const fd = openSync(`${base}/${name}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile() || stat.uid !== process.geteuid?.() || (stat.mode & 0o077) !== 0) return null;
      return stat.size > limit ? null : readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  });
}

/**
 * Keeps a file; whether it was kept. Concurrent writers of a name replace each other's file as a whole.
 * `room`: of the names that have this prefix only so many newest ones stay.
 */
export function writePrivate(
  directory: string,
  name: string,
  content: Uint8Array,
  room?: { readonly prefix: string; readonly most: number },
): boolean {
  const written = within(
    directory,
    (base) => {
      if (room !== undefined) makeRoom(base, room.prefix, room.most - 1);
      // The process in the name lets `sandbox doctor --clean` tell a write that was killed from one that goes on.
      const temporary = `${base}/.${name}.${process.pid}.${randomBytes(8).toString("hex")}.tmp`;
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      const fd = openSync(temporary, flags, 0o600);
      try {
        fchmodSync(fd, 0o600);
        // On a full disk the count is short and there is no error.
        const whole = writeSync(fd, content) === content.length;
        if (whole) renameSync(temporary, `${base}/${name}`);
        else unlinkSync(temporary);
        return whole;
      } catch (error) {
        unlinkSync(temporary);
        throw error;
      } finally {
        closeSync(fd);
      }
    },
    true,
  );
  return written === true;
}

/** Removes the oldest files of a kind. What another process removes at the same time is gone either way. */
function makeRoom(base: string, prefix: string, most: number): void {
  const names = readdirSync(base).filter((name) => name.startsWith(prefix));
  if (names.length <= most) return;
  const aged = names.flatMap((name) => {
    const stat = statSync(`${base}/${name}`, { throwIfNoEntry: false });
    return stat === undefined ? [] : [{ name, time: stat.mtimeMs }];
  });
  for (const { name } of aged.toSorted((a, b) => b.time - a.time).slice(Math.max(0, most))) {
    try {
      unlinkSync(`${base}/${name}`);
    } catch (error) {
      if (!isFileSystemError(error)) throw error;
    }
  }
}

/**
 * Runs `use` with a path to the directory that cannot be swapped meanwhile (through its descriptor), if the directory is ours, not
 * a link, and closed to everybody else. Null otherwise, and for every error of the file system: then nothing is kept.
 */
function within<T>(directory: string, use: (base: string) => T, create = false): T | null {
  try {
    if (create) make(directory);
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      const stat = fstatSync(fd);
      if (stat.uid !== process.geteuid?.() || (stat.mode & 0o077) !== 0) return null;
      return use(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isFileSystemError(error)) return null;
    throw error;
  }
}

/**
 * The directory and those above it. Not mkdirSync's own recursion, which never ends where a parent exists but nothing can be made
 * in it with any other error than ENOENT (/proc).
 */
function make(directory: string): void {
  const parent = dirname(directory);
  if (parent !== directory && !existsSync(parent)) make(parent);
  if (existsSync(directory)) return;
  mkdirSync(directory, { mode: 0o700 });
  // Whatever the caller's umask has taken away.
  chmodSync(directory, 0o700);
}

function isFileSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && "code" in error;
}
