/**
 * The audit log: open it, append to it.
 *
 * Takes: where it is, and records. Gives: lines in the file, or a located problem that says what to do.
 * Must never: follow a symbolic link, write to a file that others can write to, leave half a line of its own behind,
 * or report as written what is not in the file to the last byte.
 */
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, lstatSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type Environment, stateBase } from "../base-directories.ts";
import { bug, type Checked, type Problem, ProfileError, type Provenance } from "../problems.ts";
import { EMPTY_HEAD, type Head } from "./chain.ts";
import { withLock } from "./lock.ts";
import { AuditError, Place } from "./log-error.ts";
import { openDirectory, openFile, writeAll } from "./log-file.ts";
import { readTail } from "./log-tail.ts";
import type { AuditRecord } from "./records.ts";
import { createSerialiser, type Serialise } from "./serialise.ts";

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
 * @throws ProfileError when the user has no home directory to look in
 */
export function defaultAuditFile(
  environment: Environment = process.env,
  uid: number = process.geteuid?.() ?? bug("no geteuid"),
): string {
  const file = findDefaultAuditFile(environment, uid);
  if (file === null) throw new ProfileError([noDefaultFile({ kind: "default" })]);
  return file;
}

/** The same; null where the user has no home directory. */
export function findDefaultAuditFile(
  environment: Environment = process.env,
  uid: number = process.geteuid?.() ?? bug("no geteuid"),
): string | null {
  if (uid === 0) return "/var/log/sandbox/audit.jsonl";
  const base = stateBase(environment);
  return base === null ? null : join(base, "sandbox/audit.jsonl");
}

const noDefaultFile = (where: Provenance): Problem => ({
  kind: "audit-unwritable",
  where,
  pointer: "/audit",
  message:
    "the audit log has no place: no absolute HOME is set and the user database knows no home directory",
  hint: "set HOME or XDG_STATE_HOME, or choose a file with --audit FILE",
});

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
    const file = options.file ?? findDefaultAuditFile();
    if (file === null) return { ok: false, problems: [noDefaultFile(where)] };
    return { ok: true, value: new FileLog(resolve(file), options, where, serialise) };
  } catch (error) {
    if (error instanceof AuditError) return { ok: false, problems: [error.problem] };
    throw error;
  }
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
