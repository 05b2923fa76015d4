/** A directory that keeps the writes is the one that was marked and locked, whatever is renamed beside it meanwhile. */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  as,
  eventually,
  finish,
  giveTo,
  installed,
  need,
  scratch,
  start,
  tool,
  USERS,
  type User,
} from "./harness.ts";

/** Long enough for a rename on a busy machine; strace's default unit is microseconds. */
const PAUSE = 1_500_000;

/** A launcher by itself that stops for a while when it has its lock. */
async function swapped(user: User, swap: (kept: string) => void) {
  const directory = scratch(user);
  const kept = join(directory, "kept");
  mkdirSync(kept);
  giveTo(user, kept);
  const launcher = join(directory, "launcher");
  const compiled = await tool(user, ["compile", "--write", kept, "-o", launcher], { cwd: directory });
  expect(compiled).toMatchObject({ code: 0 });
  const mark = statSync(join(kept, ".sandbox-writes")).ino;
  const slowed = ["-f", "-o", "/dev/null", "-e", "trace=flock", "-e", `inject=flock:delay_exit=${PAUSE}`];
  const command = ["/bin/sh", "-c", "echo written > /usr/written"];
  const child = start(as(user, ["strace", ...slowed, launcher, ...command]), { directory });
  const done = finish(child);
  const locked = (): boolean => readFileSync("/proc/locks", "utf8").includes(`:${mark} `);
  expect(await eventually(locked, 10_000)).toBe(true);
  swap(kept);
  return { ...(await done), kept };
}

const filesOf = (directory: string): readonly string[] =>
  readdirSync(directory, { recursive: true }).map(String);

describe.each(USERS)("kept writes, as %s", (user) => {
  it("stay where they were locked: nothing is written to what took the directory's place", async (context) => {
    need(context, installed("strace"), "strace is not installed");
    const ran = await swapped(user, (kept) => {
      renameSync(kept, `${kept}.aside`);
      mkdirSync(kept);
      giveTo(user, kept);
    });
    expect(filesOf(ran.kept)).toEqual([]);
    const written = filesOf(`${ran.kept}.aside`).some((path) => path.endsWith("/written"));
    // Root's monitor goes on with what it has open. An ordinary user's init has to look it up again, and sees that it is another.
    const end = {
      root: { code: 0, stderr: "" },
      user: { code: 125, stderr: expect.stringContaining("ESTALE") },
    };
    expect(ran).toMatchObject(end[user]);
    expect(written).toBe(user === "root");
  });
});
