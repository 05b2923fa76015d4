/**
 * Takes the bytes of a file, gives what the dynamic loader would read of it: interpreter, needed libraries, search paths (elf(5)).
 * Pure: bytes come from whoever calls. The file is hostile: every offset and count is checked against the file's size and against
 * fixed limits, and whatever does not fit makes the file "not an ELF file".
 */

export interface Elf {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** e_machine: 62 x86-64, 183 aarch64, 3 i386, 40 arm. */
  readonly machine: number;
  /** PT_INTERP; null for a static program or a library. */
  readonly interpreter: string | null;
  readonly needed: readonly string[];
  /** Libraries that the loader takes as well if it finds them: DT_AUXILIARY, DT_FILTER, DT_AUDIT, DT_DEPAUDIT. */
  readonly optional: readonly string[];
  readonly rpath: string | null;
  readonly runpath: string | null;
  /** e_type: 2 a program at fixed addresses, 3 a library or a position-independent program. */
  readonly fileType: number;
  readonly segments: readonly Segment[];
  /** Null for a file without a dynamic section. */
  readonly dynamic: Dynamic | null;
}

/** A program header. */
export interface Segment {
  readonly type: number;
  /** PF_X 1, PF_W 2, PF_R 4. */
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

/** What the dynamic section says beside names; addresses are as linked, 0 where there is none. */
export interface Dynamic {
  readonly soname: string | null;
  /** DT_FLAGS and DT_FLAGS_1. */
  readonly flags: number;
  readonly flags1: number;
  /** DT_BIND_NOW, the older way to say it. */
  readonly bindNow: boolean;
  /** DT_DEBUG: programs have it, libraries have not. */
  readonly debug: boolean;
  readonly symbols: number;
  readonly strings: number;
  readonly stringsSize: number;
  readonly hash: number;
  readonly gnuHash: number;
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

/** Bytes at an offset; null when the file does not reach that far, or when that part of it is not at hand. */
export type Slice = (offset: number, length: number) => Buffer | null;

/** The same for bytes in memory. */
export function classifyBytes(bytes: Buffer): Executable {
  return classify(bytes.length, (offset, length) =>
    Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= bytes.length
      ? bytes.subarray(offset, offset + length)
      : null,
  );
}

export function classify(size: number, slice: Slice): Executable {
  const start = slice(0, Math.min(size, SCRIPT_LINE)) ?? Buffer.alloc(0);
  if (start.length >= 2 && start.toString("latin1", 0, 2) === "#!") {
    const end = start.indexOf(0x0a);
    return { kind: "script", line: start.toString("utf8", 2, end < 0 ? start.length : end) };
  }
  const elf = parseElf(slice);
  return elf === null ? { kind: "other" } : { kind: "elf", elf };
}

/** Fixed-width fields in the file's own byte order. 64-bit values beyond 2^53 fit no file and come out as NaN. */
export interface Fields {
  readonly half: (at: number) => number;
  readonly word: (at: number) => number;
  /** Elf_Addr, Elf_Off and the like: 4 or 8 bytes. */
  readonly native: (at: number) => number;
}

export function fieldsOf(bytes: Buffer, bits: 32 | 64, littleEndian: boolean): Fields {
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

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const DT_HASH = 4;
const DT_SYMTAB = 6;
const DT_SONAME = 14;
const DT_DEBUG = 21;
const DT_BIND_NOW = 24;
const DT_FLAGS = 30;
const DT_GNU_HASH = 0x6ffffef5;
const DT_FLAGS_1 = 0x6ffffffb;
/** By tag: whether several names are in one text, with colons between them (ld.so(8), LD_AUDIT). */
const OPTIONAL: ReadonlyMap<number, boolean> = new Map([
  [0x7ffffffd, false],
  [0x7fffffff, false],
  [0x6ffffefc, true],
  [0x6ffffefb, true],
]);
const DT_RPATH = 15;
const DT_RUNPATH = 29;

interface Table {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly header: Fields;
  readonly segments: readonly Segment[];
}

/** The program headers alone, of a file whose beginning is at hand. */
export function parseSegments(start: Buffer): readonly Segment[] | null {
  return (
    readTable((offset, length) =>
      Number.isSafeInteger(offset) && offset >= 0 && offset + length <= start.length
        ? start.subarray(offset, offset + length)
        : null,
    )?.segments ?? null
  );
}

function readTable(slice: Slice): Table | null {
  const ident = slice(0, 16);
  if (ident === null || ident.readUInt32BE(0) !== 0x7f454c46) return null;
  const bits = ident[4] === 1 ? 32 : ident[4] === 2 ? 64 : null;
  const littleEndian = ident[5] === 1 ? true : ident[5] === 2 ? false : null;
  if (bits === null || littleEndian === null) return null;
  const bytes = slice(0, bits === 64 ? 64 : 52);
  if (bytes === null) return null;
  const header = fieldsOf(bytes, bits, littleEndian);
  const tableOffset = header.native(bits === 64 ? 32 : 28);
  const entrySize = header.half(bits === 64 ? 54 : 42);
  const count = header.half(bits === 64 ? 56 : 44);
  if (entrySize !== (bits === 64 ? 56 : 32) || count > MAX_PROGRAM_HEADERS) return null;
  const table = slice(tableOffset, entrySize * count);
  if (table === null) return null;
  const segments = readSegments(fieldsOf(table, bits, littleEndian), bits, entrySize, count);
  return { bits, littleEndian, header, segments };
}

function parseElf(slice: Slice): Elf | null {
  const table = readTable(slice);
  if (table === null) return null;
  const { bits, littleEndian, header, segments } = table;
  const interp = segments.find((segment) => segment.type === PT_INTERP);
  const interpreter = interp === undefined ? null : readInterpreter(slice, interp);
  if (interp !== undefined && interpreter === null) return null;
  const dynamic = segments.find((segment) => segment.type === PT_DYNAMIC);
  const libraries =
    dynamic === undefined ? NO_LIBRARIES : readDynamic(slice, segments, dynamic, bits, littleEndian);
  return libraries === null
    ? null
    : {
        bits,
        littleEndian,
        machine: header.half(18),
        interpreter,
        ...libraries,
        fileType: header.half(16),
        segments,
      };
}

function readSegments(fields: Fields, bits: 32 | 64, entrySize: number, count: number): readonly Segment[] {
  const segments: Segment[] = [];
  for (let index = 0; index < count; index++) {
    const at = index * entrySize;
    segments.push({
      type: fields.word(at),
      flags: fields.word(at + (bits === 64 ? 4 : 24)),
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

type Libraries = Pick<Elf, "needed" | "optional" | "rpath" | "runpath" | "dynamic">;
const NO_LIBRARIES: Libraries = { needed: [], optional: [], rpath: null, runpath: null, dynamic: null };

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
  const optional: { readonly at: number; readonly isList: boolean }[] = [];
  const values = new Map<number, number>();
  for (let at = 0; at + 2 * width <= bytes.length; at += 2 * width) {
    const tag = fields.native(at);
    const value = fields.native(at + width);
    if (tag === DT_NULL) break;
    const isList = OPTIONAL.get(tag);
    if (tag === DT_NEEDED) names.push(value);
    else if (isList !== undefined) optional.push({ at: value, isList });
    else values.set(tag, value);
    if (names.length + optional.length > MAX_NEEDED) return null;
  }
  const value = (tag: number): number => values.get(tag) ?? 0;
  const table = value(DT_STRTAB);
  const tableSize = value(DT_STRSZ);
  // The loader finds strings by address; a file is addressed through the segment that loads it.
  const home = offsetOf(segments, table);
  const text = (tag: number): string | null | undefined => {
    const index = values.get(tag);
    return index === undefined ? undefined : textAt(index);
  };
  const textAt = (index: number): string | null =>
    home === null || !(index < tableSize)
      ? null
      : terminated(slice(home + index, Math.min(MAX_STRING, tableSize - index)));
  const needed = names.map(textAt);
  const rpath = text(DT_RPATH);
  const runpath = text(DT_RUNPATH);
  if (rpath === null || runpath === null) return null;
  const found = needed.filter((name): name is string => name !== null && name !== "");
  if (found.length !== names.length) return null;
  return {
    needed: found,
    optional: optional
      .flatMap(({ at, isList }) => (isList ? (textAt(at)?.split(":") ?? []) : [textAt(at) ?? ""]))
      .filter((name) => name !== ""),
    rpath: rpath ?? null,
    runpath: runpath ?? null,
    dynamic: {
      soname: text(DT_SONAME) ?? null,
      flags: value(DT_FLAGS),
      flags1: value(DT_FLAGS_1),
      bindNow: values.has(DT_BIND_NOW),
      debug: values.has(DT_DEBUG),
      symbols: value(DT_SYMTAB),
      strings: table,
      stringsSize: tableSize,
      hash: value(DT_HASH),
      gnuHash: value(DT_GNU_HASH),
    },
  };
}

/** Where the file has what is loaded at an address; null when no segment loads it. */
export function offsetOf(segments: readonly Segment[], address: number): number | null {
  const home = segments.find(
    (segment) =>
      segment.type === PT_LOAD && segment.address <= address && address < segment.address + segment.fileSize,
  );
  return home === undefined ? null : home.offset + (address - home.address);
}
