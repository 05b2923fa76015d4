/**
 * An OCI layout that lies open in a directory. Opens only regular files below it: a blob that is a link or a fifo is refused.
 */
import { constants, lstatSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { malformed } from "../refusal.ts";
import type { Container } from "./container.ts";

const READ_CHUNK = 1 << 20;

export function layoutDirectory(directory: string): Container {
  const size = (name: string): number | null => {
    // Names come from manifests: only what can be in a layout is looked for.
    if (!/^(?:oci-layout|index\.json|blobs\/[a-z0-9]+\/[0-9a-f]+)$/.test(name)) return null;
    const status = lstatSync(join(directory, name), { throwIfNoEntry: false });
    if (status === undefined) return null;
    if (!status.isFile()) throw malformed(`${name} is not a regular file`);
    return status.size;
  };
  return {
    has: (name) => size(name) !== null,
    size,
    stream: (name) => fileRange(join(directory, name), 0, size(name) ?? 0),
  };
}

/** A part of a file on disk, in large pieces. */
export async function* fileRange(path: string, start: number, length: number): AsyncGenerator<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const end = start + length;
    for (let at = start; at < end; ) {
      // A new buffer each time: decompression reads them in another thread.
      const buffer = Buffer.allocUnsafe(Math.min(READ_CHUNK, end - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw malformed("a file became shorter while it was read");
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
