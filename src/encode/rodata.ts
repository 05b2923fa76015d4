/**
 * The read-only data of an image: the program's constants first, then the texts that lowering needs. Gives addresses at
 * once, bytes at the end.
 */
import { bug } from "../problems.ts";
import type { Data } from "../program/program.ts";
import { RODATA_BASE } from "./elf.ts";

const UTF8 = new TextEncoder();

export interface Span {
  readonly address: number;
  /** Bytes, without a terminating NUL. */
  readonly length: number;
}

export class Rodata {
  readonly #chunks: Uint8Array[] = [];
  readonly #named = new Map<string, number>();
  readonly #texts = new Map<string, Span>();
  #end = RODATA_BASE;

  constructor(data: readonly Data[]) {
    const words: {
      readonly bytes: Uint8Array;
      readonly words: Extract<Data, { words: unknown }>["words"];
    }[] = [];
    for (const item of data) {
      if (this.#named.has(item.name)) bug(`constant ${item.name} is defined twice`);
      if ("text" in item) this.#named.set(item.name, this.text(item.text).address);
      else if ("hex" in item) this.#named.set(item.name, this.bytes(fromHex(item.hex), item.align ?? 8));
      else {
        const bytes = new Uint8Array(item.words.length * 8);
        this.#named.set(item.name, this.bytes(bytes, 8));
        words.push({ bytes, words: item.words });
      }
    }
    // Words may point forward, so they are filled when every constant has its address.
    for (const { bytes, words: values } of words) {
      const view = new DataView(bytes.buffer);
      for (const [index, value] of values.entries())
        view.setBigUint64(
          index * 8,
          BigInt.asUintN(64, typeof value === "bigint" ? value : BigInt(this.addressOf(value.addressOf))),
          true,
        );
    }
  }

  /** Address of a named constant. */
  addressOf(name: string): number {
    return this.#named.get(name) ?? bug(`constant ${name} is not defined`);
  }

  /** Place bytes; they may still be filled until `finish`. */
  bytes(bytes: Uint8Array, align = 1): number {
    const address = Math.ceil(this.#end / align) * align;
    if (address > this.#end) this.#chunks.push(new Uint8Array(address - this.#end));
    this.#chunks.push(bytes);
    this.#end = address + bytes.length;
    return address;
  }

  /** Place UTF-8 text with a terminating NUL, once however often it is asked for. */
  text(text: string): Span {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (text.includes("\0")) bug(`the text ${JSON.stringify(text)} contains a NUL`);
    const bytes = UTF8.encode(`${text}\0`);
    const span = { address: this.bytes(bytes), length: bytes.length - 1 };
    this.#texts.set(text, span);
    return span;
  }

  /** Place texts one after the other, each with a NUL, the whole ended by an empty one. */
  list(texts: readonly string[]): number {
    for (const text of texts) if (text.includes("\0")) bug(`the text ${JSON.stringify(text)} contains a NUL`);
    return this.bytes(UTF8.encode([...texts, "", ""].join("\0")));
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#end - RODATA_BASE);
    let offset = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, offset);
      offset += chunk.length;
    }
    return bytes;
  }
}

function fromHex(hex: string): Uint8Array {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(hex)) bug(`"${hex.slice(0, 40)}" is not hex`);
  const bytes = new Uint8Array(hex.length / 2);
  for (let index = 0; index < bytes.length; index += 1)
    bytes[index] = Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16);
  return bytes;
}

export function utf8Length(text: string): number {
  return UTF8.encode(text).length;
}
