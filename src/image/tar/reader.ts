/**
 * Takes the bytes of a tar file in pieces of any size, gives its entries and the content of its files as they pass. Nothing touches
 * the disk. Understood: V7, ustar, GNU (long names, sparse, binary numbers), PAX (all records that runtimes use, three sparse forms).
 *
 * Runtimes read layers with Go's archive/tar. Where that and other readers would see different files in the same bytes (a link with
 * data, a PAX size that differs, extended headers in a row), the layer is refused: otherwise what is checked is not what is run.
 */
import type { Budget } from "../budget.ts";
import type { Limits } from "../limits.ts";
import { decodeName } from "../names.ts";
import { hostile, malformed, tooLarge } from "../refusal.ts";
import type { Entry, EntryHandler, EntryType, Sink } from "./entry.ts";
import { ExtendedHeaders, type ExtendedType, isExtended, isOldDirectory } from "./extended.ts";
import { BLOCK, isZeroBlock, parseHeader, type RawHeader } from "./header.ts";
import { entryPath } from "./path.ts";
import { type PaxRecords, paxNumber } from "./pax.ts";
import { checkPieces, dataPieces, gnuPieces, MAX_PIECES, type Piece, type SparseMap } from "./sparse.ts";

/** Longest extended header, as in Go's archive/tar. */
const MAX_EXTENDED = 1 << 20;
const ZEROS = Buffer.alloc(65_536);

const TYPES: Readonly<Record<string, EntryType>> = {
  "\0": "file",
  "0": "file",
  "7": "file",
  S: "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

type State =
  | { readonly kind: "header" }
  /** The body of an extended header. */
  | { readonly kind: "extended"; readonly type: ExtendedType; readonly size: number; readonly body: Buffer[] }
  /** Extension blocks of an old GNU sparse header. */
  | { readonly kind: "gnu-sparse"; readonly entry: Entry; readonly stored: number; readonly pieces: Piece[] }
  /** A sparse map at the beginning of the data. */
  | { readonly kind: "data-sparse"; readonly entry: Entry; stored: number; readonly blocks: Buffer[] }
  | { readonly kind: "end" };

/** Where the content of a sparse file is. */
interface Holes {
  readonly pieces: readonly Piece[];
  index: number;
  position: number;
  readonly size: number;
}

export class TarReader {
  readonly #handler: EntryHandler;
  readonly #budget: Budget;
  #state: State = { kind: "header" };
  readonly #extended = new ExtendedHeaders();
  #zeroBlocks = 0;
  /** A block that began in an earlier piece. */
  readonly #partial = Buffer.alloc(BLOCK);
  #filled = 0;
  /** Content that is still to come, and the padding after it. */
  #data = 0;
  #padding = 0;
  #sink: Sink | null = null;
  #holes: Holes | null = null;
  #trailing = false;

  constructor(handler: EntryHandler, budget: Budget) {
    this.#handler = handler;
    this.#budget = budget;
  }

  /** Whether bytes other than zero follow the end of the archive. Runtimes do not look at them. */
  get hasTrailingData(): boolean {
    return this.#trailing;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#data > 0) {
        const count = Math.min(this.#data, chunk.length - at);
        this.#content(chunk.subarray(at, at + count));
        at += count;
      } else if (this.#padding > 0) {
        const count = Math.min(this.#padding, chunk.length - at);
        this.#padding -= count;
        at += count;
      } else if (this.#filled === 0 && chunk.length - at >= BLOCK) {
        this.#block(chunk.subarray(at, at + BLOCK));
        at += BLOCK;
      } else {
        const count = Math.min(BLOCK - this.#filled, chunk.length - at);
        chunk.copy(this.#partial, this.#filled, at, at + count);
        this.#filled += count;
        at += count;
        if (this.#filled === BLOCK) {
          this.#filled = 0;
          this.#block(this.#partial);
        }
      }
    }
  }

  /**
   * After the last piece. An archive may end without its two blocks of zeros, and without the padding of its last file (umoci insert writes
   * such layers, Go reads them), but not within a header or content.
   */
  end(): void {
    if (this.#data > 0 || this.#filled > 0 || this.#extended.isPending)
      throw malformed("the tar file ends in the middle of an entry");
    if (this.#state.kind !== "header" && this.#state.kind !== "end")
      throw malformed("the tar file ends in the middle of a header");
  }

  #block(block: Buffer): void {
    switch (this.#state.kind) {
      case "header":
        this.#header(block);
        return;
      case "extended":
        this.#extendedBlock(this.#state, block);
        return;
      case "gnu-sparse": {
        const { pieces, more } = gnuPieces(block, 0, 21);
        const { entry, stored, pieces: all } = this.#state;
        all.push(...pieces);
        if (all.length > MAX_PIECES) throw hostile(`a sparse file has more than ${MAX_PIECES} pieces`);
        if (!more) this.#begin(entry, stored, { pieces: all, size: entry.size });
        return;
      }
      case "data-sparse": {
        const state = this.#state;
        if (state.stored < BLOCK || state.blocks.length > 4096)
          throw malformed("the map of a sparse file does not end");
        state.blocks.push(Buffer.from(block));
        state.stored -= BLOCK;
        // A map of many blocks is parsed once for each of them: quadratic, but within the bound above it is a matter of milliseconds.
        const pieces = dataPieces(Buffer.concat(state.blocks));
        if (pieces !== null) this.#begin(state.entry, state.stored, { pieces, size: state.entry.size });
        return;
      }
      case "end":
        this.#trailing ||= !isZeroBlock(block);
    }
  }

  #header(block: Buffer): void {
    if (isZeroBlock(block)) {
      if (++this.#zeroBlocks === 2) this.#state = { kind: "end" };
      return;
    }
    if (this.#zeroBlocks > 0)
      throw hostile("an entry follows a block of zeros, where some readers stop and others go on");
    const header = parseHeader(block);
    if (isExtended(header.type)) {
      if (header.size > MAX_EXTENDED)
        throw tooLarge(`an extended header is longer than ${MAX_EXTENDED} bytes`, "path");
      this.#state = { kind: "extended", type: header.type, size: header.size, body: [] };
      // An empty one has no block.
      if (header.size === 0) this.#extendedBlock(this.#state, null);
      return;
    }
    this.#entry(header, block);
  }

  #extendedBlock(state: State & { kind: "extended" }, block: Buffer | null): void {
    if (block !== null) state.body.push(Buffer.from(block));
    if (state.body.length * BLOCK < state.size) return;
    const body = Buffer.concat(state.body).subarray(0, state.size);
    this.#state = { kind: "header" };
    this.#extended.add(state.type, body);
  }

  #entry(header: RawHeader, block: Buffer): void {
    const { name, link, stored, pax, sparse } = this.#extended.take(header);
    const text = decodeName(name);
    const type = TYPES[header.type];
    if (type === undefined)
      throw hostile(
        `${text.slice(0, 200)} has the type ${JSON.stringify(header.type)}, which runtimes do not know`,
      );
    const isDirectory = type === "directory" || isOldDirectory(header.type, name);
    if (type === "file" && text.endsWith("/") && !isDirectory)
      throw hostile(`${text.slice(0, 200)} is a file to some readers and a directory to others`);
    const isFile = type === "file" && !isDirectory;

    this.#budget.entry();
    const { limits } = this.#budget;
    const entry: Entry = {
      path: entryPath(text, limits),
      type: isDirectory ? "directory" : type,
      mode: header.mode & 0o7777,
      uid: paxNumber(pax, "uid") ?? header.uid,
      gid: paxNumber(pax, "gid") ?? header.gid,
      size: isFile ? stored : 0,
      mtime: paxTime(pax) ?? header.mtime,
      link:
        type === "hardlink"
          ? entryPath(decodeName(link), limits)
          : type === "symlink"
            ? symlinkTarget(decodeName(link), limits)
            : "",
      device: type === "character" || type === "block" ? deviceOf(header, pax) : null,
      xattrs: xattrsOf(pax, this.#budget),
    };
    this.#budget.name(entry.path.length + entry.link.length);
    if (entry.path === "" && entry.type !== "directory")
      throw hostile("an entry without a name is no directory");
    if (!isFile) {
      this.#handler(entry);
      return;
    }
    if (header.type === "S") {
      const size = header.gnu ? gnuRealSize(block) : Number.NaN;
      if (sparse !== null || Number.isNaN(size)) throw hostile(`${text} is sparse in two ways at once`);
      const { pieces, more } = gnuPieces(block, 386, 4);
      const whole = { ...entry, size };
      if (more) this.#state = { kind: "gnu-sparse", entry: whole, stored, pieces };
      else this.#begin(whole, stored, { pieces, size });
    } else if (sparse?.kind === "in-data") {
      this.#state = { kind: "data-sparse", entry: { ...entry, size: sparse.size }, stored, blocks: [] };
    } else if (sparse?.kind === "map") {
      this.#begin({ ...entry, size: sparse.map.size }, stored, sparse.map);
    } else this.#begin(entry, stored, null);
  }

  /** The content of a file begins. */
  #begin(entry: Entry, stored: number, map: SparseMap | null): void {
    this.#state = { kind: "header" };
    if (map !== null) {
      checkPieces(map, stored);
      this.#budget.holes(map.size - stored);
      // Writers end the map with an empty piece at the end of the file.
      this.#holes = {
        pieces: map.pieces.filter(({ length }) => length > 0),
        index: 0,
        position: 0,
        size: map.size,
      };
    }
    this.#sink = this.#handler(entry);
    this.#data = stored;
    this.#padding = (BLOCK - (stored % BLOCK)) % BLOCK;
    if (stored === 0) this.#finish();
  }

  #content(bytes: Buffer): void {
    this.#data -= bytes.length;
    if (this.#holes === null) this.#sink?.write(bytes);
    else this.#sparseContent(bytes, this.#holes);
    if (this.#data === 0) this.#finish();
  }

  #sparseContent(bytes: Buffer, holes: Holes): void {
    for (let at = 0; at < bytes.length; ) {
      // checkPieces: the pieces are together as long as the data.
      const piece = holes.pieces[holes.index] as Piece;
      this.#zeros(piece.offset - holes.position, holes);
      const count = Math.min(bytes.length - at, piece.offset + piece.length - holes.position);
      this.#sink?.write(bytes.subarray(at, at + count));
      holes.position += count;
      at += count;
      if (holes.position === piece.offset + piece.length) holes.index++;
    }
  }

  #zeros(count: number, holes: Holes): void {
    for (let rest = count; rest > 0; rest -= ZEROS.length)
      this.#sink?.write(rest < ZEROS.length ? ZEROS.subarray(0, rest) : ZEROS);
    if (count > 0) holes.position += count;
  }

  #finish(): void {
    if (this.#holes !== null) this.#zeros(this.#holes.size - this.#holes.position, this.#holes);
    this.#holes = null;
    this.#sink?.end();
    this.#sink = null;
  }
}

/** Go does not know star's records for large numbers; libarchive goes by them. */
function deviceOf({ major, minor }: RawHeader, pax: PaxRecords): NonNullable<Entry["device"]> {
  const isSame = (key: string, value: number): boolean => (paxNumber(pax, key) ?? value) === value;
  if (!isSame("SCHILY.devmajor", major) || !isSame("SCHILY.devminor", minor))
    throw hostile("a device has two numbers, and readers disagree about which one counts");
  return { major, minor };
}

function symlinkTarget(target: string, { path, depth }: Limits): string {
  if (target === "" || target.includes("\0")) throw malformed("a symbolic link leads nowhere");
  if (target.length > path) throw tooLarge(`a symbolic link is longer than ${path} bytes`, "path");
  // Forty such links are followed for every name that is looked up.
  if (target.split("/").length > depth + 1)
    throw tooLarge(`a symbolic link has more than ${depth} components`, "depth");
  return target;
}

function paxTime(records: PaxRecords): number | null {
  const text = records.get("mtime")?.toString("latin1");
  if (text === undefined || text === "") return null;
  if (!/^-?[0-9]{1,16}(\.[0-9]*)?$/.test(text)) throw malformed("the PAX record mtime is not a time");
  return Math.floor(Number(text));
}

const XATTR = "SCHILY.xattr.";

/** XATTR_NAME_MAX of linux/limits.h. */
const XATTR_NAME = 255;
/** The one whose value is read, and more of it than a kernel takes (facts/capabilities.ts). */
const CAPABILITY = "security.capability";
const CAPABILITY_BYTES = 64;

/**
 * The form that runtimes restore. (LIBARCHIVE.xattr.* holds the same for bsdtar, and runtimes ignore it.) Other values than that of
 * security.capability are left out: a megabyte for each entry would fill memory.
 */
function xattrsOf(records: PaxRecords, budget: Budget): ReadonlyMap<string, Buffer> | null {
  let found: Map<string, Buffer> | null = null;
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR)) continue;
    const name = key.slice(XATTR.length);
    if (name.length > XATTR_NAME)
      throw hostile("the name of an extended attribute is longer than a kernel takes");
    budget.name(name.length);
    const kept = name === CAPABILITY ? Buffer.from(value.subarray(0, CAPABILITY_BYTES)) : NO_VALUE;
    (found ??= new Map()).set(name, kept);
  }
  return found;
}

const NO_VALUE = Buffer.alloc(0);

function gnuRealSize(block: Buffer): number {
  const text = block.toString("latin1", 483, 495).replaceAll(/[ \0]/g, "");
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : binary(block);
}

function binary(block: Buffer): number {
  return ((block[483] ?? 0) & 0xc0) === 0x80 ? Number(block.readBigUInt64BE(487)) : Number.NaN;
}
