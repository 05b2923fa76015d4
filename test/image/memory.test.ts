/** Reading an image takes memory for its files, not for their bytes: measured in a process of its own. (1 GiB: bench/image.mjs.) */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { COMMAND } from "../cli/command.ts";
import { scratch } from "./layout.ts";
import { END, file, member } from "./tar-writer.ts";

const FILES = 50_000;
const PRELOAD = fileURLToPath(new URL("../../bench/peak-memory.mjs", import.meta.url));

/** MiB that checking takes at most. */
function peakOf(image: string, directory: string): number {
  const env = { ...process.env, PEAK_MEMORY: join(directory, "peak") };
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--import", PRELOAD, COMMAND, "check", "image", image],
    {
      env,
      encoding: "utf8",
    },
  );
  // Findings, and nothing that could not be read.
  expect([status, stderr]).toEqual([1, ""]);
  return Number(readFileSync(join(directory, "peak"), "utf8")) / 1024;
}

test("an image of 50,000 files is checked in less than 300 MB", { timeout: 60_000 }, () => {
  const directory = scratch();
  const body = Buffer.alloc(5000, "some text in a file\n");
  const path = join(directory, "large.tar");
  const tar = openSync(path, "w");
  for (let index = 0; index < FILES; index += 500) {
    const some = Array.from({ length: 500 }, (_, at) => {
      const text = Buffer.from(body);
      text.writeUInt32LE(index + at);
      return member(file(`usr/share/package-${at}/with-a-longer-name-${index + at}.txt`, text));
    });
    writeSync(tar, Buffer.concat(some));
  }
  writeSync(tar, END);
  closeSync(tar);
  expect(peakOf(path, directory)).toBeLessThan(300);
});
