/**
 * A root file system that lies open in a directory, as the entries of one layer. Links are recorded, never followed; files are opened
 * without following one, and without waiting for a fifo. Extended attributes cannot be read from here (Node has no call for it).
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

const CHUNK = 1 << 20;

export function readRootDirectory(directory: string, handler: EntryHandler, budget: Budget): void {
  const buffer = Buffer.allocUnsafe(CHUNK);
  const inodes = new Map<string, string>();
  const visit = (host: Buffer, path: string): void => {
    const status = stat(host, path);
    budget.entry();
    const key = `${status.dev}:${status.ino}`;
    const first = status.nlink > 1 && !status.isDirectory() ? inodes.get(key) : undefined;
    if (status.nlink > 1 && first === undefined) inodes.set(key, path);
    const entry = entryOf(status, path, host, first ?? null);
    if (entry === null) return;
    budget.name(entry.path.length + entry.link.length);
    const sink = handler(entry);
    if (sink !== null) {
      readFile(host, entry, buffer, budget, sink.write);
      sink.end();
    }
    if (entry.type !== "directory") return;
    for (const name of readDirectory(host, path)) {
      const child = entryPath(path === "" ? decodeName(name) : `${path}/${decodeName(name)}`, budget.limits);
      visit(Buffer.concat([host, SLASH, name]), child);
    }
  };
  visit(Buffer.from(directory), "");
}

const SLASH = Buffer.from("/");

function entryOf(status: Stats, path: string, host: Buffer, first: string | null): Entry | null {
  const type =
    first !== null
      ? "hardlink"
      : status.isFile()
        ? "file"
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
    path,
    type,
    mode: status.mode & 0o7777,
    uid: status.uid,
    gid: status.gid,
    size: type === "file" ? status.size : 0,
    mtime: Math.floor(status.mtimeMs / 1000),
    link: type === "symlink" ? decodeName(readlinkSync(host, "buffer")) : (first ?? ""),
    device: isDevice ? { major: majorOf(status.rdev), minor: minorOf(status.rdev) } : null,
    xattrs: null,
  };
}

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

function readFile(
  host: Buffer,
  entry: Entry,
  buffer: Buffer,
  budget: Budget,
  write: (bytes: Buffer) => void,
): void {
  let file: number;
  try {
    file = openSync(host, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(entry.path, error);
  }
  try {
    if (!fstatSync(file).isFile()) throw malformed(`${entry.path} changed while it was read`);
    let total = 0;
    for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) {
      total += count;
      budget.unpack(count);
      if (total > entry.size) break;
      write(buffer.subarray(0, count));
    }
    if (total !== entry.size) throw malformed(`${entry.path} changed while it was read`);
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
