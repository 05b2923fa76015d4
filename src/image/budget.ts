/** What has been read of an image so far, against its limits. One for all layers: ten layers do not get ten times as much. */
import type { Limits } from "./limits.ts";
import { tooLarge } from "./refusal.ts";

/** With the usual ratio, about 3 GiB of holes. */
const HOLES_COUNT_FROM = 16 * 2 ** 20;

export class Budget {
  readonly limits: Limits;
  /** Files whose bytes somebody asks for, beside those that facts are read from. */
  readonly wanted: ReadonlySet<string>;
  #entries = 0;
  #names = 0;
  #unpacked = 0;
  #holes = 0;
  #kept = 0;

  constructor(limits: Limits, wanted: ReadonlySet<string> = new Set()) {
    this.limits = limits;
    this.wanted = wanted;
  }

  get unpacked(): number {
    return this.#unpacked;
  }

  entry(): void {
    if (++this.#entries > this.limits.entries)
      throw tooLarge(`the image has more than ${this.limits.entries} entries`, "entries");
  }

  /** A name, a target or an attribute's name of this length stays in memory. */
  name(length: number): void {
    this.#names += length;
    if (this.#names > this.limits.names)
      throw tooLarge(`the names in the image are longer than ${this.limits.names} bytes together`, "names");
  }

  unpack(bytes: number): void {
    this.#unpacked += bytes;
    if (this.#unpacked > this.limits.unpacked)
      throw tooLarge(`the image unpacks to more than ${this.limits.unpacked} bytes`, "unpacked");
  }

  /** Zeros that a sparse file says it has: they cost no bytes of the archive, and as much time as others. */
  holes(bytes: number): void {
    this.unpack(bytes);
    this.#holes += bytes;
    if (this.#holes > HOLES_COUNT_FROM * this.limits.ratio)
      throw tooLarge(`the image has sparse files with ${this.#holes} bytes of holes`, "ratio");
  }

  /** Whether so many bytes of content may be kept in memory as well. */
  keep(bytes: number): boolean {
    if (this.#kept + bytes > this.limits.kept) return false;
    this.#kept += bytes;
    return true;
  }
}
