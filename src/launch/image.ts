/**
 * The launcher's image as a file that can be executed.
 *
 * Takes the bytes of the ELF; gives a path that works as long as it is not closed, for any number of runs at once.
 * The launcher copies itself into a sealed memfd before it does anything, so this file is only the seed. It has no
 * name, is never writable once it can be executed, and is gone with the process.
 */
import { createHash } from "node:crypto";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { openAnonymousFile } from "./anonymous-file.ts";

export interface PreparedImage {
  /** For execve by a child of this process: resolved in the child, after fork and before exec. */
  readonly path: string;
  /** Of the bytes, lower-case hex. */
  readonly sha256: string;
  /** Running launchers are not affected. Harmless when called twice. */
  close(): void;
}

/** Above every descriptor that a launcher inherits, which the child would put in the place of ours before exec. */
const FIRST_SAFE_FD = 10;

/** Throws the system's error when no directory takes an executable file, or the bytes do not fit. */
export function prepareImage(bytes: Uint8Array): PreparedImage {
  const writable = openAnonymousFile("executable", 0o500);
  let fd: number;
  try {
    writeAll(writable, bytes);
    fd = reopen(writable);
  } finally {
    // execve(2) of a file that anyone has open for writing is ETXTBSY.
    closeSync(writable);
  }
  let open = true;
  return {
    path: `/proc/self/fd/${fd}`,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** A short count is not an error to write(2): a full file system answers the next call only. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, done);
  }
}

function reopen(fd: number): number {
  const low: number[] = [];
  try {
    for (;;) {
      const again = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY);
      if (again >= FIRST_SAFE_FD) return again;
      low.push(again);
    }
  } finally {
    low.forEach((each) => closeSync(each));
  }
}
