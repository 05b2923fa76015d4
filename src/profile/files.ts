/**
 * ProfileFiles on disk. Shipped profiles lie in profiles/ beside src/ and dist/, at the same distance from this module in
 * the sources, in dist/ and in the bundled command.
 *
 * Only regular files are read, and never more than MAX_BYTES: a profile's path may be a fifo that nobody writes, a
 * device, or /proc/kcore. The file is judged through the descriptor that is read, so it cannot change in between.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MAX_BYTES } from "./parse-json.ts";
import type { ProfileFiles, Unreadable } from "./resolve.ts";

/** Where the shipped profiles are. */
export function builtinDirectory(): string {
  return fileURLToPath(new URL("../../profiles", import.meta.url));
}

/** The real files; another directory of shipped profiles for tests. */
export function profileFiles(directory: string = builtinDirectory()): ProfileFiles {
  const names = (): readonly string[] =>
    readdirSync(directory)
      .filter((name) => name.endsWith(".json") && !name.endsWith(".schema.json"))
      .map((name) => name.slice(0, -".json".length))
      .toSorted();
  return {
    read: readProfile,
    names,
    builtin: (name) => (names().includes(name) ? join(directory, `${name}.json`) : null),
  };
}

const ERRNO_HINTS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the path is too long",
  EISDIR: "it is a directory",
  ENXIO: "it is a device or a socket",
  EPERM: "permission denied",
};

function readProfile(path: string): Uint8Array | Unreadable | null {
  let descriptor: number;
  try {
    // O_NONBLOCK: opening a fifo for reading would wait for its writer (fifo(7)).
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    return { reason: ERRNO_HINTS[code] ?? code };
  }
  try {
    const status = fstatSync(descriptor);
    if (status.isDirectory()) return { reason: "it is a directory", hint: "name the file in it" };
    if (!status.isFile()) return { reason: "it is not a regular file", hint: "copy its content to one" };
    // One byte more than allowed is enough to see that it is too much; files of /proc say 0.
    const buffer = new Uint8Array(Math.min(Math.max(status.size, 4096), MAX_BYTES) + 1);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
    }
    if (length > MAX_BYTES) {
      return { reason: `it has more than ${MAX_BYTES} bytes`, hint: "a profile is a few kilobytes of JSON" };
    }
    return buffer.subarray(0, length);
  } catch (error) {
    return { reason: (error as NodeJS.ErrnoException).code ?? "it cannot be read" };
  } finally {
    closeSync(descriptor);
  }
}
