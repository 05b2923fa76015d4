/**
 * Takes the bytes of a Java archive (a zip file), gives the libraries that it says it is or holds: `pom.properties` of Maven and Gradle, else
 * the main manifest; jars in jars included, as one-file applications have them. The file is hostile: names, sizes and offsets are checked
 * against its length, what is inflated is bounded by fixed limits, and whatever does not fit is said instead of guessed.
 */
import { inflateRawSync } from "node:zlib";

export interface JarLibrary {
  /** Maven's coordinates; null where only a manifest speaks. */
  readonly group: string | null;
  readonly name: string;
  readonly version: string;
  /** The jar in the jar that it was found in, "" for the file itself. */
  readonly inside: string;
}

export interface JarContent {
  readonly libraries: readonly JarLibrary[];
  /** Why there may be more. */
  readonly gap: string | null;
}

/** A longer archive is not looked into: all of it is held meanwhile. */
export const LONGEST_JAR = 96 * 2 ** 20;

const MAX_ENTRIES = 100_000;
const MAX_MANIFEST = 2 ** 20;
const MAX_NESTED = 64 * 2 ** 20;
/** Bytes inflated for one file, nested ones included. */
const MAX_INFLATED = 512 * 2 ** 20;
const MAX_LIBRARIES = 10_000;
/** A jar in a war in an ear. */
const MAX_DEPTH = 2;

export const isJarName = (path: string): boolean => /\.(?:jar|war|ear|jpi|hpi|nar|sar|par|kar)$/i.test(path);

/**
 * Null: it only has the name of one.
 * @param unpacked - told of every inflated byte before it is; what the image may unpack to is the caller's to bound.
 */
export function readJar(bytes: Buffer, unpacked: (bytes: number) => void): JarContent | null {
  // An executable one begins with a script, and ends as every one does.
  if (endOf(bytes) === null && !bytes.subarray(0, 4).equals(ZIP)) return null;
  const reading = new Reading(unpacked);
  reading.read(bytes, "", 0);
  return { libraries: reading.libraries, gap: reading.gap };
}

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly stored: number;
  readonly size: number;
  /** Of its local header. */
  readonly at: number;
}

class Reading {
  readonly libraries: JarLibrary[] = [];
  gap: string | null = null;
  readonly #unpacked: (bytes: number) => void;
  #inflated = 0;

  constructor(unpacked: (bytes: number) => void) {
    this.#unpacked = unpacked;
  }

  read(bytes: Buffer, inside: string, depth: number): void {
    const entries = entriesOf(bytes);
    if (typeof entries === "string") return this.#miss(inside, entries);
    const before = this.libraries.length;
    for (const entry of entries)
      if (/^META-INF\/maven\/[^/]+\/[^/]+\/pom\.properties$/.test(entry.name)) {
        const text = this.#content(bytes, entry, MAX_MANIFEST, inside);
        if (text !== null) this.#add(fromProperties(text), inside);
      }
    const manifest = entries.find(({ name }) => /^META-INF\/MANIFEST\.MF$/i.test(name));
    if (this.libraries.length === before && manifest !== undefined) {
      const text = this.#content(bytes, manifest, MAX_MANIFEST, inside);
      if (text !== null) this.#add(fromManifest(text), inside);
    }
    for (const entry of entries) {
      if (!isJarName(entry.name)) continue;
      const place = inside === "" ? entry.name : `${inside}!${entry.name}`;
      if (depth >= MAX_DEPTH) this.#miss(place, "archives are nested deeper than is looked");
      else {
        const nested = this.#content(bytes, entry, MAX_NESTED, inside);
        if (nested !== null) this.read(nested, place, depth + 1);
      }
    }
  }

  #add(found: Omit<JarLibrary, "inside"> | null, inside: string): void {
    if (found === null) return;
    if (this.libraries.length >= MAX_LIBRARIES) this.#miss(inside, "it names too many libraries");
    else this.libraries.push({ ...found, inside });
  }

  #miss(inside: string, reason: string): void {
    this.gap ??= inside === "" ? reason : `${inside}: ${reason}`;
  }

  #content(bytes: Buffer, entry: Entry, limit: number, inside: string): Buffer | null {
    this.#inflated += entry.size;
    const tooLong = entry.size > limit || this.#inflated > MAX_INFLATED;
    if (!tooLong && entry.method !== STORED) this.#unpacked(entry.size);
    const found = tooLong ? "is too long" : contentOf(bytes, entry);
    if (typeof found !== "string") return found;
    this.#miss(inside, `${entry.name} ${found}`);
    return null;
  }
}

// PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
const ZIP = Buffer.from("PK\u0003\u0004", "latin1");
const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 0xffff;
const ENCRYPTED = 1;

/** The central directory: what every reader of jars goes by. */
function entriesOf(bytes: Buffer): readonly Entry[] | string {
  const end = endOf(bytes);
  if (end === null) return "it is no zip file that can be read";
  const count = bytes.readUInt16LE(end + 10);
  const size = bytes.readUInt32LE(end + 12);
  const start = bytes.readUInt32LE(end + 16);
  if (count === 0xffff || size === 0xffffffff || start === 0xffffffff) return "it is a zip file of 64 bits";
  if (count > MAX_ENTRIES) return "it has too many entries";
  // Bytes before the archive, as executable jars have them, move everything.
  const shift = end - size - start;
  if (shift < 0) return "its directory lies outside of it";
  const entries: Entry[] = [];
  for (let at = start + shift; entries.length < count; ) {
    if (at + 46 > end || bytes.readUInt32LE(at) !== CENTRAL) return "its directory is damaged";
    const length = bytes.readUInt16LE(at + 28);
    const next = at + 46 + length + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    if (next > end) return "its directory is damaged";
    if ((bytes.readUInt16LE(at + 8) & ENCRYPTED) !== 0) return "it is encrypted";
    entries.push({
      name: bytes.toString("utf8", at + 46, at + 46 + length),
      method: bytes.readUInt16LE(at + 10),
      stored: bytes.readUInt32LE(at + 20),
      size: bytes.readUInt32LE(at + 24),
      at: bytes.readUInt32LE(at + 42) + shift,
    });
    at = next;
  }
  return entries;
}

function endOf(bytes: Buffer): number | null {
  const from = Math.max(0, bytes.length - END_BYTES - LONGEST_COMMENT);
  for (let at = bytes.length - END_BYTES; at >= from; at--)
    if (bytes.readUInt32LE(at) === END && at + END_BYTES + bytes.readUInt16LE(at + 20) === bytes.length)
      return at;
  return null;
}

const STORED = 0;
const DEFLATED = 8;

function contentOf(bytes: Buffer, { method, stored, size, at }: Entry): Buffer | string {
  if (at + 30 > bytes.length || bytes.readUInt32LE(at) !== LOCAL) return "is not where the directory says";
  const start = at + 30 + bytes.readUInt16LE(at + 26) + bytes.readUInt16LE(at + 28);
  if (start + stored > bytes.length) return "reaches beyond the end";
  const content = bytes.subarray(start, start + stored);
  if (method === STORED) return stored === size ? content : "has two sizes";
  if (method !== DEFLATED) return `is compressed by a method (${method}) that is not read`;
  try {
    const plain = inflateRawSync(content, { maxOutputLength: Math.max(1, size) });
    return plain.length === size ? plain : "has two sizes";
  } catch (error) {
    // Damaged, or longer than it says: zlib's own errors, ERR_BUFFER_TOO_LARGE.
    if (error instanceof Error && "code" in error) return "is damaged";
    throw error;
  }
}

/** Lines of java.util.Properties as Maven writes them. */
function fromProperties(bytes: Buffer): Omit<JarLibrary, "inside"> | null {
  const values = new Map(
    bytes
      .toString("utf8")
      .split(/\r?\n/)
      .flatMap((line) => {
        const match = /^\s*(groupId|artifactId|version)\s*[=:]\s*(.*?)\s*$/.exec(line);
        return match === null ? [] : [[match[1], match[2] ?? ""] as const];
      }),
  );
  const [group, name, version] = ["groupId", "artifactId", "version"].map((key) => values.get(key) ?? "");
  // Unfilled templates name nothing.
  if (!name || `${group}${name}`.includes("${")) return null;
  return { group: group || null, name, version: version?.includes("${") === false ? version : "" };
}

/** The main section of a manifest: "Name: value" lines, continued by a blank at the beginning (the JAR File Specification). */
function fromManifest(bytes: Buffer): Omit<JarLibrary, "inside"> | null {
  const [main = ""] = bytes.toString("utf8").replaceAll(/\r\n?/g, "\n").replaceAll("\n ", "").split("\n\n");
  const values = new Map(
    main.split("\n").flatMap((line) => {
      const match = /^([\w-]+): *(.*)$/.exec(line);
      return match === null ? [] : [[(match[1] ?? "").toLowerCase(), (match[2] ?? "").trim()] as const];
    }),
  );
  const first = (...keys: readonly string[]): string =>
    keys.map((key) => values.get(key)).find(Boolean) ?? "";
  const name =
    first("bundle-symbolicname", "automatic-module-name", "implementation-title").split(";")[0] ?? "";
  const version = first("bundle-version", "implementation-version", "specification-version");
  return name === "" || version === "" ? null : { group: null, name, version };
}
