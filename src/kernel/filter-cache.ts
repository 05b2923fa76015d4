/**
 * Compiled filters on disk: by digest of all that determines them, in a directory that only we can write. A cache is a convenience
 * that an attacker would like to own, so: a directory that is not ours alone is not used, an entry that does not carry its own
 * digest does not exist, and nothing here is ever an error.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";

export interface CachedFilter {
  readonly bytes: Uint8Array;
  readonly backend: string;
  readonly notes: readonly string[];
}

const MAGIC = "sandbox-filter-1";
/** 4096 instructions in base64, and room for notes. */
const MAX_ENTRY_BYTES = 256 * 1024;

/** /var/cache/sandbox for root, else `sandbox` in the XDG cache directory. */
export function cacheDirectory(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  if (process.geteuid?.() === 0) return "/var/cache/sandbox";
  const xdg = environment["XDG_CACHE_HOME"];
  // The XDG specification: a relative path is to be ignored.
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), ".cache"), "sandbox");
}

/** The entry, or null when there is none that can be trusted. */
export function readCache(directory: string, key: string): CachedFilter | null {
  return within(directory, (base) => {
    const fd = openSync(`${base}/${key}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile() || stat.uid !== process.geteuid?.() || (stat.mode & 0o077) !== 0) return null;
      if (stat.size > MAX_ENTRY_BYTES) return null;
      return parse(readFileSync(fd, "utf8"), key);
    } finally {
      closeSync(fd);
    }
  });
}

/** Keeps an entry; whether it was kept. A concurrent writer of the same key writes the same. */
export function writeCache(directory: string, key: string, filter: CachedFilter): boolean {
  const content = format(filter, key);
  const written = within(
    directory,
    (base) => {
      const temporary = `${base}/.${key}.${randomBytes(8).toString("hex")}`;
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      const fd = openSync(temporary, flags, 0o600);
      try {
        // On a full disk the count is short and there is no error.
        const whole = writeSync(fd, content) === content.length;
        if (whole) renameSync(temporary, `${base}/${key}`);
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

/**
 * Runs `use` with a path to the directory that cannot be swapped meanwhile (through its descriptor), if the directory is ours, not
 * a link, and closed to everybody else. Null otherwise, and for every error of the file system: then there is no cache.
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
  if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
}

function isFileSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && "code" in error;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Two lines: magic, key and digest of the second line; the entry as JSON. */
function format({ bytes, backend, notes }: CachedFilter, key: string): Buffer {
  const body = JSON.stringify({ backend, notes, filter: Buffer.from(bytes).toString("base64") });
  return Buffer.from(`${MAGIC} ${key} ${digest(body)}\n${body}`);
}

function parse(text: string, key: string): CachedFilter | null {
  const end = text.indexOf("\n");
  const body = text.slice(end + 1);
  // The key is in the first line so that a valid entry moved to another name is none.
  if (end === -1 || text.slice(0, end) !== `${MAGIC} ${key} ${digest(body)}`) return null;
  const { backend, notes, filter } = JSON.parse(body) as { backend: string; notes: string[]; filter: string };
  return { backend, notes, bytes: new Uint8Array(Buffer.from(filter, "base64")) };
}
