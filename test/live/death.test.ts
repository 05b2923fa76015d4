/**
 * Whoever dies, whenever: no process, mount, cgroup or file of the sandbox is left two seconds later.
 * The payload hides its children: own sessions, every catchable signal ignored.
 */

import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  cgroupMembers,
  childrenOf,
  eventually,
  finish,
  marker,
  mounts,
  pause,
  processesWith,
  readProc,
  sandboxArgv,
  sandboxCgroups,
  scratch,
  start,
  USERS,
  type User,
} from "./harness.ts";

const HIDE = `trap '' TERM INT HUP QUIT
(trap '' TERM INT HUP QUIT; setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 0.2; done' "$1" &)
(trap '' TERM INT HUP QUIT; setsid sh -c 'while :; do :; done' "$1" &)
echo ready
while :; do sleep 0.2; done`;

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

/** Supervisor, monitor, init, payload: a chain of first children that carry the marker. */
function chain(supervisor: number): readonly number[] {
  const pids = [supervisor];
  for (let next = childrenOf(supervisor); next.length > 0 && pids.length < 4; ) {
    const [first = 0] = next;
    pids.push(first);
    next = childrenOf(first);
  }
  return pids;
}

/** What is left of a run: nothing, within two seconds. */
async function leftovers(run: Running, cgroupsBefore: ReadonlySet<string>, mountsBefore: string) {
  await eventually(() => processesWith(run.word).length === 0, 2000);
  const processes = processesWith(run.word).map((pid) => readProc(pid, "cmdline").replaceAll("\0", " "));
  // Cgroups of other tests' living sandboxes are theirs: ours are those that still stand with nobody in them.
  const abandoned = () =>
    sandboxCgroups().filter((path) => !cgroupsBefore.has(path) && cgroupMembers(path)?.length === 0);
  await eventually(() => abandoned().length === 0, 2000);
  const files = readdirSync(run.directory).filter(
    (name) => !/^(audit\.jsonl|report\.json|state|cache)/.test(name),
  );
  return { processes, cgroups: abandoned(), files, mounts: mounts() === mountsBefore };
}
const NOTHING = { processes: [], cgroups: [], files: [], mounts: true };

describe.each(USERS)("run by %s", (user) => {
  it.for(["supervisor", "monitor", "init", "payload"] as const)(
    "SIGKILL of the %s, once the payload runs, leaves nothing",
    async (who) => {
      const cgroups = new Set(sandboxCgroups());
      const table = mounts();
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
      expect(await leftovers(run, cgroups, table)).toEqual(NOTHING);
    },
  );

  it("SIGKILL of the supervisor at 24 moments of its life leaves nothing", async () => {
    const cgroups = new Set(sandboxCgroups());
    const table = mounts();
    // From before Node has started to after the payload runs; four at a time.
    const delays = Array.from({ length: 24 }, (_, index) => 40 + index * 12);
    const left: unknown[] = [];
    for (let at = 0; at < delays.length; at += 4) {
      const batch = delays.slice(at, at + 4).map(async (delay) => {
        const run = begin(user);
        await pause(delay);
        process.kill(run.supervisor, "SIGKILL");
        await run.done;
        const remains = await leftovers(run, cgroups, table);
        if (JSON.stringify(remains) !== JSON.stringify(NOTHING)) left.push({ delay, remains });
      });
      await Promise.all(batch);
    }
    expect(left).toEqual([]);
  });

  it("SIGKILL of monitor or init as soon as it exists leaves nothing", async () => {
    const cgroups = new Set(sandboxCgroups());
    const table = mounts();
    const left: unknown[] = [];
    for (const depth of [1, 2, 1, 2, 1, 2]) {
      const run = begin(user);
      const appeared = await eventually(() => chain(run.supervisor).length > depth, 10_000);
      const victim = chain(run.supervisor)[depth];
      if (!appeared || victim === undefined) throw new Error("the sandbox did not start");
      process.kill(victim, "SIGKILL");
      const ran = await run.done;
      const remains = await leftovers(run, cgroups, table);
      if (ran.hung || ran.code === 0 || JSON.stringify(remains) !== JSON.stringify(NOTHING))
        left.push({ depth, ran, remains });
    }
    expect(left).toEqual([]);
  });

  it("a supervisor that is killed while stopped leaves nothing", async () => {
    const cgroups = new Set(sandboxCgroups());
    const table = mounts();
    const run = begin(user);
    if (run.child.stdout === null) throw new Error("no pipe");
    await once(run.child.stdout, "data");
    process.kill(run.supervisor, "SIGSTOP");
    await pause(50);
    process.kill(run.supervisor, "SIGKILL");
    await run.done;
    expect(await leftovers(run, cgroups, table)).toEqual(NOTHING);
  });

  it("the image of the monitor and of init is not a file of the host", async () => {
    const run = begin(user);
    if (run.child.stdout === null) throw new Error("no pipe");
    await once(run.child.stdout, "data");
    const images = chain(run.supervisor)
      .slice(1, 3)
      .map((pid) => readlinkSync(`/proc/${pid}/exe`));
    process.kill(run.supervisor, "SIGKILL");
    await run.done;
    expect(images.length).toBe(2);
    for (const image of images) expect(image).toMatch(/^\/memfd:/);
  });
});
