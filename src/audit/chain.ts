/**
 * The chain: what a line is, byte by byte, and how one line vouches for the one before.
 *
 * Takes bytes of lines. Gives hashes and parsed lines. Must never: accept a line that differs in one bit from what was
 * written. A line ends `,"prev":"<64 hex>","hash":"<64 hex>"}` and a newline:
 * - `prev` is the SHA-256 of all bytes of the line before (its `hash` included), so order and content are chained.
 * - `hash` is the SHA-256 of the line's own bytes up to and without `,"hash"`: it tells a changed line from a changed
 *   neighbour, and covers the last line, which nothing follows.
 */
import { hash } from "node:crypto";

/** `prev` of the first record of a file. */
export const FIRST_PREV = "0".repeat(64);

/** Most bytes of a line, newline included. */
export const MAX_LINE = 16_384;

/** `,"hash":"` + 64 + `"}` */
export const HASH_TAIL = 75;

/** SHA-256, lower-case hex. */
export function sha256(bytes: Uint8Array | string): string {
  return hash("sha256", bytes, "hex");
}

/** What the chain goes on from. */
export interface Head {
  /** 0: nothing was written yet. */
  readonly seq: number;
  /** SHA-256 of the last line without its newline; FIRST_PREV when there is none. */
  readonly hash: string;
}

export const EMPTY_HEAD: Head = { seq: 0, hash: FIRST_PREV };

/** A line as far as the chain is concerned. */
export interface ParsedLine {
  readonly seq: number;
  readonly prev: string;
  readonly hash: string;
  /** Everything in the line, unchecked but for seq and prev. */
  readonly record: Readonly<Record<string, unknown>>;
}

export type LineFault = "malformed" | "changed";

const TAIL = /^,"hash":"([0-9a-f]{64})"\}$/;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A JSON object, not an array and not null. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Read one line (bytes without the newline): its content, or what is wrong with it. Never throws. */
export function parseLine(line: Uint8Array): ParsedLine | LineFault {
  const split = line.length - HASH_TAIL;
  if (split <= 0 || line.length >= MAX_LINE) return "malformed";
  const own = TAIL.exec(Buffer.from(line.buffer, line.byteOffset + split, HASH_TAIL).toString("latin1"))?.[1];
  if (own === undefined) return "malformed";
  if (sha256(line.subarray(0, split)) !== own) return "changed";
  let record: unknown;
  try {
    record = JSON.parse(decoder.decode(line));
  } catch {
    // Not JSON or not UTF-8: both throw, and both are the answer.
    return "malformed";
  }
  if (!isObject(record)) return "malformed";
  const { seq, prev } = record;
  if (
    typeof seq !== "number" ||
    !Number.isSafeInteger(seq) ||
    typeof prev !== "string" ||
    !/^[0-9a-f]{64}$/.test(prev)
  )
    return "malformed";
  return { seq, prev, hash: sha256(line), record };
}
