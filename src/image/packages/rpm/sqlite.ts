/**
 * The blobs of the table `Packages` of an SQLite file (sqlite.org/fileformat2.html), read only: no SQL, no index, no write-ahead log.
 * The file is hostile: pages are visited once each, lengths are bounded by the file.
 */

const MAGIC = "SQLite format 3\0";
const LEAF = 0x0d;
const INTERIOR = 0x05;

/** Null when it is no SQLite file, or its structure is broken. */
export function sqliteBlobs(file: Buffer): readonly Buffer[] | null {
  if (file.length < 100 || file.toString("latin1", 0, 16) !== MAGIC) return null;
  const stored = file.readUInt16BE(16);
  const size = stored === 1 ? 65_536 : stored;
  const usable = size - (file[20] ?? 0);
  if (size < 512 || (size & (size - 1)) !== 0 || usable < 480) return null;
  try {
    const reader = new Pages(file, size, usable);
    const schema = reader.rows(1).map((row) => columns(row));
    const table = schema.find(([type, name]) => text(type) === "table" && text(name) === "Packages");
    const root = integer(table?.[3]);
    if (root === null) return null;
    // The key, `hnum`, is the row's own number and stored as NULL: the blob is the other column.
    return reader.rows(root).flatMap((row) => columns(row).filter((value) => Buffer.isBuffer(value)));
  } catch (error) {
    if (error instanceof Broken || error instanceof RangeError) return null;
    throw error;
  }
}

class Broken extends Error {}

class Pages {
  readonly #file: Buffer;
  readonly #size: number;
  readonly #usable: number;
  readonly #seen = new Set<number>();

  constructor(file: Buffer, size: number, usable: number) {
    this.#file = file;
    this.#size = size;
    this.#usable = usable;
  }

  /** The records of a table, by the page of its root. */
  rows(root: number): readonly Buffer[] {
    const found: Buffer[] = [];
    let total = 0;
    const pending = [root];
    for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
      const page = this.#page(number);
      const at = number === 1 ? 100 : 0;
      const kind = page[at];
      const cells = page.readUInt16BE(at + 3);
      const pointers = at + (kind === INTERIOR ? 12 : 8);
      const children: number[] = [];
      for (let cell = 0; cell < cells; cell++) {
        const from = page.readUInt16BE(pointers + cell * 2);
        if (kind === LEAF) {
          const record = this.#payload(page, from);
          // Cells that overlap would multiply the work.
          total += record.length;
          if (total > this.#file.length) throw new Broken();
          found.push(record);
        } else if (kind === INTERIOR) children.push(page.readUInt32BE(from));
        else throw new Broken();
      }
      if (kind === INTERIOR) children.push(page.readUInt32BE(at + 8));
      pending.push(...children.toReversed());
    }
    return found;
  }

  #page(number: number): Buffer {
    const from = (number - 1) * this.#size;
    if (number < 1 || from + this.#size > this.#file.length || this.#seen.has(number)) throw new Broken();
    this.#seen.add(number);
    return this.#file.subarray(from, from + this.#size);
  }

  /** A record, with the pages that it overflows to. */
  #payload(page: Buffer, cell: number): Buffer {
    const length = varint(page, cell);
    const row = varint(page, length.end);
    const start = row.end;
    const most = this.#usable - 35;
    if (length.value <= most) return page.subarray(start, start + length.value);
    if (length.value > this.#file.length) throw new Broken();
    const least = Math.floor(((this.#usable - 12) * 32) / 255) - 23;
    const fitting = least + ((length.value - least) % (this.#usable - 4));
    const local = fitting <= most ? fitting : least;
    const parts = [page.subarray(start, start + local)];
    let missing = length.value - local;
    for (let next = page.readUInt32BE(start + local); missing > 0; ) {
      const overflow = this.#page(next);
      const part = overflow.subarray(4, 4 + Math.min(missing, this.#usable - 4));
      parts.push(part);
      missing -= part.length;
      next = overflow.readUInt32BE(0);
    }
    return Buffer.concat(parts);
  }
}

function varint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } {
  let value = 0n;
  for (let index = 0; index < 8; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) throw new Broken();
    value = (value << 7n) | BigInt(byte & 0x7f);
    if (byte < 0x80) return { value: Number(value), end: at + index + 1 };
  }
  const last = bytes[at + 8];
  if (last === undefined) throw new Broken();
  return { value: Number((value << 8n) | BigInt(last)), end: at + 9 };
}

type Value = Buffer | string | number | null;

/** Bytes of each serial type from 0 to 9. */
const WIDTHS = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

function columns(record: Buffer): readonly Value[] {
  const header = varint(record, 0);
  const values: Value[] = [];
  let from = header.value;
  for (let at = header.end; at < header.value; ) {
    const type = varint(record, at);
    at = type.end;
    const isText = type.value >= 13 && type.value % 2 === 1;
    const length =
      type.value < 10 ? (WIDTHS[type.value] ?? 0) : Math.floor((type.value - (isText ? 13 : 12)) / 2);
    if (from + length > record.length) throw new Broken();
    const bytes = record.subarray(from, from + length);
    from += length;
    if (type.value === 0 || type.value === 7) values.push(null);
    else if (type.value === 8 || type.value === 9) values.push(type.value - 8);
    else if (type.value < 7)
      values.push(length <= 6 ? bytes.readIntBE(0, length) : Number(bytes.readBigInt64BE(0)));
    else values.push(isText ? bytes.toString("utf8") : bytes);
  }
  return values;
}

const text = (value: Value | undefined): string | null => (typeof value === "string" ? value : null);
const integer = (value: Value | undefined): number | null => (typeof value === "number" ? value : null);
