/**
 * Takes a file, gives what the dynamic loader would read of it: interpreter, needed libraries, search paths (elf(5)).
 * Never runs the file, never reads more than the tables in question. The file is hostile: every offset and count is
 * checked against the file's size and against fixed limits, and whatever does not fit makes the file "not an ELF file".
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { errorCode } from "./files.ts";

export interface Elf {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** e_machine: 62 x86-64, 183 aarch64, 3 i386, 40 arm. */
  readonly machine: number;
  /** PT_INTERP; null for a static program or a library. */
  readonly interpreter: string | null;
  readonly needed: readonly string[];
  readonly rpath: string | null;
  readonly runpath: string | null;
}

/** What a file turned out to be. `script` carries the first line without its `#!`. */
export type Executable =
  | { readonly kind: "elf"; readonly elf: Elf }
  | { readonly kind: "script"; readonly line: string }
  | { readonly kind: "other" }
  | { readonly kind: "unreadable" };

const MAX_PROGRAM_HEADERS = 512;
const MAX_DYNAMIC_BYTES = 1 << 20;
const MAX_STRING = 4096;
const MAX_NEEDED = 1024;
/** binfmt_script reads this much of a script's first line (BINPRM_BUF_SIZE, Linux 5.1 and later). */
const SCRIPT_LINE = 256;

/** Bytes at an offset; null when the file does not reach that far. */
type Slice = (offset: number, length: number) => Buffer | null;

/** Looks at a regular file; anything else, and what the caller may not open, is "unreadable". */
export function readExecutable(path: string): Executable {
  let fd: number;
  try {
    // O_NONBLOCK: opening a fifo must not wait for its other end.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (errorCode(error) === "EMFILE") throw error;
    return { kind: "unreadable" };
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) return { kind: "unreadable" };
    return classify(status.size, (offset, length) => {
      if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > status.size)
        return null;
      const bytes = Buffer.alloc(length);
      for (let done = 0; done < length; ) {
        const count = readSync(fd, bytes, done, length - done, offset + done);
        // Truncated since fstat: treat as what it is now, a file that ends early.
        if (count === 0) return null;
        done += count;
      }
      return bytes;
    });
  } finally {
    closeSync(fd);
  }
}

/** The same for bytes in memory. */
export function classifyBytes(bytes: Buffer): Executable {
  return classify(bytes.length, (offset, length) =>
    Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= bytes.length
      ? bytes.subarray(offset, offset + length)
      : null,
  );
}

function classify(size: number, slice: Slice): Executable {
  const start = slice(0, Math.min(size, SCRIPT_LINE)) ?? Buffer.alloc(0);
  if (start.length >= 2 && start.toString("latin1", 0, 2) === "#!") {
    const end = start.indexOf(0x0a);
    return { kind: "script", line: start.toString("utf8", 2, end < 0 ? start.length : end) };
  }
  const elf = parseElf(slice);
  return elf === null ? { kind: "other" } : { kind: "elf", elf };
}

/** Fixed-width fields in the file's own byte order. 64-bit values beyond 2^53 fit no file and come out as NaN. */
interface Fields {
  readonly half: (at: number) => number;
  readonly word: (at: number) => number;
  /** Elf_Addr, Elf_Off and the like: 4 or 8 bytes. */
  readonly native: (at: number) => number;
}

function fieldsOf(bytes: Buffer, bits: 32 | 64, littleEndian: boolean): Fields {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number): number => view.getUint32(at, littleEndian);
  return {
    half: (at) => view.getUint16(at, littleEndian),
    word,
    native: (at) => {
      if (bits === 32) return word(at);
      const value = view.getBigUint64(at, littleEndian);
      return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Number.NaN;
    },
  };
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const DT_RPATH = 15;
const DT_RUNPATH = 29;

function parseElf(slice: Slice): Elf | null {
  const ident = slice(0, 16);
  if (ident === null || ident.readUInt32BE(0) !== 0x7f454c46) return null;
  const bits = ident[4] === 1 ? 32 : ident[4] === 2 ? 64 : null;
  const littleEndian = ident[5] === 1 ? true : ident[5] === 2 ? false : null;
  if (bits === null || littleEndian === null) return null;
  const header = slice(0, bits === 64 ? 64 : 52);
  if (header === null) return null;
  const fields = fieldsOf(header, bits, littleEndian);
  const tableOffset = fields.native(bits === 64 ? 32 : 28);
  const entrySize = fields.half(bits === 64 ? 54 : 42);
  const count = fields.half(bits === 64 ? 56 : 44);
  if (entrySize !== (bits === 64 ? 56 : 32) || count > MAX_PROGRAM_HEADERS) return null;
  const table = slice(tableOffset, entrySize * count);
  if (table === null) return null;

  const segments = readSegments(fieldsOf(table, bits, littleEndian), bits, entrySize, count);
  const interp = segments.find((segment) => segment.type === PT_INTERP);
  const interpreter = interp === undefined ? null : readInterpreter(slice, interp);
  if (interp !== undefined && interpreter === null) return null;
  const dynamic = segments.find((segment) => segment.type === PT_DYNAMIC);
  const libraries =
    dynamic === undefined ? NO_LIBRARIES : readDynamic(slice, segments, dynamic, bits, littleEndian);
  return libraries === null
    ? null
    : { bits, littleEndian, machine: fields.half(18), interpreter, ...libraries };
}

function readSegments(fields: Fields, bits: 32 | 64, entrySize: number, count: number): readonly Segment[] {
  const segments: Segment[] = [];
  for (let index = 0; index < count; index++) {
    const at = index * entrySize;
    segments.push({
      type: fields.word(at),
      offset: fields.native(at + (bits === 64 ? 8 : 4)),
      address: fields.native(at + (bits === 64 ? 16 : 8)),
      fileSize: fields.native(at + (bits === 64 ? 32 : 16)),
    });
  }
  return segments;
}

function readInterpreter(slice: Slice, segment: Segment): string | null {
  if (!(segment.fileSize > 1 && segment.fileSize <= MAX_STRING)) return null;
  return terminated(slice(segment.offset, segment.fileSize));
}

/** The text before the first NUL; null without one. */
function terminated(bytes: Buffer | null): string | null {
  const end = bytes?.indexOf(0) ?? -1;
  return bytes === null || end < 0 ? null : bytes.toString("utf8", 0, end);
}

type Libraries = Pick<Elf, "needed" | "rpath" | "runpath">;
const NO_LIBRARIES: Libraries = { needed: [], rpath: null, runpath: null };

function readDynamic(
  slice: Slice,
  segments: readonly Segment[],
  dynamic: Segment,
  bits: 32 | 64,
  littleEndian: boolean,
): Libraries | null {
  if (!(dynamic.fileSize >= 0 && dynamic.fileSize <= MAX_DYNAMIC_BYTES)) return null;
  const bytes = slice(dynamic.offset, dynamic.fileSize);
  if (bytes === null) return null;
  const fields = fieldsOf(bytes, bits, littleEndian);
  const width = bits / 8;
  const names: number[] = [];
  let table = 0;
  let tableSize = 0;
  let rpath: number | null = null;
  let runpath: number | null = null;
  for (let at = 0; at + 2 * width <= bytes.length; at += 2 * width) {
    const tag = fields.native(at);
    const value = fields.native(at + width);
    if (tag === DT_NULL) break;
    if (tag === DT_NEEDED) names.push(value);
    else if (tag === DT_STRTAB) table = value;
    else if (tag === DT_STRSZ) tableSize = value;
    else if (tag === DT_RPATH) rpath = value;
    else if (tag === DT_RUNPATH) runpath = value;
    if (names.length > MAX_NEEDED) return null;
  }
  // The loader finds strings by address; a file is addressed through the segment that loads it.
  const home = segments.find(
    (segment) =>
      segment.type === PT_LOAD && segment.address <= table && table < segment.address + segment.fileSize,
  );
  const text = (index: number): string | null => {
    if (home === undefined || !(index < tableSize)) return null;
    return terminated(
      slice(home.offset + (table - home.address) + index, Math.min(MAX_STRING, tableSize - index)),
    );
  };
  const needed = names.map(text);
  const rpathText = rpath === null ? null : text(rpath);
  const runpathText = runpath === null ? null : text(runpath);
  if ((rpath !== null && rpathText === null) || (runpath !== null && runpathText === null)) return null;
  const found = needed.filter((name): name is string => name !== null && name !== "");
  return found.length === names.length ? { needed: found, rpath: rpathText, runpath: runpathText } : null;
}
