/**
 * Records to lines. pino serialises; the bytes come back to us, so that each line can be hashed into the next.
 *
 * Takes records and the head of the chain. Gives the lines as one text and the new head. Must never: write.
 * A line has at most MAX_LINE bytes and no control character, not even an escaped-by-nobody C1 or a bidirectional
 * override: paths and arguments belong to an attacker, and people look at logs in terminals.
 */
import { hostname } from "node:os";
import type { pino } from "pino";
import { bug } from "../problems.ts";
import { HASH_TAIL, type Head, MAX_LINE, sha256 } from "./chain.ts";
import { readBootId } from "./lock.ts";
import { type AuditRecord, RECORD_VERSION } from "./records.ts";

export interface Serialised {
  readonly text: string;
  readonly head: Head;
}

export type Serialise = (run: string, records: readonly AuditRecord[], head: Head) => Serialised;

/** Legal in JSON as they are, but they move cursors, change colours or reorder text where they are shown. */
const INVISIBLE =
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** U+FFFD, or a lone surrogate as JSON.stringify writes it. */
const LOSSY = /\ufffd|\\ud[89a-f][0-9a-f]{2}/i;

/** A half of a surrogate pair without the other half; cannot be UTF-8. */
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Most `cut` and `lossy` notes of one record; the first ones say enough. */
const MOST_NOTES = 64;

/** Loads pino (a few milliseconds, which is why it happens here and not at import) and returns the serialiser. */
export async function createSerialiser(): Promise<Serialise> {
  const { pino } = await import("pino");
  let line = "";
  const logger = pino(
    {
      base: null,
      // The level is not ours: in its place, first in the line, the version of the format.
      formatters: { level: () => ({ v: RECORD_VERSION }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    {
      write(text: string) {
        line = text;
      },
    },
  );
  const print = (record: object): string => {
    line = "";
    logger.info(record);
    if (!line.endsWith("}\n")) bug("pino wrote no line");
    return line.slice(0, -2).replace(INVISIBLE, escapeCharacter);
  };
  const always = { boot: readBootId(), host: hostname() };
  /** What a record says by itself; records that are appended again and again (decisions) are printed once. */
  const bodies = new WeakMap<AuditRecord, Body>();
  const bodyOf = (record: AuditRecord): Body => {
    const known = bodies.get(record);
    if (known !== undefined) return known;
    const text = print(record).slice(LEAD);
    if (!text.startsWith(",")) bug("pino begins a line otherwise than expected");
    const body = { text, size: LOSSY.test(text) ? Infinity : Buffer.byteLength(text) };
    bodies.set(record, body);
    return body;
  };
  return (run, records, head) => {
    let { seq, hash } = head;
    const lines: string[] = [];
    const common = print({ ...always, run, pid: process.pid });
    // 160: what differs between lines, numbers at their longest.
    const room = LOSSY.test(common) ? 0 : MAX_LINE - HASH_TAIL - 1 - Buffer.byteLength(common) - 160;
    for (const record of records) {
      seq += 1;
      const mono = process.hrtime.bigint().toString();
      const { text, size } = bodyOf(record);
      const body =
        size <= room
          ? `${common.slice(0, LEAD)},"seq":${seq},"mono":"${mono}"${common.slice(LEAD)}${text},"prev":"${hash}"`
          : fitLine(print, { seq, mono, ...always, run, pid: process.pid, ...record }, { prev: hash });
      const full = `${body},"hash":"${sha256(body)}"}`;
      lines.push(full, "\n");
      hash = sha256(full);
    }
    return { text: lines.join(""), head: { seq, hash } };
  };
}

interface Body {
  /** From the comma before its first field. */
  readonly text: string;
  /** Bytes; Infinity when something in it has to be marked, which takes the long way. */
  readonly size: number;
}

/** Length of what a line begins with: `{"v":1,"time":"2026-11-22T06:31:24.883Z"`. */
const LEAD = `{"v":${RECORD_VERSION},"time":"${new Date(0).toISOString()}"`.length;

/** The logger this file needs; kept so that a change in pino's types shows here. */
export type Logger = pino.Logger;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Print a record, marking lossy text, and shorten its longest parts until it fits. `last` goes to the end. */
function fitLine(
  print: (record: object) => string,
  record: Readonly<Record<string, unknown>>,
  last: object,
): string {
  const plain = print({ ...record, ...last });
  const room = MAX_LINE - HASH_TAIL - 1;
  const lossy = LOSSY.test(plain);
  if (!lossy && Buffer.byteLength(plain) <= room) return plain;
  for (let most = 8192; most >= 8; most /= 2) {
    const notes: Notes = { cut: [], lossy: [] };
    const shortened = shortenFields(record, "", most, notes);
    const marked = {
      ...shortened,
      ...(notes.lossy.length > 0 ? { lossy: notes.lossy.slice(0, MOST_NOTES) } : {}),
      ...(notes.cut.length > 0 ? { cut: notes.cut.slice(0, MOST_NOTES) } : {}),
      ...last,
    };
    const body = print(marked);
    if (Buffer.byteLength(body) <= room) return body;
  }
  return bug("an audit record does not fit a line");
}

interface Notes {
  readonly cut: { at: string; length: number }[];
  readonly lossy: string[];
}

/** A copy with texts of at most `most` characters and lists of at most `most / 8` elements (at least 8). */
function shorten(value: unknown, at: string, most: number, notes: Notes): unknown {
  if (typeof value === "string") {
    const text = value.replace(LONE_SURROGATE, "\ufffd");
    if (text.includes("\ufffd")) notes.lossy.push(at);
    if (text.length <= most) return text;
    notes.cut.push({ at, length: text.length });
    // Cutting may split a surrogate pair; the half is dropped rather than shown as lossy.
    return `${text.slice(0, most).replace(/[\ud800-\udbff]$/, "")}…`;
  }
  if (Array.isArray(value)) {
    const count = Math.max(8, most / 8);
    if (value.length > count) notes.cut.push({ at, length: value.length });
    return value.slice(0, count).map((element, index) => shorten(element, `${at}/${index}`, most, notes));
  }
  if (typeof value === "object" && value !== null) {
    return shortenFields(value, at, most, notes);
  }
  return value;
}

function shortenFields(fields: object, at: string, most: number, notes: Notes): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, field]) => [
      key,
      shorten(field, `${at}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, most, notes),
    ]),
  );
}
