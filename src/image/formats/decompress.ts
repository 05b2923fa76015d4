/**
 * Takes stored bytes, gives them unpacked. What they are is told by their first bytes: media types are labels, and labels lie. Window and
 * ratio are bounded, and nothing may follow the data: some readers would read on there.
 */
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { Decompress } from "fzstd";
import type { Budget } from "../budget.ts";
import { RATIO_COUNTS_FROM } from "../limits.ts";
import { hostile, malformed, Refusal, tooLarge, unsupported } from "../refusal.ts";
import { ZstdFrames } from "./zstd-frames.ts";

export type Compression = "none" | "gzip" | "zstd";

const OUTPUT_CHUNK = 256 * 1024;

/** By the first bytes; at least six are needed to be sure. */
export function sniffCompression(start: Buffer): Compression {
  if (start.length >= 2 && start.readUInt16BE(0) === 0x1f8b) return "gzip";
  if (start.length >= 4) {
    const magic = start.readUInt32LE(0);
    if (magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50) return "zstd";
  }
  const other =
    start.toString("latin1", 0, 6) === "\u00FD7zXZ\0"
      ? "xz"
      : start.toString("latin1", 0, 3) === "BZh"
        ? "bzip2"
        : null;
  if (other !== null)
    throw unsupported(
      `it is compressed with ${other}`,
      "images use gzip or zstd: convert it with skopeo copy",
    );
  return "none";
}

/** Unpacks. The pieces that come out belong to the decoder: whoever wants to keep one copies it before asking for the next. */
export async function* decompress(stored: AsyncIterable<Buffer>, budget: Budget): AsyncGenerator<Buffer> {
  let read = 0;
  let unpacked = 0;
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of stored) {
      read += chunk.length;
      yield chunk;
    }
  };
  const chunks = counted();
  let compression: Compression = "none";
  try {
    const { start, all } = await peek(chunks);
    compression = sniffCompression(start);
    const decoded =
      compression === "none" ? all : compression === "gzip" ? gunzip(all, () => read) : unzstd(all, budget);
    for await (const chunk of decoded) {
      unpacked += chunk.length;
      budget.unpack(chunk.length);
      if (unpacked > RATIO_COUNTS_FROM && unpacked > read * budget.limits.ratio)
        throw tooLarge(
          `it unpacks to more than ${budget.limits.ratio} times its size, as a decompression bomb does`,
          "ratio",
        );
      yield chunk;
    }
  } catch (error) {
    throw asRefusal(error, compression);
  } finally {
    // However this ends, what is read from is closed.
    await chunks.return(undefined);
  }
}

/** A decoder's own error, in our words. */
function asRefusal(error: unknown, compression: Compression): unknown {
  if (error instanceof Refusal || !(error instanceof Error)) return error;
  const code = "code" in error ? error.code : undefined;
  const isDecoders =
    (typeof code === "string" && /^(Z_|ZSTD_|ERR_ZSTD)/.test(code)) ||
    // fzstd numbers its errors, and a broken table can lead it out of an array.
    (compression === "zstd" &&
      (typeof code === "number" || error instanceof RangeError || error instanceof TypeError));
  return isDecoders ? malformed(`its ${compression} data is damaged (${error.message})`) : error;
}

async function* gunzip(chunks: AsyncIterable<Buffer>, read: () => number): AsyncGenerator<Buffer> {
  const engine = zlib.createGunzip({ chunkSize: OUTPUT_CHUNK });
  const tail = "bytes follow its gzip data, where some readers stop and others go on";
  try {
    yield* through(chunks, engine);
  } catch (error) {
    // It stops at what it takes for padding, and lets go of what it reads from.
    throw error instanceof Error && error.name === "AbortError" ? hostile(tail) : error;
  }
  if (engine.bytesWritten !== read()) throw hostile(tail);
}

/** Newer Nodes have a decoder of their own, in a thread and several times as fast. */
const createNative = (zlib as { readonly createZstdDecompress?: () => NodeJS.ReadWriteStream })
  .createZstdDecompress;

async function* unzstd(chunks: AsyncIterable<Buffer>, budget: Budget): AsyncGenerator<Buffer> {
  const frames = new ZstdFrames(budget.limits.window);
  const watched = async function* (): AsyncGenerator<Buffer> {
    // Before the decoder sees a frame, its window is known to be acceptable.
    for await (const chunk of chunks) yield* frames.watch(chunk);
    frames.end();
  };
  if (createNative !== undefined) {
    yield* through(watched(), createNative());
    return;
  }
  let out: Buffer[] = [];
  const decoder = new Decompress((bytes) => {
    if (bytes.length > 0) out.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  });
  const taken = (): readonly Buffer[] => {
    const ready = out;
    out = [];
    return ready;
  };
  for await (const chunk of watched()) {
    decoder.push(chunk);
    yield* taken();
  }
  // It holds a short frame back until it knows that nothing follows.
  decoder.push(new Uint8Array(0), true);
  yield* taken();
}

async function* through(
  chunks: AsyncIterable<Buffer>,
  engine: NodeJS.ReadWriteStream,
): AsyncGenerator<Buffer> {
  // What goes wrong comes out of the loop below as well: it must not be reported a second time as unhandled.
  const pumped = pipeline(chunks, engine).then(
    () => null,
    (error: unknown) => error,
  );
  for await (const chunk of engine) yield chunk as Buffer;
  const error = await pumped;
  if (error !== null) throw error;
}

/** The first bytes, without losing them. */
async function peek(
  chunks: AsyncGenerator<Buffer>,
): Promise<{ readonly start: Buffer; readonly all: AsyncIterable<Buffer> }> {
  const held: Buffer[] = [];
  let length = 0;
  while (length < 6) {
    const next = await chunks.next();
    if (next.done === true) break;
    held.push(next.value);
    length += next.value.length;
  }
  const all = async function* (): AsyncGenerator<Buffer> {
    yield* held;
    yield* chunks;
  };
  return { start: Buffer.concat(held), all: all() };
}

/** All of a small document, unpacked. */
export async function decompressWhole(stored: Buffer, budget: Budget): Promise<Buffer> {
  const parts: Buffer[] = [];
  const once = async function* (): AsyncGenerator<Buffer> {
    yield stored;
  };
  for await (const bytes of decompress(once(), budget)) parts.push(Buffer.from(bytes));
  return Buffer.concat(parts);
}
