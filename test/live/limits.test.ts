/**
 * Each limit of the strict profile is met by a program that wants more, holds, and is named in the report; the
 * machine stays usable meanwhile. Without cgroups (the ordinary user where nothing is delegated) rlimits stand in,
 * and then the program is refused the resource instead of being killed.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { describe, expect, it, type TestContext } from "vitest";
import { probeHost } from "../../src/host/probe.ts";
import { needRoot } from "../host/needs.ts";
import {
  finish,
  hostile,
  need,
  type RunOptions,
  type SandboxRan,
  SLOWNESS,
  sandbox,
  sandboxArgv,
  scratch,
  start,
  USERS,
  written,
} from "./harness.ts";

const MB = 2 ** 20;

/** "KIND AMOUNT ERRNO" of programs/hog.c. */
function taken(ran: SandboxRan): { readonly amount: number; readonly error: string } {
  const [, amount = "", error = ""] = ran.stdout.trim().split("\n").at(-1)?.split(" ") ?? [];
  return { amount: Number(amount), error };
}
const hasCgroup = (ran: SandboxRan): boolean => ran.report?.usage.peakMemorySource === "cgroup";

describe.each(USERS)("strict, run by %s", (user) => {
  const hog = (program: string, args: readonly string[], options: RunOptions = {}) =>
    sandbox(user, [program, ...args], options);

  it("memory: the limit holds and is named", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["memory", "400"], { flags: ["--memory", "64M"] });
    const { usage, reason } = ran.report ?? { usage: undefined, reason: undefined };
    // Killed by the kernel, which the report names; or refused by the rlimit, which the program sees.
    const refused = taken(ran).error === "ENOMEM" && taken(ran).amount <= 64 * MB;
    expect({
      ended: reason === "memory-limit" || refused,
      stdout: ran.stdout,
      stderr: ran.stderr,
    }).toMatchObject({
      ended: true,
    });
    expect(hasCgroup(ran) ? reason : "memory-limit").toBe("memory-limit");
    expect(usage?.peakMemory).toBeLessThanOrEqual(64 * MB * 1.05);
  });

  it("memory: what is written to /tmp counts and cannot exceed its size", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["files", "/tmp/hog", "400"]);
    expect(taken(ran)).toMatchObject({ error: "ENOSPC" });
    expect(taken(ran).amount).toBeLessThanOrEqual(64 * MB * 1.05);
  });

  it("memory: a tmpfs within its size is still bound by the memory limit", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["files", "/tmp/hog", "60"], {
      flags: ["--memory", "32M"],
    });
    expect(hasCgroup(ran) ? ran.report?.reason : "memory-limit").toBe("memory-limit");
  });

  it("processes: a fork bomb stops at the limit and the host can still fork", async (context) => {
    const program = hostile(context, "hog");
    const ran = await hog(program, ["processes"]);
    expect(taken(ran)).toMatchObject({ error: "EAGAIN" });
    expect(taken(ran).amount).toBeLessThanOrEqual(64);
    expect(taken(ran).amount).toBeGreaterThan(32);
    expect(ran.report?.usage.pidsLimitHits ?? 1).toBeGreaterThan(0);
    expect(hasCgroup(ran) ? ran.report?.reason : "pids-limit").toBe("pids-limit");

    const bomb = hog(program, ["bomb"], { flags: ["--timeout", "1s"] });
    for (let count = 0; count < 20; count++) execFileSync("/bin/true");
    expect(await bomb).toMatchObject({ code: 124, hung: false });
  });

  it("processes: threads count too", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["threads", "500"]);
    expect(taken(ran)).toMatchObject({ error: "EAGAIN" });
    expect(taken(ran).amount).toBeLessThanOrEqual(64);
  });

  it("open files: 256 and no more", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["descriptors"]);
    expect(taken(ran)).toEqual({ amount: 253, error: "EMFILE" });
  });

  it("file size: the signal and the report name it", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["file", "/tmp/hog", "100"], {
      flags: ["--set", '/resources/fileSize="8M"'],
    });
    expect(ran).toMatchObject({ code: 128 + 25, report: { signal: "SIGXFSZ", reason: "file-size-limit" } });
  });

  it("wall time: 124, named, and on time", async (context) => {
    const began = performance.now();
    const ran = await hog(hostile(context, "hog"), ["wait"], { flags: ["--timeout", "500ms"] });
    expect(ran).toMatchObject({ code: 124, report: { reason: "wall-time-limit" } });
    expect(performance.now() - began).toBeLessThan(6000 * SLOWNESS);
    expect(ran.report?.usage.wallTime).toBeGreaterThanOrEqual(500);
  });

  it("wall time: ends a program that ignores every signal and has hidden its children", async () => {
    const ran = await sandbox(
      user,
      [
        "/bin/sh",
        "-c",
        "trap '' TERM INT HUP QUIT; (trap '' TERM; setsid sleep 77 &) ; while :; do sleep 77; done",
      ],
      { flags: ["--timeout", "700ms"] },
    );
    expect(ran).toMatchObject({ code: 124, hung: false, report: { reason: "wall-time-limit" } });
  });

  it("CPU time: a spinning program is stopped and the report names it", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["cpu"], {
      flags: ["--set", '/resources/cpuTime="1s"', "--timeout", "14s"],
    });
    expect(ran.report?.reason).toBe("cpu-time-limit");
    // The kernel counts RLIMIT_CPU in ticks and reports usage exactly; on a busy host the two differ.
    expect(ran.report?.usage.cpuTime).toBeGreaterThanOrEqual(500);
    expect(ran.report?.usage.cpuTime).toBeLessThan(2500);
  });

  it("usage: wall and CPU time and peak memory are about what was used", async (context) => {
    const ran = await hog(hostile(context, "hog"), ["memory", "40"]);
    expect(ran.code).toBe(0);
    expect(ran.report?.usage.peakMemory).toBeGreaterThan(39 * MB);
    expect(ran.report?.usage.peakMemory).toBeLessThan(80 * MB);
    expect(ran.report?.usage.wallTime).toBeGreaterThan(0);
  });

  it("every control that was decided is read back as asked", async () => {
    const ran = await sandbox(user, ["/bin/sleep", "0.2"]);
    expect(ran.report?.enforcement.length).toBeGreaterThan(10);
    expect(ran.report?.enforcement.filter(({ matches }) => !matches)).toEqual([]);
  });
});

/** A run of the hog whose supervisor sits in a cgroup with a limit that is narrower than the sandbox's own. */
async function runWithin(
  context: TestContext,
  name: "pids" | "memory",
  limit: Readonly<Record<1 | 2, readonly [file: string, value: string]>>,
  hogs: readonly string[],
  flags: readonly string[],
) {
  needRoot(context);
  const controller = probeHost().cgroup.controllers[name];
  need(context, controller !== undefined, `no ${name} controller`);
  if (controller === undefined) throw new Error("not skipped");
  const around = `${controller.parent}/around-${process.pid}-${name}`;
  mkdirSync(around);
  const place = controller.version === 1 ? around : `${around}/leaf`;
  if (controller.version === 2) {
    writeFileSync(`${around}/cgroup.subtree_control`, "+memory +pids");
    mkdirSync(place);
  }
  try {
    const [file, value] = limit[controller.version];
    writeFileSync(`${around}/${file}`, value);
    const directory = scratch("root");
    const argv = sandboxArgv("root", directory, [hostile(context, "hog"), ...hogs], { flags });
    const enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', place, ...argv];
    const ran = await finish(start(enter, { directory }));
    return { ...ran, ...written(directory) };
  } finally {
    for (const path of new Set([place, around])) rmdirSync(path);
  }
}

describe("a limit around the sandbox is not said to be its own", () => {
  it("of processes", async (context) => {
    const limit = ["pids.max", "48"] as const;
    const ran = await runWithin(context, "pids", { 1: limit, 2: limit }, ["processes"], ["--pids", "64"]);
    expect(ran.stdout).toContain("EAGAIN");
    expect(ran.report?.usage).toMatchObject({ pidsLimitHits: 0 });
    expect(ran.report?.usage.outsidePidsHits).toBeGreaterThan(0);
    expect(ran.report?.reason).not.toBe("pids-limit");
    expect(ran.stderr).toContain("a process limit outside of the sandbox");
    expect(ran.stderr).not.toContain("process limit of 64");
  });

  it("of memory", async (context) => {
    const limit = { 1: ["memory.limit_in_bytes", "200M"], 2: ["memory.max", "200M"] } as const;
    const ran = await runWithin(context, "memory", limit, ["memory", "900"], ["--memory", "2G"]);
    expect(ran.report).toMatchObject({ reason: "signalled", signal: "SIGKILL", usage: { oomKills: 0 } });
    expect(ran.report?.usage.outsideOomKills).toBeGreaterThan(0);
    expect(ran.stderr).toContain("want of memory outside of the sandbox");
    expect(ran.stderr).not.toContain("memory limit of");
  });
});

describe.each(USERS)("judge, run by %s", (user) => {
  it("output: a flood is stopped at the limit, or the profile is refused where it cannot count", async (context) => {
    const ran = await sandbox(user, [hostile(context, "hog"), "output", "64"], { profile: "judge" });
    // judge needs cgroups; where there are none it must refuse, naming the reason.
    const refused = ran.code === 125 && /resources/.test(ran.stderr);
    expect({
      ended: refused || ran.report?.reason === "output-limit",
      stderr: ran.stderr.slice(0, 500),
    }).toMatchObject({
      ended: true,
    });
    expect(ran.stdout.length).toBeLessThanOrEqual(16 * MB * 1.05);
  });
});
