/**
 * The table of contents of a tar file whose content is not read: where each file begins and how long it is. For the outer archive of an
 * image, which is a few dozen plain files; sparse files and names that appear twice are refused, since readers differ about them.
 */
import { DEFAULT_LIMITS } from "../limits.ts";
import { decodeName } from "../names.ts";
import { hostile, malformed, tooLarge } from "../refusal.ts";
import { ExtendedHeaders, isExtended } from "./extended.ts";
import { BLOCK, hasChecksum, isZeroBlock, parseHeader } from "./header.ts";
import { entryPath } from "./path.ts";

export interface TableEntry {
  readonly offset: number;
  readonly size: number;
  /** For a link: the name in the archive that it stands for. */
  readonly link: string | null;
}

/** Up to `length` bytes at an offset; fewer at the end. Offsets only grow. */
export type ReadAt = (offset: number, length: number) => Buffer | Promise<Buffer>;

/** More files than any archive of layers has: a tar with more is a root file system, and its table is of no use. */
const MAX_FILES = 4096;
const MAX_EXTENDED = 1 << 20;
/** What makes an archive an image. */
const DOCUMENTS: readonly string[] = ["manifest.json", "index.json", "oci-layout"];

/** `total`: length of the file, null when it is not known. */
export async function readTable(
  total: number | null,
  readAt: ReadAt,
): Promise<ReadonlyMap<string, TableEntry>> {
  const table = new Map<string, TableEntry>();
  const twice = new Set<string>();
  const extended = new ExtendedHeaders();
  for (let at = 0; ; ) {
    const found = readAt(at, BLOCK);
    // A file on disk answers at once: waiting for 50,000 answers would take longer than reading them.
    const block = Buffer.isBuffer(found) ? found : await found;
    if (block.length === 0 || (block.length === BLOCK && isZeroBlock(block))) break;
    // What does not even begin like a tar file is another file, given by mistake.
    if (at === 0 && !(block.length === BLOCK && hasChecksum(block)))
      throw malformed(
        "it is no image: neither a tar file nor a directory",
        "give what docker save, docker buildx build --output type=oci or skopeo copy wrote",
      );
    if (block.length < BLOCK) throw malformed("the tar file ends in the middle of a header");
    const header = parseHeader(block);
    const offset = at + BLOCK;
    const next = (length: number): number => {
      if (total !== null && offset + length > total)
        throw malformed("the tar file ends in the middle of an entry");
      return offset + Math.ceil(length / BLOCK) * BLOCK;
    };
    if (isExtended(header.type)) {
      if (header.size > MAX_EXTENDED) throw tooLarge("an extended header is too long", "path");
      at = next(header.size);
      extended.add(header.type, await readAt(offset, header.size));
      continue;
    }
    const described = extended.take(header);
    const { stored } = described;
    at = next(stored);
    const name = decodeName(described.name);
    const link = decodeName(described.link);
    const sparse = header.type === "S" || described.sparse !== null;
    const path = entryPath(name, DEFAULT_LIMITS);
    const isLink = header.type === "1" || header.type === "2";
    // Wherever it lies, docker load finds it: then the archive is an image, and one of which files are missing here.
    if (table.size > MAX_FILES && !DOCUMENTS.includes(path)) continue;
    if (table.has(path)) twice.add(path);
    if (header.type === "0" || header.type === "\0" || sparse || isLink)
      table.set(path, { offset, size: stored, link: isLink ? linkTarget(path, link, header.type) : null });
    if (sparse) twice.add(path);
  }
  for (const path of DOCUMENTS)
    if (twice.has(path))
      throw hostile(`${path} is in the archive twice, and readers differ about which one counts`);
  for (const path of twice) table.delete(path);
  return table;
}

/** A symbolic link is relative to its own directory, a hard link to the archive's root. */
function linkTarget(path: string, link: string, type: string): string {
  if (type === "1") return link;
  const parts = link.startsWith("/") ? [] : path.split("/").slice(0, -1);
  for (const part of link.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}
