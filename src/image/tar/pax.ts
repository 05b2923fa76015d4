/**
 * Takes the body of a PAX extended header, gives its records (pax(1), "Extended Header"): `LENGTH KEY=VALUE\n`, with LENGTH in bytes.
 * Strict: one wrong length would make the rest of the header mean something else.
 */
import { hostile, malformed } from "../refusal.ts";

export type PaxRecords = ReadonlyMap<string, Buffer>;

/** Sparse maps of the forms 0.0 repeat their keys; they are kept in order under these names, joined by commas. */
const REPEATED = new Set(["GNU.sparse.offset", "GNU.sparse.numbytes"]);

export function parsePax(body: Buffer): PaxRecords {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(0x20, at);
    const digits = blank < 0 ? "" : body.toString("latin1", at, blank);
    if (!/^[1-9][0-9]{0,8}$/.test(digits)) throw malformed("a PAX record has no length");
    const end = at + Number(digits);
    if (end > body.length || end <= blank + 1 || body[end - 1] !== 0x0a)
      throw malformed("a PAX record is longer than its header, or does not end where it says");
    const equals = body.indexOf(0x3d, blank + 1);
    if (equals < 0 || equals >= end) throw malformed("a PAX record has no key");
    const key = body.toString("utf8", blank + 1, equals);
    const value = Buffer.from(body.subarray(equals + 1, end - 1));
    if (value.includes(0) && !key.startsWith("SCHILY.xattr."))
      throw hostile(`the PAX record ${key} has a NUL byte in its value`);
    const before = records.get(key);
    records.set(
      key,
      before !== undefined && REPEATED.has(key) ? Buffer.concat([before, COMMA, value]) : value,
    );
    at = end;
  }
  return records;
}

const COMMA = Buffer.from(",");

/** A record that holds a whole number from 0 to 2^53; null when there is none. */
export function paxNumber(records: PaxRecords, key: string): number | null {
  const value = records.get(key)?.toString("latin1");
  if (value === undefined || value === "") return null;
  if (value.startsWith("-")) throw hostile(`the PAX record ${key} is negative`);
  const result = /^[0-9]{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(result)) throw malformed(`the PAX record ${key} is not a number`);
  return result;
}
