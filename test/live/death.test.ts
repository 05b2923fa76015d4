/**
 * Whoever dies, whenever: no process, mount, cgroup or file of the sandbox is left two seconds later. The payload
 * hides its children. (Every moment of a launch: test/fault.)
 */

import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  finish,
  marker,
  pause,
  processesWith,
  sandboxArgv,
  scratch,
  start,
  USERS,
  type User,
} from "./harness.ts";
import { before, chain, HIDE, leftovers, NOTHING } from "./leftovers.ts";

const isRoot = process.getuid?.() === 0;

interface Running {
  readonly word: string;
  readonly directory: string;
  readonly child: ReturnType<typeof start>;
  readonly supervisor: number;
  readonly done: ReturnType<typeof finish>;
}

function begin(user: User): Running {
  const word = marker();
  const directory = scratch(user);
  const child = start(sandboxArgv(user, directory, ["/bin/sh", "-c", HIDE, word, word]), { directory });
  if (child.pid === undefined) throw new Error("not started");
  return { word, directory, child, supervisor: child.pid, done: finish(child, { patience: 20_000 }) };
}

/** What a process executes, or why it is not told. */
function readImage(pid: number): unknown {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
}

describe.each(USERS)("run by %s", (user) => {
  it.for(["supervisor", "monitor", "init", "payload"] as const)(
    "SIGKILL of the %s, once the payload runs, leaves nothing",
    async (who) => {
      const was = before();
      const run = begin(user);
      if (run.child.stdout === null) throw new Error("no pipe");
      await once(run.child.stdout, "data");
      const pids = chain(run.supervisor);
      const victim = pids[["supervisor", "monitor", "init", "payload"].indexOf(who)];
      if (victim === undefined) throw new Error(`no ${who} in ${pids.join(" ")}`);
      expect(processesWith(run.word).length).toBeGreaterThan(3);
      process.kill(victim, "SIGKILL");
      const ran = await run.done;
      expect(ran.hung).toBe(false);
      expect(ran.code).not.toBe(0);
      expect(await leftovers(run, was)).toEqual(NOTHING);
    },
  );

  it("a supervisor that is killed while stopped leaves nothing", async () => {
    const was = before();
    const run = begin(user);
    if (run.child.stdout === null) throw new Error("no pipe");
    await once(run.child.stdout, "data");
    process.kill(run.supervisor, "SIGSTOP");
    await pause(50);
    process.kill(run.supervisor, "SIGKILL");
    await run.done;
    expect(await leftovers(run, was)).toEqual(NOTHING);
  });

  it("the image of the monitor and of init is not a file of the host", async () => {
    const run = begin(user);
    if (run.child.stdout === null) throw new Error("no pipe");
    await once(run.child.stdout, "data");
    const [, monitor = 0, init = 0] = chain(run.supervisor);
    const images = [monitor, init].map(readImage);
    process.kill(run.supervisor, "SIGKILL");
    await run.done;
    expect(images[0]).toMatch(/^\/memfd:/);
    // Init is not dumpable: an ordinary user may not even ask.
    expect(images[1]).toMatch(isRoot ? /^\/memfd:/ : /^EACCES$/);
  });
});
