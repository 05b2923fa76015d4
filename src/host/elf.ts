/**
 * Takes a file's path, gives what it is and, of an ELF file, what the dynamic loader would read of it (elf/parse.ts).
 * Never runs the file, never reads more than the tables in question.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { classify, type Executable } from "../elf/parse.ts";
import { errorCode } from "./files.ts";

/** Looks at a regular file; anything else, and what the caller may not open, is "unreadable". */
export function readExecutable(path: string): Executable {
  let fd: number;
  try {
    // O_NONBLOCK: opening a fifo must not wait for its other end.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (errorCode(error) === "EMFILE") throw error;
    return { kind: "unreadable" };
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) return { kind: "unreadable" };
    return classify(status.size, (offset, length) => {
      if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > status.size)
        return null;
      const bytes = Buffer.alloc(length);
      for (let done = 0; done < length; ) {
        const count = readSync(fd, bytes, done, length - done, offset + done);
        // Truncated since fstat: treat as what it is now, a file that ends early.
        if (count === 0) return null;
        done += count;
      }
      return bytes;
    });
  } finally {
    closeSync(fd);
  }
}
