/**
 * A lock between processes without native code: Node has no flock(2).
 *
 * Takes: a path that names the lock. Gives: mutual exclusion among every process that uses the same path, also when a
 * holder is killed at any moment. Must never: break the lock of an owner that may still be alive.
 *
 * The lock is a symbolic link whose target text says who holds it. symlink(2) creates the name and its content in one
 * step and fails with EEXIST when the name is taken, so a lock is never seen half-made, and readlink(2) never follows.
 *
 * Why breaking a dead owner's lock is safe. Every taking has a nonce, so a content C appears at most once in time.
 *  1. `path` with content C is removed only by its owner, or by whoever holds the break marker `path.break-<nonce of C>`
 *     and has seen C at `path` while holding it.
 *  2. The marker is a lock of this same kind, so at most one process holds it. A breaker that saw C under the marker is
 *     the only one that may unlink it, since the owner is dead: its unlink removes C and nothing taken later.
 *  3. A breaker that comes late (C is gone, the marker free again) takes the marker, does not see C, and unlinks nothing.
 *  4. A breaker that dies is itself a dead owner, of the marker; the marker is broken by the same rule. Its nonce names
 *     the next marker, so the names do not grow, and each level needs one more death at just that moment.
 *  5. Dead means that no system call of the owner is still in flight: the pid is gone, or has another start time, or is a
 *     zombie with no other thread (proc_pid_stat(5)). A process being killed inside write(2) is not a zombie yet.
 * What cannot be judged (another pid namespace, another host on a shared file system) counts as alive: we wait, then
 * fail and say who holds it.
 */
import { randomBytes } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync, symlinkSync, unlinkSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { bug } from "../problems.ts";
import { sha256 } from "./chain.ts";

/**
 * Who holds a lock: the text of the link, fields separated by ":". Short by design: a link's text of up to 59 bytes lies in the inode
 * itself on ext4, and removing a longer one costs ten times as much.
 */
export interface LockOwner {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  readonly startTime: string;
  /** The first 8 digits of the boot id. */
  readonly boot: string;
  /** Inode numbers of the pid and the time namespace in hexadecimal, "pid.time": pids and start times mean nothing outside of them. */
  readonly namespaces: string;
  /** The first 6 hexadecimal digits of the SHA-256 of the host's name. */
  readonly host: string;
  /** 6 hexadecimal digits, new at each taking: a process that is dead takes no lock again, so few are enough. */
  readonly nonce: string;
}

/** The lock could not be had in time, or not at all. */
export class LockError extends Error {
  override readonly name = "LockError";
  /** Errno name, "ETIMEDOUT" when another owner kept it. */
  readonly code: string;
  readonly path: string;
  /** The owner waited for, null when unknown. */
  readonly owner: LockOwner | null;
  constructor(code: string, path: string, owner: LockOwner | null, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.path = path;
    this.owner = owner;
  }
}

export interface LockOptions {
  /** Milliseconds to wait for another owner; default 10 000. */
  readonly timeout?: number;
  /** The name used in messages when `path` is not one that people would know. */
  readonly shownAs?: string;
}

let bootId: string | undefined;
/** /proc/sys/kernel/random/boot_id, lower case with dashes. */
export function readBootId(): string {
  bootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  return bootId;
}

function namespaceInode(name: string): string {
  try {
    const number = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/ns/${name}`))?.[1] ?? "0";
    return Number(number).toString(16);
  } catch (error) {
    // Kernels before 5.6 have no time namespaces.
    if (errnoOf(error) === "ENOENT") return "0";
    throw error;
  }
}

interface Stat {
  readonly state: string;
  readonly threads: number;
  readonly startTime: string;
}

/** Fields 3, 20 and 22 of /proc/PID/stat; null when there is no such process or it is hidden. */
function readStat(pid: number | "self"): Stat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return null;
    throw error;
  }
  // The command name, field 2, may contain spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", threads: Number(fields[17]), startTime: fields[19] ?? "" };
}

let startTime: string | undefined;
/** Our own start time in clock ticks since boot, as text. */
export function ownStartTime(): string {
  startTime ??= readStat("self")?.startTime ?? bug("cannot read /proc/self/stat");
  return startTime;
}

let identity: Omit<LockOwner, "nonce"> | undefined;
function ownIdentity(): Omit<LockOwner, "nonce"> {
  identity ??= {
    pid: process.pid,
    startTime: ownStartTime(),
    boot: readBootId().slice(0, 8),
    namespaces: `${namespaceInode("pid")}.${namespaceInode("time")}`,
    host: sha256(hostname()).slice(0, 6),
  };
  return identity;
}

function formatOwner(owner: LockOwner): string {
  return [owner.pid, owner.startTime, owner.boot, owner.namespaces, owner.host, owner.nonce].join(":");
}

/** The owner that a link's text names; null when it is not one of ours. */
export function parseOwner(text: string): LockOwner | null {
  const match =
    /^(\d{1,10}):(\d{1,20}):([0-9a-f]{8}):([0-9a-f]+\.[0-9a-f]+):([0-9a-f]{6}):([0-9a-f]{6})$/.exec(text);
  if (match === null) return null;
  const [, pid = "", start = "", boot = "", namespaces = "", host = "", nonce = ""] = match;
  return { pid: Number(pid), startTime: start, boot, namespaces, host, nonce };
}

/** Whether the owner certainly does not run any more. Stable: once true, always true. */
export function isDead(owner: LockOwner): boolean {
  const own = ownIdentity();
  // Another boot of this host: nothing of it runs. Another host's boot says nothing.
  if (owner.boot !== own.boot) return owner.host === own.host;
  const [ownPids, ownTimes] = own.namespaces.split(".");
  const [pids, times] = owner.namespaces.split(".");
  if (pids !== ownPids) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it exists and is another user's.
    if (errnoOf(error) === "ESRCH") return true;
    if (errnoOf(error) !== "EPERM") throw error;
  }
  const stat = readStat(owner.pid);
  // kill(2) found it and /proc hides it (hidepid), or it ended in between: the next look will tell.
  if (stat === null) return false;
  // Start times are shifted by the reader's time namespace (time_namespaces(7)).
  if (times === ownTimes && stat.startTime !== owner.startTime) return true;
  return (stat.state === "Z" || stat.state === "X") && stat.threads <= 1;
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** Create the link; false when the name is taken. Throws the errno otherwise. */
function tryLink(path: string, content: string): boolean {
  try {
    symlinkSync(content, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Text of the link, null when there is none. EINVAL (something else has that name) is thrown. */
function readLink(path: string): string | null {
  try {
    return readlinkSync(path, "latin1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}

function freshContent(): string {
  return formatOwner({ ...ownIdentity(), nonce: randomBytes(3).toString("hex") });
}

/**
 * Remove a dead owner's link at `path`, if it is still that very one. `base` gives the markers their name.
 * Returns having removed it or not; the caller looks again either way.
 */
function breakDead(base: string, path: string, content: string, nonce: string): void {
  const marker = `${base}.break-${nonce}`;
  if (!tryLink(marker, freshContent())) {
    const holder = readLink(marker);
    const owner = holder === null ? null : parseOwner(holder);
    if (holder !== null && owner !== null && isDead(owner)) breakDead(base, marker, holder, owner.nonce);
    return;
  }
  try {
    if (readLink(path) === content) unlinkSync(path);
  } finally {
    unlinkSync(marker);
  }
}

/** Remove break markers whose makers died holding them. They block nobody, they are only litter. */
export function sweepBreakMarkers(path: string): void {
  const directory = dirname(path);
  const prefix = `${basename(path)}.break-`;
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(prefix)) continue;
    const marker = join(directory, name);
    const content = readLink(marker);
    const owner = content === null ? null : parseOwner(content);
    if (content !== null && owner !== null && isDead(owner)) breakDead(path, marker, content, owner.nonce);
  }
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));
/** Block this thread for some milliseconds. */
export function sleepSync(milliseconds: number): void {
  Atomics.wait(sleepCell, 0, 0, milliseconds);
}

/** Milliseconds. Not performance.now(), which costs a run the loading of eight modules. */
const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6;

const held = new Set<string>();

/**
 * Take the lock at `path`, waiting for a living owner, and return what releases it. The directory must exist and be
 * one where others cannot rename our files.
 * @throws LockError when a living owner (or one that cannot be judged) keeps it beyond the timeout, or when the link
 *   cannot be made: its `code` is the errno name.
 */
export function acquireLock(path: string, options: LockOptions = {}): () => void {
  const { timeout = 10_000, shownAs = path } = options;
  // Waiting here would be for ourselves, and forever.
  if (held.has(path)) bug(`the lock ${shownAs} is taken twice in one thread`);
  const content = freshContent();
  const deadline = monotonic() + timeout;
  let pause = 0.2;
  try {
    while (!tryLink(path, content)) {
      const seen = readLink(path);
      if (seen === null) continue;
      const owner = parseOwner(seen);
      if (owner !== null && isDead(owner)) {
        breakDead(path, path, seen, owner.nonce);
        sweepBreakMarkers(path);
        // No `continue` without a look at the clock: the marker may be held by one that cannot be judged.
      }
      if (monotonic() >= deadline) throw timedOut(shownAs, path, owner, timeout);
      // Jitter keeps waiters from marching in step.
      sleepSync(pause * (0.5 + Math.random()));
      pause = Math.min(pause * 1.5, 10);
    }
  } catch (error) {
    if (error instanceof LockError || errnoOf(error) === "") throw error;
    const code = errnoOf(error);
    throw new LockError(code, path, null, `cannot make the lock ${shownAs}: ${code}`, error);
  }
  held.add(path);
  return () => {
    held.delete(path);
    // Only if somebody removed it by hand is it not ours any more.
    if (readLink(path) === content) unlinkSync(path);
  };
}

function timedOut(shownAs: string, path: string, owner: LockOwner | null, timeout: number): LockError {
  const who =
    owner === null
      ? "something that is not a lock of ours has that name"
      : `process ${owner.pid}${owner.host === ownIdentity().host ? "" : " on another host"} holds it`;
  return new LockError("ETIMEDOUT", path, owner, `no lock ${shownAs} within ${timeout} ms: ${who}`);
}

/** Run `work` holding the lock at `path`. Synchronous, so that nothing else of this thread runs meanwhile. */
export function withLock<T>(path: string, work: () => T, options: LockOptions = {}): T {
  const release = acquireLock(path, options);
  try {
    return work();
  } finally {
    release();
  }
}

/** Whether a lock or one of its break markers is at `path`; for clean-up reports. */
export function lockExists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
