/**
 * An RPM header as the database stores it: two big-endian counts, index entries of 16 bytes (tag, type, offset, count), then the data they
 * point into. Counts and offsets are checked against the blob; null means that it is no header.
 */
import type { ClaimedPackage } from "../package.ts";

const TAG = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  license: 1014,
  architecture: 1022,
  fileFlags: 1037,
  source: 1044,
  directoryIndexes: 1116,
  baseNames: 1117,
  directoryNames: 1118,
} as const;

/** %ghost: claimed, but never part of the package. */
const GHOST = 64;
const MAX_INDEX = 65_536;
const MAX_COUNT = 1 << 20;

/** Longer than any path that a tree has (PATH_MAX): a million files in a directory with a name of a megabyte. */
const LONGEST_PATH = 4096;

const pathOf = (directory: string, base: string): string =>
  directory.length + base.length > LONGEST_PATH
    ? directory.slice(0, LONGEST_PATH + 1)
    : `${directory}${base}`.replace(/^\/+/, "");

export function parseHeader(blob: Buffer, database: string): ClaimedPackage | null {
  if (blob.length < 8) return null;
  const entries = blob.readUInt32BE(0);
  const data = 8 + entries * 16;
  if (entries > MAX_INDEX || data > blob.length || data + blob.readUInt32BE(4) > blob.length) return null;
  const index = new Map<number, number>();
  for (let at = 8; at < data; at += 16) index.set(blob.readUInt32BE(at), at);

  const texts = (tag: number): readonly string[] => {
    const at = index.get(tag);
    if (at === undefined) return [];
    const count = blob.readUInt32BE(at + 12);
    const found: string[] = [];
    let from = data + blob.readUInt32BE(at + 8);
    for (; found.length < Math.min(count, MAX_COUNT); ) {
      const end = blob.indexOf(0, from);
      if (end < 0) break;
      found.push(blob.toString("utf8", from, end));
      from = end + 1;
    }
    return found;
  };
  const words = (tag: number): readonly number[] => {
    const at = index.get(tag);
    if (at === undefined) return [];
    const from = data + blob.readUInt32BE(at + 8);
    const count = Math.min(blob.readUInt32BE(at + 12), MAX_COUNT, Math.floor((blob.length - from) / 4));
    return Array.from({ length: Math.max(count, 0) }, (_, item) => blob.readUInt32BE(from + item * 4));
  };

  const [name] = texts(TAG.name);
  const [version] = texts(TAG.version);
  const [release] = texts(TAG.release);
  if (name === undefined || version === undefined || release === undefined) return null;
  const epoch = words(TAG.epoch)[0];
  const directories = texts(TAG.directoryNames);
  const places = words(TAG.directoryIndexes);
  const flags = words(TAG.fileFlags);
  return {
    manager: "rpm",
    name,
    version: `${epoch === undefined || epoch === 0 ? "" : `${epoch}:`}${version}-${release}`,
    architecture: texts(TAG.architecture)[0] ?? null,
    source: texts(TAG.source)[0]?.replace(/-[^-]+-[^-]+\.(?:no)?src\.rpm$/, "") ?? null,
    license: texts(TAG.license)[0] ?? null,
    database,
    files: texts(TAG.baseNames).flatMap((base, at) =>
      ((flags[at] ?? 0) & GHOST) !== 0 ? [] : [pathOf(directories[places[at] ?? 0] ?? "", base)],
    ),
  };
}
