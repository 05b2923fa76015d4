/**
 * Which files of a root directory are opened during a run. Watches every directory of it before the launch, from outside: the payload has
 * no descriptor of the watch, and nothing to turn off. What overlayfs opens below a sandbox's root are these files (Linux 6.5 and later).
 *
 * Seen: every open, also by execve(2) and by the loader for mmap(2); under the file's own name, whatever links led there. Not seen: looking
 * without opening (stat, readlink, access); files on mounts of the sandbox's own; files that it made itself. Whoever else opens files in
 * the directory meanwhile is seen as well. What is lost, because more happened than the kernel keeps, is said.
 */
import { closeSync, type Dirent, lstatSync, readdirSync, readSync, realpathSync } from "node:fs";
import { decodeName } from "../image/names.ts";
import { EVENT_BYTES, IN_ISDIR, IN_Q_OVERFLOW, type Inotify, openInotify } from "../kernel/inotify.ts";
import type { OpenedFiles } from "./outcome.ts";

/** Why there can be no record. */
export interface NoRecord {
  readonly reason: string;
  readonly hint: string;
}

export interface FileRecord {
  /** Ends the watch, after everything that has happened was read. `ran`: something was executed, so something must have been seen. */
  stop(ran: boolean): OpenedFiles;
}

/** About two thousand events: a millisecond. */
const BUFFER = 1 << 16;
/**
 * Milliseconds that a look takes at most. A payload that opens files faster than they are read must not keep the supervisor from its limits
 * and signals: then the kernel drops events, and that is said.
 */
const LOOK = 10;
/** At the end, when the payload is dead; others who open files in the directory without end must not keep the end from coming. */
const LAST_LOOK = 5000;
/** Milliseconds between two looks. The kernel keeps 16384 events meanwhile, unless it was told another number. */
const PAUSE = 10;

/**
 * Begins to watch. Before the launch, or what the launch opens first is missed.
 * @param kept - where earlier runs left what they wrote, which lies above the directory; null where there is no such place.
 */
export function recordFiles(directory: string, kept: string | null): FileRecord | NoRecord {
  const root = realpathSync(directory, "buffer");
  const inotify = openInotify();
  if (typeof inotify === "string")
    return {
      reason: `the kernel gives no inotify instance (${inotify})`,
      hint: "raise fs.inotify.max_user_instances",
    };
  const names = new Map<number, Buffer>();
  const closed: string[] = [];
  if (kept !== null) closed.push(`files that this run or an earlier one wrote to ${kept}`);
  const problem = watchAll(inotify, root, names, closed);
  if (problem !== null) {
    closeSync(inotify.descriptor);
    return problem;
  }
  return new Recording(directory, inotify, names, closed);
}

/** Watches a directory and all below it on the same file system: an overlay shows no other. */
function watchAll(
  inotify: Inotify,
  root: Buffer,
  names: Map<number, Buffer>,
  closed: string[],
): NoRecord | null {
  const { dev } = lstatSync(root);
  const rest: Buffer[] = [Buffer.alloc(0)];
  for (let path = rest.pop(); path !== undefined; path = rest.pop()) {
    const host = Buffer.concat([root, path]);
    const watch = inotify.watch(host);
    if (watch === "ENOSPC")
      return {
        reason: `it has more directories than may be watched (${names.size} were)`,
        hint: "raise fs.inotify.max_user_watches",
      };
    if (typeof watch === "string") {
      closed.push(`/${decodeName(path.subarray(1))} cannot be watched (${watch})`);
      continue;
    }
    names.set(watch, path);
    try {
      for (const entry of entriesOf(host)) {
        const child = Buffer.concat([path, SLASH, entry.name]);
        if (entry.isDirectory() && lstatSync(Buffer.concat([root, child])).dev === dev) rest.push(child);
      }
    } catch (error) {
      // A directory that may be listed and not entered; or it changed under our eyes.
      if (!(error instanceof Error && "code" in error)) throw error;
      closed.push(`what is below /${decodeName(path.subarray(1))} cannot be watched (${String(error.code)})`);
    }
  }
  return null;
}

const SLASH = Buffer.from("/");

const entriesOf = (directory: Buffer): readonly Dirent<Buffer>[] =>
  readdirSync(directory, { withFileTypes: true, encoding: "buffer" });

class Recording implements FileRecord {
  readonly #directory: string;
  readonly #inotify: Inotify;
  readonly #names: Map<number, Buffer>;
  readonly #missed: string[];
  readonly #opened = new Set<string>();
  /** Names by watch, a character for each byte: most events are about files that were opened before. */
  readonly #seen = new Map<number, Set<string>>();
  readonly #timer: NodeJS.Timeout;
  readonly #buffer = Buffer.allocUnsafe(BUFFER);

  constructor(directory: string, inotify: Inotify, names: Map<number, Buffer>, missed: string[]) {
    this.#directory = directory;
    this.#inotify = inotify;
    this.#names = names;
    this.#missed = missed;
    this.#timer = setInterval(() => this.#drain(LOOK), PAUSE).unref();
  }

  stop(ran: boolean): OpenedFiles {
    clearInterval(this.#timer);
    // An event is in the queue before the call that it is about returns.
    if (!this.#drain(LAST_LOOK))
      this.#miss("files were still being opened, by others, after the run had ended");
    closeSync(this.#inotify.descriptor);
    if (ran && this.#opened.size === 0)
      this.#missed.push(
        "no file was seen, not even the program: this kernel does not tell what overlayfs opens",
      );
    return {
      root: this.#directory,
      opened: [...this.#opened].toSorted(),
      complete: this.#missed.length === 0,
      missed: this.#missed,
    };
  }

  /** What is in the queue, for so many milliseconds; whether that was all. */
  #drain(milliseconds: number): boolean {
    const until = performance.now() + milliseconds;
    do {
      const length = this.#next();
      if (length === 0) return true;
      for (let at = 0; at < length; ) {
        const end = at + EVENT_BYTES + this.#buffer.readUInt32LE(at + 12);
        this.#note(at, end);
        at = end;
      }
    } while (performance.now() < until);
    return false;
  }

  #miss(what: string): void {
    if (!this.#missed.includes(what)) this.#missed.push(what);
  }

  /** Bytes of the next events in the buffer; 0 when there are none. */
  #next(): number {
    try {
      return readSync(this.#inotify.descriptor, this.#buffer, 0, BUFFER, null);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") return 0;
      throw error;
    }
  }

  #note(at: number, end: number): void {
    const mask = this.#buffer.readUInt32LE(at + 4);
    if ((mask & IN_Q_OVERFLOW) !== 0) {
      this.#miss("more files were opened at a time than the kernel keeps (fs.inotify.max_queued_events)");
      return;
    }
    const name = this.#buffer.toString("latin1", at + EVENT_BYTES, end).replace(/\0+$/, "");
    // Without a name it is the watched directory itself.
    if ((mask & IN_ISDIR) !== 0 || name === "") return;
    const watch = this.#buffer.readInt32LE(at);
    const directory = this.#names.get(watch);
    const seen = this.#seen.get(watch) ?? new Set<string>();
    if (directory === undefined || seen.has(name)) return;
    this.#seen.set(watch, seen.add(name));
    this.#opened.add(decodeName(Buffer.concat([directory, SLASH, Buffer.from(name, "latin1")])));
  }
}
