/**
 * The blobs of SUSE's package database (Packages.db): slots of 16 bytes that say where each blob is, in blocks of 16 bytes.
 */
const FILE_MAGIC = 0x506d7052;
const SLOT_MAGIC = 0x746f6c53;
const BLOB_MAGIC = 0x53626c42;
const PAGE = 4096;
const BLOCK = 16;
/** The file's header takes the place of two slots. */
const FIRST_SLOT = 32;

/** Null when it is no such file, or a slot points to something else than a blob. */
export function ndbBlobs(file: Buffer): readonly Buffer[] | null {
  if (file.length < FIRST_SLOT || file.readUInt32LE(0) !== FILE_MAGIC || file.readUInt32LE(4) !== 0)
    return null;
  const slots = file.readUInt32LE(12) * PAGE;
  if (slots > file.length) return null;
  const blobs: Buffer[] = [];
  let total = 0;
  for (let at = FIRST_SLOT; at + BLOCK <= slots; at += BLOCK) {
    if (file.readUInt32LE(at) !== SLOT_MAGIC) return null;
    const index = file.readUInt32LE(at + 4);
    if (index === 0) continue;
    const from = file.readUInt32LE(at + 8) * BLOCK;
    if (from + BLOCK > file.length || file.readUInt32LE(from) !== BLOB_MAGIC) return null;
    const length = file.readUInt32LE(from + 12);
    if (file.readUInt32LE(from + 4) !== index || from + BLOCK + length > file.length) return null;
    // Blobs that overlap would multiply the work.
    total += length;
    if (total > file.length) return null;
    blobs.push(file.subarray(from + BLOCK, from + BLOCK + length));
  }
  return blobs;
}
