/** A program is told by what is in it. Each case is what Debian's program has and its neighbours have not. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { findMarks, type Mark } from "../../src/image/content/marks.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { layout, readGood } from "./layout.ts";
import { file, tar } from "./tar-writer.ts";

test.for<readonly [string, string, readonly Mark[]]>([
  ["tcsh", "bye\0telltc\0uncomplete\0unalias\0", ["shell"]],
  ["fish", "init-command\0print-rusage-self\0profile-startup\0", ["shell"]],
  ["toybox without a shell", "Toybox %s multicall binary%s\0ls\0", ["busybox"]],
  ["toybox with one", "Toybox %s multicall binary%s\0sh\0", ["busybox", "shell"]],
  ["ssh", "SSH_AUTH_SOCK\0identityfile\0proxycommand\0", ["ssh"]],
  ["dropbear", "SSH-2.0-dropbear_2022.83", ["ssh"]],
  ["wget", "SYSTEM_WGETRC\0", ["network"]],
  ["nc", "Connection to %s%s %s port [%s/%s] succeeded!", ["network"]],
  ["git", "GIT_EXEC_PATH\0", ["git"]],
  ["make", "MAKEFLAGS\0MAKELEVEL\0", ["make"]],
  ["cargo, which only talks to make", "MAKEFLAGS\0", []],
  ["a program that only calls git", "GIT_DIR\0", []],
])("%s", ([, text, marks]) => {
  expect(findMarks(Buffer.from(text, "latin1"), null, [])).toEqual(marks);
});

test("a shell is one without the right to execute as well: the dynamic loader starts it", async () => {
  const bash = readFileSync("/bin/bash");
  const found = await factsOf(
    await readGood(layout({ layers: [{ tar: tar(file("data/blob", bash), file("usr/bin/gcc", "text")) }] })),
  );
  expect(found.programs.map(({ path, kinds }) => [path, kinds])).toEqual([["data/blob", ["shell"]]]);
});
