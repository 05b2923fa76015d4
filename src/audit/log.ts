/**
 * The audit log: open it, append to it.
 *
 * Takes: where it is, and records. Gives: lines in the file, or a located problem that says what to do.
 * Must never: follow a symbolic link, write to a file that others can write to, leave half a line of its own behind,
 * or report as written what is not in the file to the last byte.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { bug, type Checked, type Problem, type Provenance } from "../problems.ts";
import { EMPTY_HEAD, type Head, MAX_LINE, parseLine, sha256 } from "./chain.ts";
import { LockError, sleepSync, withLock } from "./lock.ts";
import type { AuditRecord } from "./records.ts";
import { createSerialiser, type Serialise } from "./serialise.ts";

/** The log cannot be written (or its end cannot be trusted). What was appended before is in the file. */
export class AuditError extends Error {
  override readonly name = "AuditError";
  readonly problem: Problem;
  /** Errno name: ENOSPC, EFBIG, EACCES, ETIMEDOUT (lock), ..., or "" when none. */
  readonly code: string;
  constructor(problem: Problem, code: string, cause?: unknown) {
    super(problem.message, { cause });
    this.problem = problem;
    this.code = code;
  }
}

export interface AuditLog {
  /** Absolute path, or "-" for a stream. */
  readonly path: string;
  /**
   * Append records of one run, all or none, in one write. Returns the new head of the chain. A function gets the head
   * that its records will follow: what a signature needs.
   * @throws AuditError when any byte of them is not in the file
   */
  append(run: string, records: Records): Head;
  /** Close the descriptors. Appending afterwards is a bug. */
  close(): void;
}

export type Records = readonly AuditRecord[] | ((head: Head) => readonly AuditRecord[]);

function recordsAfter(head: Head, records: Records): readonly AuditRecord[] {
  return typeof records === "function" ? records(head) : records;
}

export interface OpenAuditOptions {
  /** A file; "-" for descriptor 2; absent: `defaultAuditFile()`. */
  readonly file?: string | undefined;
  /** Instead of a file: a descriptor that is ours to write to. The chain starts anew. */
  readonly descriptor?: number;
  /** Who chose the file, for problems. */
  readonly where?: Provenance;
  /** Milliseconds to wait for other writers; default 10 000. */
  readonly lockTimeout?: number;
  /** Leave it to the first append to find out whether the end of the log is sound and the lock can be had. Default false. */
  readonly deferred?: boolean;
  /** fdatasync(2) after each append: records then also outlive a power cut. Default false. */
  readonly sync?: boolean;
}

/**
 * /var/log/sandbox/audit.jsonl for root, else below $XDG_STATE_HOME, else below ~/.local/state.
 * A relative XDG_STATE_HOME is ignored, as the XDG base directory specification demands.
 */
export function defaultAuditFile(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  uid: number = process.geteuid?.() ?? bug("no geteuid"),
): string {
  if (uid === 0) return "/var/log/sandbox/audit.jsonl";
  const state = environment["XDG_STATE_HOME"];
  const base = state?.startsWith("/") === true ? state : join(homedir(), ".local/state");
  return join(base, "sandbox/audit.jsonl");
}

/**
 * Open the log for appending, making the file (0600) where it is missing, and the directory (0700) of the default file.
 * The directory of a file that somebody named must be there: a slip of the pen makes no directories.
 */
export async function openAudit(options: OpenAuditOptions = {}): Promise<Checked<AuditLog>> {
  const where = options.where ?? { kind: "default" };
  const serialise = await createSerialiser();
  try {
    if (options.descriptor !== undefined || options.file === "-") {
      return { ok: true, value: openStream(options.descriptor ?? 2, where, serialise) };
    }
    return {
      ok: true,
      value: new FileLog(resolve(options.file ?? defaultAuditFile()), options, where, serialise),
    };
  } catch (error) {
    if (error instanceof AuditError) return { ok: false, problems: [error.problem] };
    throw error;
  }
}

/** What to do about an errno, for people. */
const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: "free space on its file system, or choose another file with --audit FILE",
  EDQUOT: "the disk quota is used up: free space, or choose another file with --audit FILE",
  EFBIG: "raise the file-size limit (ulimit -f), or start a new file with --audit FILE",
  EACCES: "choose a file that you may write with --audit FILE",
  EPERM: "choose a file that you may write with --audit FILE",
  EROFS: "its file system is read-only: choose another file with --audit FILE",
  ELOOP: "it is a symbolic link: give the real path with --audit FILE",
  ENOTDIR: "a part of the path is not a directory: choose another file with --audit FILE",
  EPIPE: "nobody reads the stream any more",
};

class Place {
  readonly shown: string;
  readonly where: Provenance;
  constructor(shown: string, where: Provenance) {
    this.shown = shown;
    this.where = where;
  }

  error(
    what: string,
    hint: string,
    code = "",
    cause?: unknown,
    kind: Problem["kind"] = "audit-unwritable",
  ): AuditError {
    const message = `the audit log ${this.shown} ${what}`;
    return new AuditError({ kind, where: this.where, pointer: "/audit", message, hint }, code, cause);
  }

  /** For a failed system call; anything else is not ours to explain and goes on. */
  failed(what: string, error: unknown): AuditError {
    if (error instanceof AuditError) return error;
    if (error instanceof LockError) {
      const hint =
        error.code === "ETIMEDOUT"
          ? `if no such process runs any more, remove the link ${this.shown}.lock`
          : (HINTS[error.code] ?? "choose another file with --audit FILE");
      return this.error(`cannot be locked: ${error.message}`, hint, error.code, error);
    }
    // Node's own errors have codes such as ERR_OUT_OF_RANGE: those are bugs.
    if (!(error instanceof Error && "code" in error && typeof error.code === "string")) throw error;
    if (!/^E[A-Z0-9]+$/.test(error.code)) throw error;
    const hint = HINTS[error.code] ?? "choose another file with --audit FILE";
    return this.error(`${what}: ${error.code}`, hint, error.code, error);
  }
}

/** Write all bytes at the end of `fd`; the count that got there and why not more. */
function writeAll(fd: number, bytes: Uint8Array): { readonly written: number; readonly error: unknown } {
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

function openStream(fd: number, where: Provenance, serialise: Serialise): AuditLog {
  const place = new Place(fd === 2 ? "on standard error" : `on descriptor ${fd}`, where);
  let head: Head = EMPTY_HEAD;
  return {
    path: "-",
    append(run, records) {
      const next = serialise(run, recordsAfter(head, records), head);
      const { error } = writeAll(fd, Buffer.from(next.text));
      if (error !== null) throw place.failed("cannot be written", error);
      head = next.head;
      return head;
    },
    close() {
      // The descriptor is not ours.
    },
  };
}

/** The last whole line, and what follows it. */
interface Tail {
  readonly head: Head;
  /** Offset behind the last newline. */
  readonly end: number;
  /** What a torn line left behind `end`; null when nothing. */
  readonly torn: { readonly bytes: number; readonly sha256: string } | null;
}

/** A torn batch has newlines in it; more than this without one is not of our making. */
const MOST_TORN = 1 << 20;

class FileLog implements AuditLog {
  readonly path: string;
  readonly #place: Place;
  readonly #options: OpenAuditOptions;
  readonly #serialise: Serialise;
  readonly #directory: number;
  /** The file below the directory's descriptor: the path cannot be redirected once the directory was checked. */
  readonly #file: string;
  #fd: number;
  /** Size and head as we left them: when the size is still the same, nobody appended since. */
  #known: { readonly size: number; readonly head: Head } | null = null;

  constructor(path: string, options: OpenAuditOptions, where: Provenance, serialise: Serialise) {
    this.path = path;
    this.#place = new Place(path, where);
    this.#options = options;
    this.#serialise = serialise;
    this.#directory = openDirectory(dirname(path), options.file === undefined, this.#place);
    this.#file = `/proc/self/fd/${this.#directory}/${basename(path)}`;
    try {
      this.#fd = openFile(this.#file, this.#place);
    } catch (error) {
      closeSync(this.#directory);
      throw error;
    }
    try {
      // Who appends later wants to know now whether the end of the log is sound and the lock can be had.
      if (options.deferred !== true) this.#locked(() => this.#settle());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  append(run: string, records: Records): Head {
    if (this.#fd < 0) bug("append to a closed audit log");
    return this.#locked(() => {
      const { size, head } = this.#settle();
      return this.#write(size, run, recordsAfter(head, records), head);
    });
  }

  close(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    closeSync(this.#directory);
    this.#fd = -1;
  }

  #locked<T>(work: () => T): T {
    try {
      return withLock(`${this.#file}.lock`, work, {
        shownAs: `${this.path}.lock`,
        ...(this.#options.lockTimeout === undefined ? {} : { timeout: this.#options.lockTimeout }),
      });
    } catch (error) {
      throw this.#place.failed("cannot be written", error);
    }
  }

  /** Under the lock: the file that has the name now, its end found and, where torn, repaired. */
  #settle(): { readonly size: number; readonly head: Head } {
    let stat = fstatSync(this.#fd);
    const named = lstatSync(this.#file, { throwIfNoEntry: false });
    if (named === undefined || named.ino !== stat.ino || named.dev !== stat.dev) {
      // Rotated: the name belongs to another file now, or to none.
      const fd = openFile(this.#file, this.#place);
      closeSync(this.#fd);
      this.#fd = fd;
      this.#known = null;
      stat = fstatSync(fd);
    }
    if (this.#known?.size === stat.size) return this.#known;
    const tail = readTail(this.#fd, stat.size, this.#place);
    this.#known = { size: tail.end, head: tail.head };
    if (tail.torn !== null) {
      ftruncateSync(this.#fd, tail.end);
      this.#write(tail.end, "", [{ kind: "log-repaired", ...tail.torn }], tail.head);
    }
    return this.#known;
  }

  #write(size: number, run: string, records: readonly AuditRecord[], head: Head): Head {
    const next = this.#serialise(run, records, head);
    const bytes = Buffer.from(next.text);
    this.#known = null;
    const { written, error } = writeAll(this.#fd, bytes);
    if (error !== null) {
      const failure = this.#place.failed(`took ${written} of ${bytes.length} bytes`, error);
      // All or none. If even this fails, the torn line stays for the next opening to repair.
      try {
        ftruncateSync(this.#fd, size);
      } catch (second) {
        throw new AuditError(failure.problem, failure.code, new AggregateError([error, second]));
      }
      throw failure;
    }
    if (this.#options.sync === true) fdatasyncSync(this.#fd);
    this.#known = { size: size + bytes.length, head: next.head };
    return next.head;
  }
}

const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Open and check the directory; `make` it, private, when it is missing. */
function openDirectory(path: string, make: boolean, place: Place): number {
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
    try {
      mkdirSync(end === -1 ? path : path.slice(0, end), { mode: 0o700 });
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

/** Open and check the file. Node sets O_CLOEXEC on every descriptor. */
function openFile(path: string, place: Place): number {
  let fd: number;
  try {
    fd = openSync(path, OPEN_FLAGS, 0o600);
  } catch (error) {
    throw place.failed("cannot be opened", error);
  }
  const fault = checkFile(fstatSync(fd), place);
  if (fault !== null) {
    closeSync(fd);
    throw fault;
  }
  return fd;
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

function readFully(fd: number, start: number, end: number): Buffer {
  const bytes = Buffer.allocUnsafe(end - start);
  let done = 0;
  while (done < bytes.length) {
    const count = readSync(fd, bytes, done, bytes.length - done, start + done);
    if (count === 0) bug("the audit log shrank under its lock");
    done += count;
  }
  return bytes;
}

const NEWLINE = 0x0a;

/** Find the last whole line, reading no more than the end of the file. */
function readTail(fd: number, size: number, place: Place): Tail {
  if (size === 0) return { head: EMPTY_HEAD, end: 0, torn: null };
  let start = size;
  let bytes: Buffer = Buffer.alloc(0);
  let newline = -1;
  // Back to the last newline, then far enough for the whole line that it ends.
  while (newline < 0 && start > 0) {
    start = Math.max(0, size - Math.max(2 * MAX_LINE, bytes.length * 4));
    bytes = readFully(fd, start, size);
    newline = bytes.lastIndexOf(NEWLINE);
    if (newline < 0 && bytes.length > MOST_TORN) throw corrupt(place, "does not end in a line");
  }
  const end = start + newline + 1;
  const rest = bytes.subarray(newline + 1);
  const torn = rest.length === 0 ? null : { bytes: rest.length, sha256: sha256(rest) };
  if (end === 0) return { head: EMPTY_HEAD, end: 0, torn };
  const from = Math.max(0, end - 1 - MAX_LINE);
  const window = from >= start ? bytes.subarray(from - start, newline) : readFully(fd, from, end - 1);
  const previous = window.lastIndexOf(NEWLINE);
  if (previous < 0 && from > 0) throw corrupt(place, "ends in a line that is too long");
  const line = parseLine(window.subarray(previous + 1));
  if (typeof line === "string") throw corrupt(place, `ends in a line that is ${line}`);
  return { head: { seq: line.seq, hash: line.hash }, end, torn };
}

function corrupt(place: Place, what: string): AuditError {
  return place.error(
    what,
    `see what is wrong with sandbox audit verify ${place.shown}, then move the file away`,
    "EBADMSG",
    undefined,
    "audit-corrupt",
  );
}
