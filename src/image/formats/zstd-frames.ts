/**
 * Watches zstd data pass and understands its framing (RFC 8878, section 3): where frames and blocks begin, and how much memory each frame
 * asks a decoder for. Decodes nothing. Why: a decoder allocates the window that a frame of a few bytes declares, up to 3.75 TiB.
 */
import { malformed, tooLarge, unsupported } from "../refusal.ts";

const MAGIC = 0xfd2fb528;
/** Sixteen values; the lowest digit is free. */
const SKIPPABLE = 0x184d2a50;
const MAX_BLOCK = 128 * 1024;

/** What the next bytes are. */
type Expect =
  | { readonly kind: "magic" }
  | { readonly kind: "descriptor" }
  | { readonly kind: "frame-header"; readonly descriptor: number }
  | { readonly kind: "block-header" }
  | { readonly kind: "skip-size" };

export class ZstdFrames {
  readonly #window: number;
  #expect: Expect = { kind: "magic" };
  readonly #header = Buffer.alloc(16);
  #filled = 0;
  #needed = 4;
  /** Bytes of a block, a checksum or a skippable frame, to be passed over. */
  #skip = 0;
  #checksum = false;
  #blocks = 0;

  constructor(window: number) {
    this.#window = window;
  }

  /** Gives the chunk back in pieces that hold so few blocks that a decoder cannot make more than 8 MiB of one. */
  *watch(chunk: Buffer): Generator<Buffer> {
    let given = 0;
    for (let at = 0; at < chunk.length; ) {
      if (this.#blocks >= 64) {
        this.#blocks = 0;
        yield chunk.subarray(given, at);
        given = at;
      }
      if (this.#skip > 0) {
        const count = Math.min(this.#skip, chunk.length - at);
        this.#skip -= count;
        at += count;
        continue;
      }
      const count = Math.min(this.#needed - this.#filled, chunk.length - at);
      chunk.copy(this.#header, this.#filled, at, at + count);
      this.#filled += count;
      at += count;
      if (this.#filled < this.#needed) continue;
      this.#filled = 0;
      this.#step(this.#expect);
    }
    yield chunk.subarray(given);
  }

  end(): void {
    if (this.#expect.kind !== "magic" || this.#filled > 0 || this.#skip > 0)
      throw malformed("the zstd data ends in the middle of a frame");
  }

  #step(expect: Expect): void {
    switch (expect.kind) {
      case "magic": {
        const magic = this.#header.readUInt32LE(0);
        if (magic === MAGIC) this.#next({ kind: "descriptor" }, 1);
        else if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) this.#next({ kind: "skip-size" }, 4);
        else throw malformed("zstd data is followed by something else");
        return;
      }
      case "skip-size":
        this.#skip = this.#header.readUInt32LE(0);
        this.#next({ kind: "magic" }, 4);
        return;
      case "descriptor":
        this.#descriptor(this.#header[0] ?? 0);
        return;
      case "frame-header":
        this.#frameHeader(expect.descriptor);
        this.#next({ kind: "block-header" }, 3);
        return;
      case "block-header": {
        const header = this.#header.readUIntLE(0, 3);
        const size = header >> 3;
        const type = (header >> 1) & 3;
        this.#blocks++;
        if (type === 3 || size > MAX_BLOCK) throw malformed("a zstd block is of no known type or too long");
        // A run (type 1) is one byte, repeated.
        this.#skip = type === 1 ? 1 : size;
        if ((header & 1) === 0) this.#next({ kind: "block-header" }, 3);
        else {
          this.#skip += this.#checksum ? 4 : 0;
          this.#next({ kind: "magic" }, 4);
        }
      }
    }
  }

  #next(expect: Expect, needed: number): void {
    this.#expect = expect;
    this.#needed = needed;
  }

  #descriptor(descriptor: number): void {
    if ((descriptor & 0x08) !== 0) throw malformed("a zstd frame uses a reserved bit");
    if ((descriptor & 0x03) !== 0)
      throw unsupported("a zstd frame needs a dictionary", "compress the layer without one");
    this.#checksum = (descriptor & 0x04) !== 0;
    const single = (descriptor & 0x20) !== 0;
    this.#next({ kind: "frame-header", descriptor }, (single ? 0 : 1) + sizeBytes(descriptor));
    if (this.#needed === 0) throw malformed("a zstd frame has no header");
  }

  #frameHeader(descriptor: number): void {
    const single = (descriptor & 0x20) !== 0;
    const count = sizeBytes(descriptor);
    const at = single ? 0 : 1;
    let window: bigint;
    if (single) {
      // The window is the whole content.
      const stored =
        count === 8 ? this.#header.readBigUInt64LE(at) : BigInt(this.#header.readUIntLE(at, count));
      window = count === 2 ? stored + 256n : stored;
    } else {
      const byte = this.#header[0] ?? 0;
      const base = 1n << BigInt(10 + (byte >> 3));
      window = base + (base / 8n) * BigInt(byte & 7);
    }
    if (window > BigInt(this.#window))
      throw tooLarge(`a zstd frame asks for a window of ${window} bytes`, "window");
  }
}

/** How long the field Frame_Content_Size is. */
function sizeBytes(descriptor: number): number {
  const flag = descriptor >> 6;
  return flag === 0 ? ((descriptor & 0x20) !== 0 ? 1 : 0) : 2 ** flag;
}
