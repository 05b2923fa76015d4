/**
 * A root file system that lies open in a directory, as the entries of one layer. Links are recorded, never followed; files are opened
 * without following one, and without waiting for a fifo. What is said of a file is all of the one that is open: mode, size, capabilities
 * and bytes.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import type { Budget } from "../budget.ts";
import { decodeName } from "../names.ts";
import { malformed, Refusal } from "../refusal.ts";
import type { Entry, EntryHandler } from "../tar/entry.ts";
import { entryPath } from "../tar/path.ts";
import type { CapabilityReader } from "./file-capabilities.ts";

const CHUNK = 1 << 20;

export function readRootDirectory(
  directory: string,
  handler: EntryHandler,
  budget: Budget,
  capabilities: CapabilityReader,
): void {
  const buffer = Buffer.allocUnsafe(CHUNK);
  const inodes = new Map<string, string>();
  const visit = (host: Buffer, path: string): void => {
    const status = stat(host, path);
    budget.entry();
    const key = `${status.dev}:${status.ino}`;
    const first = status.nlink > 1 && !status.isDirectory() ? inodes.get(key) : undefined;
    if (status.nlink > 1 && first === undefined) inodes.set(key, path);
    if (first === undefined && status.isFile()) {
      readFile(host, path, status, buffer, budget, capabilities, handler);
      return;
    }
    const entry = entryOf(status, path, host, first ?? null);
    if (entry === null) return;
    budget.name(entry.path.length + entry.link.length);
    handler(entry);
    if (entry.type !== "directory") return;
    for (const name of readDirectory(host, path)) {
      const child = entryPath(path === "" ? decodeName(name) : `${path}/${decodeName(name)}`, budget.limits);
      visit(Buffer.concat([host, SLASH, name]), child);
    }
  };
  visit(Buffer.from(directory), "");
}

const SLASH = Buffer.from("/");

/** Of everything but a regular file under its first name. */
function entryOf(status: Stats, path: string, host: Buffer, first: string | null): Entry | null {
  const type =
    first !== null
      ? "hardlink"
      : status.isDirectory()
        ? "directory"
        : status.isSymbolicLink()
          ? "symlink"
          : status.isFIFO()
            ? "fifo"
            : status.isCharacterDevice()
              ? "character"
              : status.isBlockDevice()
                ? "block"
                : null;
  // A socket is an address in use, not part of an image.
  if (type === null) return null;
  const isDevice = type === "character" || type === "block";
  return {
    ...metadata(status, path),
    type,
    link: type === "symlink" ? decodeName(readlinkSync(host, "buffer")) : (first ?? ""),
    device: isDevice ? { major: majorOf(status.rdev), minor: minorOf(status.rdev) } : null,
  };
}

/** What every kind of entry has, the rest empty. */
const metadata = (status: Stats, path: string): Omit<Entry, "type"> => ({
  path,
  mode: status.mode & 0o7777,
  uid: status.uid,
  gid: status.gid,
  size: 0,
  mtime: Math.floor(status.mtimeMs / 1000),
  link: "",
  device: null,
  xattrs: null,
});

// makedev(3), as glibc packs them.
const majorOf = (device: number): number => (device >>> 8) & 0xfff;
const minorOf = (device: number): number => (device & 0xff) | ((device >>> 12) & 0xfff00);

function stat(host: Buffer, path: string): Stats {
  try {
    return lstatSync(host);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function readDirectory(host: Buffer, path: string): readonly Buffer[] {
  try {
    return readdirSync(host, { encoding: "buffer" }).toSorted((a, b) => a.compare(b));
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** A regular file, whole. */
function readFile(
  host: Buffer,
  path: string,
  found: Stats,
  buffer: Buffer,
  budget: Budget,
  capabilities: CapabilityReader,
  handler: EntryHandler,
): void {
  let file: number;
  try {
    file = openSync(host, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const status = fstatSync(file);
    if (!status.isFile() || status.dev !== found.dev || status.ino !== found.ino)
      throw malformed(`${path} changed while it was read`);
    const attribute = capabilities.read(file, path);
    const xattrs = attribute === null ? null : new Map([["security.capability", attribute]]);
    const entry: Entry = { ...metadata(status, path), type: "file", size: status.size, xattrs };
    budget.name(entry.path.length);
    const sink = handler(entry);
    let total = 0;
    for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) {
      total += count;
      budget.unpack(count);
      if (total > entry.size) break;
      sink?.write(buffer.subarray(0, count));
    }
    if (total !== entry.size) throw malformed(`${path} changed while it was read`);
    sink?.end();
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, error: unknown): Refusal {
  const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return new Refusal(
    "image-not-found",
    `${path === "" ? "the directory" : path} cannot be read (${reason})`,
    "run it as a user who may read all of it; what cannot be read cannot be judged",
    error,
  );
}
