/**
 * Takes the bytes of /etc/ld.so.cache (the format that glibc has written since 2.2), gives library name → paths. Pure; a
 * damaged cache gives fewer entries, never an error, as for the loader itself.
 */
const MAGIC = "glibc-ld.so.cache1.1";
const HEADER_BYTES = 48;
const ENTRY_BYTES = 24;
const MAX_ENTRIES = 100_000;

/** Paths in the cache's order; those for particular processors (glibc-hwcaps) come after the ones for all. */
export function parseLibraryCache(bytes: Buffer): ReadonlyMap<string, readonly string[]> {
  const plain = new Map<string, string[]>();
  const special = new Map<string, string[]>();
  // An older table for libc5 may come first; the offsets count from the newer one.
  const start = bytes.indexOf(MAGIC, 0, "latin1");
  if (start < 0 || start + HEADER_BYTES > bytes.length) return plain;
  const cache = bytes.subarray(start);
  const count = Math.min(
    cache.readUInt32LE(MAGIC.length),
    MAX_ENTRIES,
    Math.floor((cache.length - HEADER_BYTES) / ENTRY_BYTES),
  );
  for (let index = 0; index < count; index++) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    const name = textAt(cache, cache.readUInt32LE(at + 4));
    const path = textAt(cache, cache.readUInt32LE(at + 8));
    if (name === null || !path?.startsWith("/")) continue;
    const table = cache.readBigUInt64LE(at + 16) === 0n ? plain : special;
    const paths = table.get(name);
    if (paths === undefined) table.set(name, [path]);
    else paths.push(path);
  }
  for (const [name, paths] of special) plain.set(name, [...(plain.get(name) ?? []), ...paths]);
  return plain;
}

function textAt(bytes: Buffer, offset: number): string | null {
  if (offset >= bytes.length) return null;
  const end = bytes.indexOf(0, offset);
  return end < 0 || end - offset > 4096 ? null : bytes.toString("utf8", offset, end);
}
