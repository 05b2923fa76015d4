/**
 * Text to stdout and stderr, by write(2): complete when the call returns, and without the stream machinery, whose
 * loading costs a run milliseconds. A reader that went away ends the command quietly.
 */
import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import { printable, printableLines } from "../printable.ts";
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

const ended = (text: string): string => (text.endsWith("\n") || text === "" ? text : `${text}\n`);

/** Results, to stdout: byte for byte to programs, made safe for people. */
export function print(text: string): void {
  writeAll(1, ended(isatty(1) ? printableLines(text) : text));
}

/** Messages, to stderr: for people wherever it leads. */
export function complain(text: string): void {
  writeAll(2, ended(printableLines(text)));
}

/** A line on the terminal that is written again and again; "" takes it away. */
export function showProgress(text: string): void {
  writeAll(2, `\r\u001B[K${printable(text)}\n\u001B[1A`);
}
