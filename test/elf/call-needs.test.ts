/** Which calls a program can ask for, of programs that a compiler made. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callNeeds } from "../../src/elf/call-needs.ts";
import { readSymbols } from "../../src/elf/hardening.ts";
import { classifyBytes } from "../../src/elf/parse.ts";
import { has, need } from "../host/needs.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-needs-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function needsOf(source: string, ...flags: readonly string[]): readonly string[] | null {
  writeFileSync(join(directory, "a.c"), source);
  execFileSync("gcc", ["-w", "-O1", "-o", "a", "a.c", ...flags], { cwd: directory });
  const bytes = readFileSync(join(directory, "a"));
  const found = classifyBytes(bytes);
  if (found.kind !== "elf") throw new Error("no ELF file");
  const slice = (offset: number, length: number) =>
    offset + length <= bytes.length ? bytes.subarray(offset, offset + length) : null;
  return callNeeds(found.elf, readSymbols(slice, found.elf), slice);
}

const main = (body: string): string => `int main(int c, char **v) { ${body}; return 0; }`;

describe("what a program can ask its C library for", () => {
  test.for<readonly [string, string, readonly string[] | null, (readonly string[])?]>([
    ["nothing but files that are there", main("puts(v[0]); fopen(v[1], v[2])"), []],
    ["sockets", main("connect(socket(2, 1, 0), v, c)"), ["network"]],
    ["names of hosts", main("getaddrinfo(v[0], 0, 0, v)"), ["network"]],
    ["children", main("fork(); waitpid(-1, 0, 0)"), ["processes"]],
    [
      "threads, whose creation may set how they are scheduled",
      main("pthread_create(v, 0, v, 0)"),
      ["processes", "scheduling"],
    ],
    ["signals to others", main("kill(c, 9)"), ["signals"]],
    ["ids", main("setresuid(c, c, c); setgroups(0, 0)"), ["credentials"]],
    ["changes to files", main("rename(v[0], v[1]); mkstemp(v[2])"), ["file-changes"]],
    ["watches", main("inotify_init()"), ["watches"]],
    ["any call by number", main("syscall(c, v)"), null],
    [
      "a call of its own",
      main('long r; __asm__ volatile("movl $39, %%eax; syscall" : "=a"(r) :: "rcx", "r11", "memory")'),
      null,
    ],
    [
      "a call whose number is in a variable",
      main('long r = c; __asm__ volatile("syscall" : "+a"(r) :: "rcx", "r11", "memory"); return r'),
      null,
    ],
    ["everything, for it brings its own C library", main("puts(v[0])"), null, ["-static"]],
  ])("%s", ([, source, expected, flags = []], context) => {
    need(context, has("/usr/bin/gcc"), "gcc is not installed");
    need(context, process.arch === "x64" || !source.includes('syscall"'), "the instruction is x86-64's");
    expect(needsOf(source, ...flags)).toEqual(expected);
  });
});
