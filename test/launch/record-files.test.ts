/** The record of opened files: what the kernel says, under which names, and that nothing is lost without a word. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import type { OpenedFiles } from "../../src/launch/outcome.ts";
import { recordFiles } from "../../src/launch/record-files.ts";
import { has, need } from "../host/needs.ts";

/** As it is built. */
const MODULE = fileURLToPath(new URL("../../dist/launch/record-files.js", import.meta.url));

/** Opens 500 files in turns for fifteen seconds. */
const FLOOD = `
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **arguments) {
  static char names[500][8];
  if (count < 2 || chdir(arguments[1]) != 0) return 1;
  alarm(15);
  for (int i = 0; i < 500; i++) sprintf(names[i], "%d", i);
  for (;;)
    for (int i = 0; i < 500; i++) close(open(names[i], O_RDONLY));
}`;

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-record-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "a/b"), { recursive: true });
  writeFileSync(join(directory, "a/b/file"), "x");
  writeFileSync(join(directory, "other"), "y");
  return directory;
}

function recorded(directory: string, use: () => void, ran = true): OpenedFiles {
  const record = recordFiles(directory, null);
  if ("reason" in record) throw new Error(record.reason);
  use();
  return record.stop(ran);
}

describe("a record of opened files", () => {
  test("has what is opened below, under its own name, once", () => {
    const root = scratch();
    symlinkSync("a/b", join(root, "link"));
    symlinkSync("/etc", join(root, "outside"));
    linkSync(join(root, "other"), join(root, "a/second"));
    const files = recorded(root, () => {
      readFileSync(join(root, "link/file"));
      readFileSync(join(root, "a/b/file"));
      readFileSync(join(root, "a/second"));
      readFileSync(join(root, "outside/passwd"));
      statSync(join(root, "other"));
      readdirSync(join(root, "a"));
    });
    expect(files).toEqual({ root, opened: ["/a/b/file", "/a/second"], complete: true, missed: [] });
  });

  test("has what is executed, and names that are no text", () => {
    const root = scratch();
    const odd = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0x0a])]);
    writeFileSync(odd, "z");
    writeFileSync(join(root, "script"), "#!/bin/sh\n");
    chmodSync(join(root, "script"), 0o755);
    const files = recorded(root, () => {
      closeSync(openSync(odd, "r"));
      execFileSync(join(root, "script"));
    });
    expect(files.opened).toEqual(["/f\uDCFF\n", "/script"]);
    expect(JSON.parse(JSON.stringify(files.opened))).toEqual(files.opened);
  });

  test("ends when nothing happened, and is not complete if something ran all the same", () => {
    const root = scratch();
    expect(recorded(root, () => undefined, false)).toEqual({
      root,
      opened: [],
      complete: true,
      missed: [],
    });
    const { complete, missed } = recorded(root, () => undefined);
    expect(complete).toBe(false);
    expect(missed).toEqual([expect.stringMatching(/no file was seen, not even the program/)]);
  });

  test("says that it lost what the kernel did not keep, and ends", () => {
    const root = scratch();
    const most = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    // One event for each, because no two that follow each other are alike; nobody reads while this thread waits.
    const script = `i=0; while [ $i -lt ${most} ]; do : < a/b/file; : < other; i=$((i+1)); done`;
    const files = recorded(root, () => execFileSync("/bin/sh", ["-c", script], { cwd: root }));
    expect(files.opened).toEqual(["/a/b/file", "/other"]);
    expect(files.complete).toBe(false);
    expect(files.missed).toEqual([
      expect.stringMatching(/more files were opened at a time than the kernel keeps/),
    ]);
  });

  test("says which directories it cannot watch", (context) => {
    if (process.getuid?.() === 0) context.skip("root can watch all");
    const root = scratch();
    chmodSync(join(root, "a"), 0o311);
    onTestFinished(() => chmodSync(join(root, "a"), 0o755));
    const files = recorded(root, () => readFileSync(join(root, "other")));
    expect(files).toMatchObject({ complete: false, missed: ["/a cannot be watched (EACCES)"] });
  });

  test("says which directories it may list and not enter", (context) => {
    if (process.getuid?.() === 0) context.skip("root can enter all");
    const root = scratch();
    chmodSync(join(root, "a"), 0o444);
    onTestFinished(() => chmodSync(join(root, "a"), 0o755));
    const files = recorded(root, () => readFileSync(join(root, "other")));
    expect(files).toMatchObject({
      opened: ["/other"],
      missed: ["what is below /a cannot be watched (EACCES)"],
    });
  });

  test("leaves the process its other work, its limits among it, while files are opened without end", async (context) => {
    need(context, has("/usr/bin/gcc"), "gcc is not installed");
    const root = scratch();
    for (let index = 0; index < 500; index++) writeFileSync(join(root, "a", `${index}`), "");
    const flood = join(scratch(), "flood");
    execFileSync("gcc", ["-O2", "-x", "c", "-o", flood, "-"], { input: FLOOD });
    const record = recordFiles(root, null);
    if ("reason" in record) throw new Error(record.reason);
    const others = Array.from({ length: 6 }, () => spawn(flood, [join(root, "a")], { stdio: "ignore" }));
    try {
      await Promise.all(others.map(async (one) => await once(one, "spawn")));
      const started = Date.now();
      // Behind a queue that is never empty, none of these would come before the others have ended.
      for (let tick = 0; tick < 20; tick++) await sleep(20);
      expect(Date.now() - started).toBeLessThan(12_000);
    } finally {
      others.forEach((one) => one.kill("SIGKILL"));
      record.stop(true);
    }
  });

  test("reads while it goes on, and keeps no process alive", async () => {
    const root = scratch();
    const record = recordFiles(root, null);
    if ("reason" in record) throw new Error(record.reason);
    const most = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    // More than the kernel keeps, in parts of which it keeps each.
    for (let part = 0; part < 5; part++) {
      for (let i = 0; i < most / 8; i++) {
        closeSync(openSync(join(root, "a/b/file"), "r"));
        closeSync(openSync(join(root, "other"), "r"));
      }
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    expect(record.stop(true)).toMatchObject({ opened: ["/a/b/file", "/other"], complete: true });
    const script = `import(${JSON.stringify(MODULE)}).then(({ recordFiles }) => recordFiles(${JSON.stringify(root)}, null))`;
    execFileSync(process.execPath, ["-e", script], { timeout: 10_000 });
  });

  test("leaves no descriptor", () => {
    const root = scratch();
    const count = () => readdirSync("/proc/self/fd").length;
    recorded(root, () => undefined, false);
    const before = count();
    recorded(root, () => readFileSync(join(root, "other")));
    expect(count()).toBe(before);
  });
});
