/**
 * Takes 512 bytes, gives the fields of one tar header (POSIX ustar, GNU, old V7). Every number is checked: a value that two readers
 * could understand differently is refused, because then the image that is checked would not be the image that is run.
 */
import { hostile, malformed } from "../refusal.ts";

export const BLOCK = 512;

export interface RawHeader {
  /** ustar prefix and name joined; bytes, because a PAX record may replace it. */
  readonly name: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since the epoch; may be negative. */
  readonly mtime: number;
  readonly type: string;
  readonly link: Buffer;
  readonly major: number;
  readonly minor: number;
  /** GNU's own format: the prefix field holds times and a sparse map instead. */
  readonly gnu: boolean;
}

export function isZeroBlock(block: Buffer): boolean {
  for (let at = 0; at < BLOCK; at += 4) if (block.readUInt32LE(at) !== 0) return false;
  return true;
}

export function parseHeader(block: Buffer): RawHeader {
  verifyChecksum(block);
  const magic = block.toString("latin1", 257, 265);
  const gnu = magic === "ustar  \0";
  const ustar = magic.startsWith("ustar\0");
  checkPrefix(block, gnu, ustar);
  const name = text(block, 0, 100);
  const prefix = ustar ? text(block, 345, 155) : Buffer.alloc(0);
  return {
    name: prefix.length === 0 ? name : Buffer.concat([prefix, SLASH, name]),
    mode: number(block, 100, 8, "mode"),
    uid: number(block, 108, 8, "uid"),
    gid: number(block, 116, 8, "gid"),
    size: number(block, 124, 12, "size"),
    mtime: signedNumber(block, 136, 12),
    type: String.fromCharCode(block[156] ?? 0),
    link: text(block, 157, 100),
    major: gnu || ustar ? number(block, 329, 8, "major") : 0,
    minor: gnu || ustar ? number(block, 337, 8, "minor") : 0,
    gnu,
  };
}

const SLASH = Buffer.from("/");

/**
 * Where POSIX has the first directories of a name, GNU has times, and star has 131 bytes of name and then times. Go takes what is no time in
 * a GNU header for a name after all.
 */
function checkPrefix(block: Buffer, gnu: boolean, ustar: boolean): void {
  const isTime = (at: number): boolean => block[at] === 0 || !Number.isNaN(signedNumber(block, at, 12));
  const isStar = ustar && block.toString("latin1", 508, 512) === "tar\0";
  if ((gnu && !(isTime(345) && isTime(357))) || (isStar && text(block, 345, 155).length > 130))
    throw hostile("a tar header has something between its name and its times that readers take for either");
}

function verifyChecksum(block: Buffer): void {
  if (!hasChecksum(block)) throw malformed("a tar header has a wrong checksum");
}

/** The sum of all bytes with the field itself as blanks. Some old writers summed signed bytes. */
export function hasChecksum(block: Buffer): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < BLOCK; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stored = octal(block, 148, 8);
  return stored === unsigned || stored === signed;
}

/** Up to the first NUL. */
function text(block: Buffer, at: number, length: number): Buffer {
  const end = block.indexOf(0, at);
  return Buffer.from(block.subarray(at, end >= at && end < at + length ? end : at + length));
}

/** Octal digits with blanks around them; NaN for anything else, 0 for an empty field. */
function octal(block: Buffer, at: number, length: number): number {
  const match = /^[ \0]*([0-7]*)[ \0]*$/.exec(block.toString("latin1", at, at + length));
  if (match === null) return Number.NaN;
  return match[1] === "" ? 0 : Number.parseInt(match[1] ?? "", 8);
}

/** Octal, or the binary form with the highest bit set (GNU, star): big-endian two's complement. */
export function signedNumber(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) === 0) return octal(block, at, length);
  let value = BigInt(first & 0x40 ? (first & 0x7f) - 0x80 : first & 0x7f);
  for (let next = at + 1; next < at + length; next++) value = value * 256n + BigInt(block[next] ?? 0);
  return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : Number.NaN;
}

export function number(block: Buffer, at: number, length: number, name: string): number {
  const value = signedNumber(block, at, length);
  if (Number.isNaN(value)) throw malformed(`a tar header has no number in its field ${name}`);
  if (value < 0) throw hostile(`a tar header has a negative ${name}`);
  return value;
}
