/**
 * A file that is either the old one or the complete new one, never half of it: written beside its place, then renamed.
 * Never follows a link to write, and never renames over what is not a regular file (as root, /dev/null).
 */
import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { lstat, open, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { systemCode } from "./system-error.ts";

async function present(look: Promise<Stats>): Promise<Stats | null> {
  try {
    return await look;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  }
}

function refusal(code: string, message: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${message}, '${path}'`), { code, syscall: "open" });
}

/**
 * Writes `content` to `path` with exactly `mode`. `streams`: a fifo or character device (`/dev/stderr`, `/dev/fd/63`) is written
 * to as it is; else it is refused like a directory. Rejects with a Node system error.
 */
export async function writeWhole(
  path: string,
  content: string | Uint8Array,
  mode: number,
  streams: "refuse" | "write",
): Promise<void> {
  const target = await present(stat(path));
  if (target?.isDirectory() === true) throw refusal("EISDIR", "is a directory", path);
  if (target !== null && !target.isFile()) {
    // A disk is no place for a report, whatever led there.
    if (streams === "refuse" || target.isBlockDevice())
      throw refusal("EINVAL", "is not a regular file", path);
    const stream = await open(path, constants.O_WRONLY);
    try {
      await stream.writeFile(content);
    } finally {
      await stream.close();
    }
    return;
  }
  const temporary = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString("hex")}`);
  const { O_CREAT, O_EXCL, O_WRONLY } = constants;
  const file = await open(temporary, O_CREAT | O_EXCL | O_WRONLY, 0o600);
  try {
    try {
      await file.writeFile(content);
      // The mode last and explicitly: open(2) would have subtracted the umask.
      await file.chmod(mode);
    } finally {
      await file.close();
    }
    // Between stat and here the name may have become a directory or a device: look again, without following links.
    const now = await present(lstat(path));
    if (now !== null && !now.isFile() && !now.isSymbolicLink()) {
      throw refusal("EEXIST", "was replaced meanwhile", path);
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary);
    throw error;
  }
}
