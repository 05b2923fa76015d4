/**
 * A tar file as a container: an OCI archive, a docker-archive, or the root file system itself. First its table of contents is made, by
 * reading headers and seeking past contents; then files are read at their offsets. A compressed archive cannot be sought in: it is
 * unpacked again for each file that is wanted, in memory, never to disk.
 */
import { readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { Budget } from "../budget.ts";
import { hostile } from "../refusal.ts";
import { type ReadAt, readTable, type TableEntry } from "../tar/table.ts";
import type { Container } from "./container.ts";
import { decompress, sniffCompression } from "./decompress.ts";
import { fileRange } from "./layout-directory.ts";

export interface Archive extends Container {
  /** The archive's own bytes: for a tar that is a root file system. */
  readonly stored: () => AsyncIterable<Buffer>;
}

/** How many times what an image may unpack to is unpacked in all before layers are read from it: hundreds of layers would take days. */
const MOST_PASSES = 8;

/** `size`: of the file on disk. `handle` is only used here; streams open the file again. What an outer compression unpacks to counts once, as layers. */
export async function openArchive(
  path: string,
  handle: FileHandle,
  size: number,
  budget: Budget,
): Promise<Archive> {
  const start = Buffer.alloc(6);
  const { bytesRead } = await handle.read(start, 0, 6, 0);
  const stored = (): AsyncIterable<Buffer> => fileRange(path, 0, size);
  // Of a compressed archive: unpacked from its beginning for every file.
  const passes = new Budget({ ...budget.limits, unpacked: budget.limits.unpacked * MOST_PASSES });
  const plain = sniffCompression(start.subarray(0, bytesRead)) === "none";
  const table = plain
    ? await readTable(size, (at, length) => {
        const bytes = Buffer.alloc(length);
        return bytes.subarray(0, readSync(handle.fd, bytes, 0, length, at));
      })
    : await readCompressedTable(decompress(stored(), passes));

  const find = (name: string, depth = 0): TableEntry | null => {
    const entry = table.get(name);
    if (entry === undefined) return null;
    if (entry.link === null) return entry;
    // Older versions of docker save link equal layers to each other.
    if (depth > 8) throw hostile(`${name} is a link that leads in a circle`);
    return find(entry.link, depth + 1);
  };
  return {
    has: (name) => find(name) !== null,
    size: (name) => find(name)?.size ?? null,
    stream: (name) => {
      const entry = find(name);
      if (entry === null) return fileRange(path, 0, 0);
      return plain
        ? fileRange(path, entry.offset, entry.size)
        : part(decompress(stored(), passes), entry.offset, entry.size);
    },
    stored,
  };
}

async function readCompressedTable(
  unpacked: AsyncGenerator<Buffer>,
): Promise<ReadonlyMap<string, TableEntry>> {
  try {
    return await readTable(null, sequential(unpacked));
  } finally {
    await unpacked.return(undefined);
  }
}

/** Positional reads of a stream, which may only go forward. */
function sequential(source: AsyncGenerator<Buffer>): ReadAt {
  let chunk: Buffer = Buffer.alloc(0);
  let position = 0;
  return async (at: number, length: number): Promise<Buffer> => {
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      const end = position + chunk.length;
      const from = at + (length - missing);
      if (from < end) {
        const piece = chunk.subarray(from - position, from - position + missing);
        parts.push(Buffer.from(piece));
        missing -= piece.length;
        continue;
      }
      position = end;
      const next = await source.next();
      if (next.done === true) break;
      chunk = next.value;
    }
    return Buffer.concat(parts);
  };
}

async function* part(chunks: AsyncIterable<Buffer>, start: number, length: number): AsyncGenerator<Buffer> {
  let position = 0;
  const end = start + length;
  for await (const chunk of chunks) {
    const from = Math.max(start - position, 0);
    const to = Math.min(end - position, chunk.length);
    if (from < to) yield chunk.subarray(from, to);
    position += chunk.length;
    if (position >= end) return;
  }
}
