import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cleanLeftovers, cleanStaleCgroups, type Places } from "../../src/host/clean.ts";
import type { HostFacts } from "../../src/host/facts.ts";
import { probeHost } from "../../src/host/probe.ts";
import { need, needRoot } from "./needs.ts";

const live = probeHost();
let directory = "";
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "sandbox-clean-")));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const RANDOM = "0123456789abcdef";
/** The pid of a process that has just ended and been waited for. */
const deadPid = (): number => spawnSync("/bin/true").pid;
const make = (name: string): string => {
  const path = join(directory, name);
  mkdirSync(path, { recursive: true });
  return path;
};
const under = (parent: string): HostFacts => ({
  ...live,
  cgroup: { ...live.cgroup, controllers: { memory: { version: 1, parent }, pids: { version: 1, parent } } },
});
const NOWHERE: Places = { cgroupRoots: [], privateDirectories: [], sharedDirectories: [] };
const long = new Date(Date.now() - 7_200_000);

const clean = (places: Partial<Places>) =>
  cleanLeftovers(under(join(directory, "none")), { ...NOWHERE, ...places });

describe("leftover groups", () => {
  test("of a dead run go, with the empty groups inside", () => {
    const path = make(`sandbox-${deadPid()}-${RANDOM}`);
    mkdirSync(join(path, "inner"));
    expect(cleanStaleCgroups(under(directory))).toEqual({ removed: [join(path, "inner"), path], kept: [] });
    expect(readdirSync(directory)).toEqual([]);
  });

  test("of a run whose supervisor lives stay, also while it is only starting", () => {
    make(`sandbox-${process.pid}-${RANDOM}`);
    expect(cleanStaleCgroups(under(directory))).toEqual({ removed: [], kept: [] });
    expect(cleanLeftovers(under(directory), { ...NOWHERE, cgroupRoots: [directory] }).removed).toEqual([]);
  });

  test("that hold something stay, with the reason", () => {
    const path = make(`sandbox-${deadPid()}-${RANDOM}`);
    writeFileSync(join(path, "member"), "");
    expect(cleanStaleCgroups(under(directory))).toEqual({
      removed: [],
      kept: [{ path, reason: "ENOTEMPTY" }],
    });
    expect(existsSync(path)).toBe(true);
  });

  test.each([
    "sandbox-supervisor",
    `sandbox-0-${RANDOM}`,
    `sandbox-${RANDOM}`,
    "sandbox-1234567",
    `sandbox-1234567-${RANDOM}0`,
    `sandbox-1234567-${RANDOM.toUpperCase()}`,
    `other-1234567-${RANDOM}`,
  ])("%s is no name of ours", (name) => {
    make(name);
    cleanStaleCgroups(under(directory));
    cleanLeftovers(under(directory), { ...NOWHERE, cgroupRoots: [directory] });
    expect(readdirSync(directory)).toEqual([name]);
  });

  test("are found deep in the tree once they have stood for a minute, and links are not followed", () => {
    const name = `sandbox-${deadPid()}-${RANDOM}`;
    const old = make(`tree/slice/scope/${name}`);
    const fresh = make(`tree/other/${name}`);
    const outside = make(`outside/${name}`);
    utimesSync(old, long, long);
    utimesSync(outside, long, long);
    symlinkSync(join(directory, "outside"), join(directory, "tree/link"));
    const places = { ...NOWHERE, cgroupRoots: [join(directory, "tree")] };
    expect(cleanLeftovers(under(join(directory, "none")), places)).toEqual({ removed: [old], kept: [] });
    expect([old, fresh, outside].map(existsSync)).toEqual([false, true, true]);
  });

  test("a real group goes when empty; with a process in it, it stays and the process lives", async (context) => {
    const parent = live.cgroup.controllers.pids;
    needRoot(context);
    need(context, parent !== undefined, "no pids controller to use");
    const path = join(parent?.parent ?? "", `sandbox-${deadPid()}-${RANDOM}`);
    mkdirSync(path);
    const child = spawn("/bin/sleep", ["30"]);
    try {
      writeFileSync(join(path, "cgroup.procs"), String(child.pid));
      const first = cleanStaleCgroups(live);
      expect(first.kept).toContainEqual({ path, reason: "processes are still in it" });
      expect(child.exitCode).toBeNull();
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      expect(cleanStaleCgroups(live).removed).toContain(path);
      expect(existsSync(path)).toBe(false);
    } finally {
      child.kill("SIGKILL");
      if (existsSync(path)) rmdirSync(path);
    }
  });
});

describe("temporary files", () => {
  test("of dead writers go, of living ones and everything else stay", () => {
    const own = make("private");
    const names = [
      `filter.${deadPid()}.0123456789abcdef.tmp`,
      `filter.${process.pid}.0123456789abcdef.tmp`,
      "old.tmp",
      "new.tmp",
      "filter",
    ];
    for (const name of names) writeFileSync(join(own, name), "");
    utimesSync(join(own, "old.tmp"), long, long);
    const { removed } = clean({ privateDirectories: [own] });
    expect(removed.toSorted()).toEqual([names[0], "old.tmp"].map((name) => join(own, name ?? "")).toSorted());
  });

  test("in a directory that others may write are not ours to judge", () => {
    const open = make("open");
    spawnSync("/bin/chmod", ["0777", open]);
    writeFileSync(join(open, `x.${deadPid()}.0123456789abcdef.tmp`), "");
    expect(clean({ privateDirectories: [open] })).toEqual({ removed: [], kept: [] });
  });

  test("an old seed directory goes, a fresh one stays", () => {
    const old = make("shared/sandbox-seed-AbC123");
    const fresh = make("shared/sandbox-seed-XyZ789");
    writeFileSync(join(old, "file"), "");
    utimesSync(old, long, long);
    const { removed } = clean({ sharedDirectories: [join(directory, "shared")] });
    expect(removed).toEqual([join(old, "file"), old]);
    expect(existsSync(fresh)).toBe(true);
  });
});
