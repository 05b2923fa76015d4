/**
 * The values of a Berkeley DB hash file (db_page.h of version 4 and 5), which RPM used until 4.15: Packages. Values are long, so each is on a
 * chain of overflow pages. Both byte orders; pages are visited once.
 */
const HASH_MAGIC = 0x061561;
const PAGE_HEADER = 26;
const TYPE_HASH_META = 8;
const TYPES_HASH = new Set([2, 13]);
const TYPE_OVERFLOW = 7;
const ITEM_INLINE = 1;
const ITEM_OFF_PAGE = 3;

/** Null when it is no such file, or its structure is broken. */
export function bdbValues(file: Buffer): readonly Buffer[] | null {
  if (file.length < 512) return null;
  const little = file.readUInt32LE(12) === HASH_MAGIC;
  if (!little && file.readUInt32BE(12) !== HASH_MAGIC) return null;
  const word = (bytes: Buffer, at: number): number =>
    little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  const half = (bytes: Buffer, at: number): number =>
    little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
  const size = word(file, 20);
  const encrypted = file[24] !== 0;
  if (encrypted || file[25] !== TYPE_HASH_META || size < 512 || size > 65_536 || (size & (size - 1)) !== 0)
    return null;
  const pages = Math.floor(file.length / size);
  const page = (number: number): Buffer => file.subarray(number * size, (number + 1) * size);
  const seen = new Set<number>();

  const chain = (first: number, length: number): Buffer | null => {
    const parts: Buffer[] = [];
    let missing = length;
    for (let number = first; missing > 0; ) {
      if (number <= 0 || number >= pages || seen.has(number)) return null;
      seen.add(number);
      const bytes = page(number);
      if (bytes[25] !== TYPE_OVERFLOW) return null;
      const part = bytes.subarray(PAGE_HEADER, PAGE_HEADER + Math.min(missing, half(bytes, 22)));
      if (part.length === 0) return null;
      parts.push(part);
      missing -= part.length;
      number = word(bytes, 16);
    }
    return Buffer.concat(parts);
  };

  const values: Buffer[] = [];
  let total = 0;
  for (let number = 1; number < pages; number++) {
    const bytes = page(number);
    if (!TYPES_HASH.has(bytes[25] ?? 0)) continue;
    const count = half(bytes, 20);
    if (PAGE_HEADER + count * 2 > size) return null;
    // Keys and values take turns; an item ends where the one before it begins.
    for (let item = 1; item < count; item += 2) {
      const from = half(bytes, PAGE_HEADER + item * 2);
      const end = half(bytes, PAGE_HEADER + (item - 1) * 2);
      const type = bytes[from];
      if (type === ITEM_INLINE) {
        // Items that overlap would multiply the work.
        total += Math.max(0, end - from);
        if (total > file.length) return null;
        values.push(bytes.subarray(from + 1, end));
      } else if (type === ITEM_OFF_PAGE && from + 12 <= size) {
        const length = word(bytes, from + 8);
        const value = length > file.length ? null : chain(word(bytes, from + 4), length);
        if (value === null) return null;
        values.push(value);
      } else return null;
    }
  }
  return values;
}
