/**
 * Takes the extended headers before an entry (PAX, GNU long names) and its own header, gives its name, its link and the length of what is
 * stored. Names decide which file is judged: whatever Go's archive/tar, GNU tar and libarchive read differently is refused here, for
 * layers and for the archive around them alike.
 */
import { decodeName } from "../names.ts";
import { hostile } from "../refusal.ts";
import type { RawHeader } from "./header.ts";
import { type PaxRecords, parsePax, paxNumber } from "./pax.ts";
import { type PaxSparse, paxSparse } from "./sparse.ts";

export type ExtendedType = "x" | "g" | "L" | "K";

export const isExtended = (type: string): type is ExtendedType =>
  type === "x" || type === "g" || type === "L" || type === "K";

/** Before POSIX a directory was a file whose name ends so. */
export const isOldDirectory = (type: string, name: Buffer): boolean => type === "\0" && name.at(-1) === 0x2f;

export interface Described {
  readonly name: Buffer;
  readonly link: Buffer;
  /** Bytes after the header. */
  readonly stored: number;
  readonly pax: PaxRecords;
  readonly sparse: PaxSparse | null;
}

/** What has no content: Go takes the next header right after this one, whatever its size says; others skip that much. */
const WITHOUT_DATA = /^[1-6]$/;

export class ExtendedHeaders {
  #pax: PaxRecords | null = null;
  #longName: Buffer | null = null;
  #longLink: Buffer | null = null;

  /** Whether an entry must follow. */
  get isPending(): boolean {
    return this.#pax !== null || this.#longName !== null || this.#longLink !== null;
  }

  add(type: ExtendedType, body: Buffer): void {
    switch (type) {
      case "g":
        // Go gives global records to its caller as an entry, and forgets what came before them.
        if (this.isPending)
          throw hostile("a global PAX header stands between an extended header and its entry");
        checkGlobal(body);
        return;
      case "x":
        if (this.#pax !== null) throw twice();
        this.#pax = parsePax(body);
        return;
      case "L":
        if (this.#longName !== null) throw twice();
        this.#longName = longText(body);
        return;
      case "K":
        if (this.#longLink !== null) throw twice();
        this.#longLink = longText(body);
    }
  }

  /** The entry that they are about; after it they count no more. */
  take(header: RawHeader): Described {
    const pax = this.#pax ?? NO_RECORDS;
    const sparse = paxSparse(pax);
    const name =
      agree("name", this.#longName, textOf(pax, "GNU.sparse.name") ?? textOf(pax, "path")) ?? header.name;
    const link = agree("link", this.#longLink, textOf(pax, "linkpath")) ?? header.link;
    const stored = paxNumber(pax, "size") ?? header.size;
    this.#pax = null;
    this.#longName = null;
    this.#longLink = null;
    const isFile = !WITHOUT_DATA.test(header.type) && !isOldDirectory(header.type, name);
    if (sparse !== null && !isFile) throw hostile("something that is no file is said to be sparse");
    if (!isFile && stored !== 0)
      throw hostile(
        `${decodeName(name.subarray(0, 200))} is no file and has data: readers disagree about where the next entry begins`,
      );
    return { name, link, stored, pax, sparse };
  }
}

const NO_RECORDS: PaxRecords = new Map();
const twice = (): Error => hostile("an entry has two extended headers of the same kind");

function checkGlobal(body: Buffer): void {
  // GNU tar applies them to all entries. A comment (git archive) means the same to everybody.
  const meaningful = [...parsePax(body).keys()].filter((key) => key !== "comment");
  if (meaningful.length > 0)
    throw hostile(`a global PAX header sets ${meaningful.join(", ")}, which readers treat differently`);
}

/** An empty value takes the record back (pax(1)): to some readers that means the header's own name, to others none. */
function textOf(pax: PaxRecords, key: string): Buffer | null {
  const value = pax.get(key) ?? null;
  if (value?.length === 0) throw hostile(`the PAX record ${key} is empty, which readers treat differently`);
  return value;
}

/** Up to the first NUL. */
function longText(body: Buffer): Buffer {
  const end = body.indexOf(0);
  const text = Buffer.from(end < 0 ? body : body.subarray(0, end));
  if (text.length === 0)
    throw hostile("a GNU header for a long name holds none, which readers treat differently");
  return text;
}

/** A GNU long name and a PAX record may both be there if they say the same. */
function agree(what: string, gnu: Buffer | null, pax: Buffer | null): Buffer | null {
  if (gnu !== null && pax !== null && !gnu.equals(pax))
    throw hostile(`an entry has two different ${what}s, and readers disagree about which one counts`);
  return gnu ?? pax;
}
