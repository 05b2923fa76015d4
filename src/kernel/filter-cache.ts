/**
 * Compiled filters on disk: by digest of all that determines them. An entry that does not carry its own digest does not exist.
 */
import { createHash } from "node:crypto";
import type { FilterCertificate } from "../prove/certificate.ts";
import { cacheDirectory, readPrivate, writePrivate } from "./private-directory.ts";

export { cacheDirectory };

export interface CachedFilter {
  readonly bytes: Uint8Array;
  readonly backend: string;
  readonly notes: readonly string[];
  /** Of the proof that came before it was kept. */
  readonly certificate: FilterCertificate;
}

const MAGIC = "sandbox-filter-2";
/** 4096 instructions in base64, and room for notes. */
const MAX_ENTRY_BYTES = 256 * 1024;

/** The entry, or null when there is none that can be trusted. */
export function readCache(directory: string, key: string): CachedFilter | null {
  const content = readPrivate(directory, key, MAX_ENTRY_BYTES);
  return content === null ? null : parse(content.toString("utf8"), key);
}

/** Keeps an entry; whether it was kept. A concurrent writer of the same key writes the same. */
export function writeCache(directory: string, key: string, filter: CachedFilter): boolean {
  return writePrivate(directory, key, format(filter, key));
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Two lines: magic, key and digest of the second line; the entry as JSON. */
function format({ bytes, ...rest }: CachedFilter, key: string): Buffer {
  const body = JSON.stringify({ ...rest, filter: Buffer.from(bytes).toString("base64") });
  return Buffer.from(`${MAGIC} ${key} ${digest(body)}\n${body}`);
}

function parse(text: string, key: string): CachedFilter | null {
  const end = text.indexOf("\n");
  const body = text.slice(end + 1);
  // The key is in the first line so that a valid entry moved to another name is none.
  if (end === -1 || text.slice(0, end) !== `${MAGIC} ${key} ${digest(body)}`) return null;
  const { filter, ...rest } = JSON.parse(body) as Omit<CachedFilter, "bytes"> & { readonly filter: string };
  return { ...rest, bytes: new Uint8Array(Buffer.from(filter, "base64")) };
}
