/** Two sandboxes at once: no channel between them, though the same two programs find each other outside on every one. */

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  as,
  finish,
  hostile,
  marker,
  need,
  resultsOf,
  SLOWNESS,
  sandboxArgv,
  scratch,
  start,
  USERS,
  type User,
} from "./harness.ts";

const CHANNELS = 19;
/** Files and directories of the host that both sandboxes show; opening them in one must not be seen in the other. */
const watched = ["/usr/bin/env", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/alternatives"];
const missing = watched.filter((path) => !existsSync(path));

/** Starts the holder, then the seeker while the holder lives. */
async function meet(
  argvOf: (command: readonly string[], directory: string) => readonly string[],
  user: User,
  program: string,
) {
  const token = marker();
  const first = scratch(user);
  const holder: ChildProcess = start(argvOf([program, "hold", token], first), { directory: first });
  // The holder lives until its input ends, so it is finished by hand.
  const { stdin, stdout } = holder;
  if (stdin === null || stdout === null) throw new Error("no pipes");
  let said = "";
  stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const closed = once(holder, "close");
  const late = setTimeout(() => holder.kill("SIGKILL"), 15_000 * SLOWNESS);
  while (!said.includes("ready\n") && holder.exitCode === null)
    await Promise.race([once(stdout, "data"), closed]);
  const second = scratch(user);
  const seeker = await finish(start(argvOf([program, "seek", token], second), { directory: second }));
  stdin.end();
  await closed;
  clearTimeout(late);
  return { held: resultsOf(said), sought: resultsOf(seeker.stdout), stderr: seeker.stderr };
}

describe("without a sandbox", () => {
  it("every channel joins two processes of the same user", async (context) => {
    need(context, missing.length === 0, `not on this machine: ${missing.join(" ")}`);
    const { held, sought } = await meet(
      (command) => as("user", command),
      "user",
      hostile(context, "neighbour"),
    );
    expect([...sought].filter(([, result]) => result !== "seen")).toEqual([]);
    expect(sought.size).toBe(CHANNELS);
    expect(watched.map((path) => `${path} ${held.get(`inotify:${path}`)}`)).toEqual(
      watched.map((path) => `${path} seen`),
    );
  });
});

describe.each(USERS)("two sandboxes run by %s", (user) => {
  it.for(["strict", "standard"])(
    "%s: no file, memory, queue, socket, key, lock or process is shared",
    async (profile, context) => {
      need(context, missing.length === 0, `not on this machine: ${missing.join(" ")}`);
      const { held, sought, stderr } = await meet(
        (command, directory) => sandboxArgv(user, directory, command, { profile }),
        user,
        hostile(context, "neighbour"),
      );
      expect({ stderr, count: sought.size }).toEqual({ stderr: "", count: CHANNELS });
      // What the holder could not open proves nothing about sharing, but is as good; what both could open must not meet.
      expect([...sought].filter(([, result]) => !result.startsWith("absent"))).toEqual([]);
      // Ordinary channels do work inside one sandbox.
      expect(held.get("tmp")).toBe("held");
      expect(held.get("tcp")).toBe("held");
      expect(watched.map((path) => `${path} ${held.get(`inotify:${path}`)}`)).toEqual(
        watched.map((path) => `${path} absent`),
      );
    },
  );
});
