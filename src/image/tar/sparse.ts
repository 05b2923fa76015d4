/**
 * Maps of sparse files, in GNU's four forms: takes the text or the blocks that hold them, gives the pieces that are stored. Between
 * them are zeros. Pieces must be in order and inside of the file: overlapping ones are how a small tar claims a huge one.
 */
import { hostile, malformed } from "../refusal.ts";
import { number } from "./header.ts";
import { type PaxRecords, paxNumber } from "./pax.ts";

export interface Piece {
  readonly offset: number;
  readonly length: number;
}

export interface SparseMap {
  readonly pieces: readonly Piece[];
  /** Size of the file with its holes. */
  readonly size: number;
}

export const MAX_PIECES = 65_536;

/** Checks that pieces follow each other, fit the file, and are together as long as what is stored. */
export function checkPieces(map: SparseMap, stored: number): SparseMap {
  if (map.pieces.length > MAX_PIECES) throw hostile(`a sparse file has more than ${MAX_PIECES} pieces`);
  let end = 0;
  let total = 0;
  for (const { offset, length } of map.pieces) {
    if (offset < end || offset + length > map.size) throw hostile("a sparse file has pieces that overlap");
    end = offset + length;
    total += length;
  }
  if (total !== stored) throw hostile("the pieces of a sparse file are not as long as what is stored");
  return map;
}

/** The map in an old GNU header (four pieces), or in an extension block after it (twenty-one). */
export function gnuPieces(
  block: Buffer,
  at: number,
  count: number,
): { readonly pieces: Piece[]; readonly more: boolean } {
  const pieces: Piece[] = [];
  for (let index = 0; index < count; index++) {
    const here = at + index * 24;
    if (block[here] === 0) break;
    pieces.push({
      offset: number(block, here, 12, "sparse offset"),
      length: number(block, here + 12, 12, "sparse length"),
    });
  }
  return { pieces, more: block[at + count * 24] === 1 };
}

/** What PAX records say about holes: a map of their own (0.0, 0.1), one at the beginning of the data (1.0), or nothing. */
export type PaxSparse =
  | { readonly kind: "map"; readonly map: SparseMap }
  | { readonly kind: "in-data"; readonly size: number };

/** Only forms that every reader knows: Go ignores all of the records, also the name, where it does not know the form. */
export function paxSparse(records: PaxRecords): PaxSparse | null {
  if (![...records.keys()].some((key) => key.startsWith("GNU.sparse."))) return null;
  const text = (name: string): string | null => records.get(`GNU.sparse.${name}`)?.toString("latin1") ?? null;
  const map = text("map");
  const isList = records.has("GNU.sparse.offset") || records.has("GNU.sparse.numbytes");
  const version =
    text("major") === null && text("minor") === null ? null : `${text("major")}.${text("minor")}`;
  const isKnown = version === null || version === "0.0" || version === "0.1" || version === "1.0";
  if (!isKnown || (version !== "1.0" && (map ?? "") === "" && !isList) || (map !== null && isList))
    throw hostile("a file is sparse in a way that some readers do not know");
  const [size, realSize] = ["size", "realsize"].map((name) => paxNumber(records, `GNU.sparse.${name}`));
  if (size != null && realSize != null && size !== realSize)
    throw hostile("a sparse file has two lengths, and readers disagree about which one counts");
  const whole = size ?? realSize;
  if (whole == null) throw malformed("a sparse file does not say how long it is");
  if (version === "1.0") return { kind: "in-data", size: whole };
  const numbers = isList
    ? interleave(list(records, "GNU.sparse.offset"), list(records, "GNU.sparse.numbytes"))
    : split(map ?? "");
  return { kind: "map", map: { size: whole, pieces: pair(numbers) } };
}

/** The map of form 1.0: lines of one number each, the count of pieces first. Null while the lines are incomplete. */
export function dataPieces(blocks: Buffer): readonly Piece[] | null {
  const lines = blocks.toString("latin1").split("\n");
  const count = lines.length > 1 ? wholeNumber(lines[0] ?? "") : null;
  if (count === null) return null;
  if (count > MAX_PIECES) throw hostile(`a sparse file has more than ${MAX_PIECES} pieces`);
  // The last element is what follows the last line feed: padding, or an unfinished number.
  if (lines.length - 1 < 1 + 2 * count) return null;
  return pair(lines.slice(1, 1 + 2 * count).map(wholeNumber));
}

const list = (records: PaxRecords, key: string): readonly number[] =>
  split(records.get(key)?.toString("latin1") ?? "");
const split = (text: string): readonly number[] => (text === "" ? [] : text.split(",").map(wholeNumber));

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,16}$/.test(text)) throw malformed("the map of a sparse file is not made of numbers");
  return Number(text);
}

function interleave(offsets: readonly number[], lengths: readonly number[]): readonly number[] {
  if (offsets.length !== lengths.length) throw malformed("the map of a sparse file is incomplete");
  return offsets.flatMap((offset, index) => [offset, lengths[index] ?? 0]);
}

function pair(numbers: readonly number[]): readonly Piece[] {
  if (numbers.length % 2 !== 0) throw malformed("the map of a sparse file is incomplete");
  return numbers.flatMap((offset, index) =>
    index % 2 === 0 ? [{ offset, length: numbers[index + 1] ?? 0 }] : [],
  );
}
