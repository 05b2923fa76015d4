/**
 * The end of a log: its last whole line, and what a torn one left behind. Takes a descriptor, gives the head of the chain; reads no more
 * than the end of the file. Never continues a log whose last whole line is wrong.
 */
import { readSync } from "node:fs";
import { bug } from "../problems.ts";
import { EMPTY_HEAD, type Head, MAX_LINE, parseLine, sha256 } from "./chain.ts";
import type { AuditError, Place } from "./log-error.ts";

/** The last whole line, and what follows it. */
export interface Tail {
  readonly head: Head;
  /** Offset behind the last newline. */
  readonly end: number;
  /** What a torn line left behind `end`; null when nothing. */
  readonly torn: { readonly bytes: number; readonly sha256: string } | null;
}

/** A torn batch has newlines in it; more than this without one is not of our making. */
const MOST_TORN = 1 << 20;

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
export function readTail(fd: number, size: number, place: Place): Tail {
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
