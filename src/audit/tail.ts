/**
 * Follows a log as it grows, as tail -F does.
 *
 * Takes: a path and a signal to stop. Gives: an async iterator of lines and of notices. Must never: show a line before
 * its newline is there, or go silent about a file that was replaced or shortened.
 */
import { type FileHandle, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { readLine, type ShownLine } from "./show.ts";
import { openToRead, readLines } from "./verify.ts";

export type TailEvent =
  | { readonly kind: "line"; readonly shown: ShownLine }
  /** The file has another name now, and a new one is followed; or it was cut. */
  | { readonly kind: "notice"; readonly text: string };

export interface TailOptions {
  /** How many of the lines that are there are given first; default 10. */
  readonly last?: number;
  /** End after the lines that are there. Default: follow until `signal`. */
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
  /** Milliseconds between looks; default 200. */
  readonly interval?: number;
}

/** @throws the errno error when the file cannot be opened at the start */
export async function* tailLog(
  path: string,
  options: TailOptions = {},
): AsyncGenerator<TailEvent, void, void> {
  const { last = 10, follow = true, signal, interval = 200 } = options;
  let file = await openToRead(path);
  // Where the next unread line starts, and its number.
  let offset = 0;
  let number = 1;
  try {
    const recent: ShownLine[] = [];
    for await (const raw of readLines(file)) {
      // A line without its end is being written; it is read again when it is whole.
      if (!raw.ended) break;
      offset += raw.length + 1;
      number += 1;
      recent.push(readLine(raw.number, raw.bytes, true));
      if (recent.length > last) recent.shift();
    }
    for (const shown of recent) yield { kind: "line", shown };
    if (!follow) return;
    for (;;) {
      if (signal?.aborted === true) return;
      // oxlint-disable-next-line no-await-in-loop -- looking again and again is the point
      for await (const raw of readLines(file, offset, number)) {
        if (!raw.ended) break;
        offset += raw.length + 1;
        number += 1;
        yield { kind: "line", shown: readLine(raw.number, raw.bytes, true) };
      }
      // oxlint-disable-next-line no-await-in-loop -- as above
      const change = await lookAgain(file, path, offset);
      if (change === "replaced") {
        // oxlint-disable-next-line no-await-in-loop -- as above
        const next = await openToRead(path);
        // oxlint-disable-next-line no-await-in-loop -- as above
        await file.close();
        file = next;
      }
      if (change !== "same") {
        offset = 0;
        number = 1;
        const text = change === "replaced" ? "was replaced by another file" : "became shorter";
        yield { kind: "notice", text: `${path} ${text}: reading it from its start` };
        continue;
      }
      // oxlint-disable-next-line no-await-in-loop -- as above
      await pause(interval, signal);
    }
  } finally {
    await file.close();
  }
}

async function lookAgain(
  file: FileHandle,
  path: string,
  offset: number,
): Promise<"same" | "replaced" | "shorter"> {
  const held = await file.stat();
  try {
    const named = await stat(path);
    if (named.ino !== held.ino || named.dev !== held.dev) return "replaced";
  } catch (error) {
    // Between the renaming and the new file there is none: look again.
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  return held.size < offset ? "shorter" : "same";
}

/** Sleep, or less when told to stop. */
async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (!(error instanceof Error && error.name === "AbortError")) throw error;
  }
}
