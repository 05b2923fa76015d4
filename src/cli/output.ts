/**
 * Text to stdout and stderr, by write(2): complete when the call returns, and without the stream machinery, whose
 * loading costs a run milliseconds. A reader that went away ends the command quietly.
 */
import { writeSync } from "node:fs";
import { systemCode } from "./system-error.ts";

/** The reader of stdout is gone (`sandbox plan ... | head`): nobody is left to tell. */
export class ReaderGone extends Error {
  override readonly name = "ReaderGone";
}

const pause = new Int32Array(new SharedArrayBuffer(4));

function writeAll(descriptor: 1 | 2, text: string): void {
  let rest: Uint8Array = Buffer.from(text, "utf8");
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      const code = systemCode(error);
      if (code === "EPIPE") throw new ReaderGone();
      // Somebody else made the shared pipe non-blocking and it is full: wait for the reader.
      if (code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 2);
    }
  }
}

/** Results, to stdout. */
export function print(text: string): void {
  writeAll(1, text.endsWith("\n") || text === "" ? text : `${text}\n`);
}

/** Messages, to stderr. */
export function complain(text: string): void {
  writeAll(2, text.endsWith("\n") || text === "" ? text : `${text}\n`);
}
