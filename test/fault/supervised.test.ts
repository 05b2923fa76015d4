/**
 * The supervised run when the machine turns against it: killed at any moment, disks full or read-only, no descriptor,
 * no process, no cgroup to be had. It may refuse; it may not go on with less, hang, or leave anything.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  cgroupMembers,
  childrenOf,
  codeOf,
  environment,
  eventually,
  finish,
  giveTo,
  hostile,
  marker,
  ordinaryUid,
  pause,
  type Ran,
  sandbox,
  sandboxArgv,
  sandboxCgroups,
  scratch,
  start,
  USERS,
  type User,
  written,
} from "../live/harness.ts";
import { before, chain, HIDE, leftovers, NOTHING } from "../live/leftovers.ts";
import { judge, ownNamespaces, sweep } from "./inject.ts";

const isRoot = process.getuid?.() === 0;
const WIDTH = Math.min(4, availableParallelism() + 1);

/**
 * Runs a command in PID and mount namespaces of its own, after a shell script that may spoil them. What a
 * bug kills or mounts stays inside. `$@` in the script is the command.
 */
function spoiled(script: string, argv: readonly string[]): readonly string[] {
  const enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const shell = ["--", "/bin/sh", "-euc", script, "sh"];
  return isRoot
    ? [...enter, ...shell, ...argv]
    : [
        ...enter,
        "--user",
        "--map-current-user",
        "--keep-caps",
        ...shell,
        "setpriv",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "--",
        ...argv,
      ];
}

/** The same numbers on every run: xorshift. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

describe.each(USERS)("killed, run by %s", (user) => {
  /** The shell that is pid 1 of the namespace stays until it has been looked at, so that nothing ends with it. */
  const HOLD = '"$@" </dev/null & wait $! || :; read line || :';

  /** Kills one role at one moment; what is left, or why nothing was killed. */
  async function killAt(
    who: "supervisor" | "monitor" | "init",
    share: number,
    env: Readonly<Record<string, string>>,
  ): Promise<unknown> {
    const was = before();
    const word = marker();
    const directory = scratch(user);
    const command = sandboxArgv(user, directory, ["/bin/sh", "-c", HIDE, word, word]);
    const [head = "", ...rest] = spoiled(HOLD, command);
    const child = spawn(head, rest, {
      cwd: directory,
      env: environment(directory, env),
      stdio: ["pipe", "ignore", "ignore"],
    });
    const closed = once(child, "close");
    try {
      const shell = () => childrenOf(child.pid ?? 0)[0] ?? 0;
      const roles = () => chain(childrenOf(shell())[0] ?? 0);
      const depth = ["supervisor", "monitor", "init"].indexOf(who);
      // Half of the supervisors die at some moment of Node's start; every other victim just after it has appeared.
      const early = who === "supervisor" && share < 0.5;
      const appeared = await eventually(() => (roles()[early ? 0 : Math.max(depth, 1)] ?? 0) > 0, 10_000, 1);
      if (!appeared) return "the sandbox did not start";
      await pause(early ? share * 400 : share * 12);
      const victim = roles()[depth] ?? 0;
      if (victim === 0) return "nobody to kill";
      process.kill(victim, "SIGKILL");
      const holders = new Set([child.pid ?? 0, shell()]);
      const remains = await leftovers({ word, directory, holders }, was);
      return JSON.stringify(remains) === JSON.stringify(NOTHING) ? null : remains;
    } finally {
      child.stdin.end();
      await closed;
    }
  }

  it.for(["supervisor", "monitor", "init"] as const)(
    "SIGKILL of the %s at twenty moments leaves nothing",
    { timeout: 60_000 },
    async (who) => {
      const random = randomNumbers(who.length * 7919);
      const moments = Array.from({ length: 20 }, random);
      const wrong: unknown[] = [];
      // Without what is known already, the first child would be a question to the kernel, and not the monitor.
      const env = { XDG_CACHE_HOME: scratch(user) };
      expect((await sandbox(user, ["/bin/true"], { env })).code).toBe(0);
      await sweep(moments, WIDTH, async (share) => {
        const remains = await killAt(who, share, env);
        if (remains !== null) wrong.push({ share, remains });
      });
      expect(wrong).toEqual([]);
      expect((await sandbox(user, ["/bin/true"])).code).toBe(0);
    },
  );
});

interface Hardship {
  readonly name: string;
  /** Shell, before the command; $D is a place of the run's own that the caller may write to. */
  readonly script: string;
  /** The audit log lies in $D, else the cache does. */
  readonly audit?: boolean;
  /** `closed`: refused; `unaffected`: it does not matter; `any`: either, and never weaker. */
  readonly verdict: "closed" | "unaffected" | "any";
  /** What a refusal has to name. */
  readonly says?: RegExp;
  readonly only?: User;
}
const disk = (options: string) => `mount -t tmpfs -o ${options},uid=$OWNER none "$D"`;
const fill = 'head -c 1000000 /dev/zero > "$D/fill" 2>/dev/null || :';
const MISERY: readonly Hardship[] = [
  {
    name: "log: full",
    script: `${disk("size=4k,mode=700")}; ${fill}`,
    audit: true,
    verdict: "closed",
    says: /ENOSPC|no space/i,
  },
  {
    name: "log: read-only",
    script: disk("ro,mode=700"),
    audit: true,
    verdict: "closed",
    says: /EROFS|read-only/i,
  },
  {
    name: "log: no access",
    script: disk("mode=000"),
    audit: true,
    verdict: "closed",
    says: /EACCES|permission/i,
    only: "user",
  },
  { name: "cache: full", script: `${disk("size=4k,mode=700")}; ${fill}`, verdict: "unaffected" },
  { name: "cache: read-only", script: disk("ro,mode=700"), verdict: "unaffected" },
  { name: "cache: no access", script: disk("mode=000"), verdict: "unaffected" },
  {
    name: "cgroups: read-only",
    script: "for m in /sys/fs/cgroup/*; do mount --bind $m $m; mount -o remount,bind,ro $m; done",
    verdict: "any",
  },
  { name: "cgroups: hidden", script: "mount -t tmpfs none /sys/fs/cgroup", verdict: "any" },
  {
    name: "cgroups: no access",
    script: "mount -t tmpfs -o mode=000 none /sys/fs/cgroup",
    verdict: "any",
  },
  ...[3, 10, 16, 18, 20, 22, 24, 26, 28, 30, 34, 40, 64].map((count) => ({
    name: `descriptors: ${count}`,
    script: `ulimit -Sn ${count}`,
    verdict: "any" as const,
  })),
  // From 3 to 7 Node itself waits for ever for its threads, before it runs anything of ours.
  ...[2, 9, 10, 11, 12, 13, 14, 15, 16, 20].map((count) => ({
    name: `processes: ${count}`,
    script: `echo ${count} > "$PIDS/pids.max"; echo 0 > "$PIDS/cgroup.procs"`,
    verdict: "any" as const,
  })),
];
const OWN = ownNamespaces();
/** Where the test may make cgroups that limit processes; null where it may not. */
const PIDS = isRoot && existsSync("/sys/fs/cgroup/pids/tasks") ? "/sys/fs/cgroup/pids" : null;

describe.each(USERS)("starved, run by %s", (user) => {
  const owner = user === "root" ? 0 : ordinaryUid();
  /** One run of the probe after the script. */
  async function starve(probe: string, { script, audit }: Pick<Hardship, "script" | "audit">) {
    const was = before();
    const word = marker();
    const directory = scratch(user);
    const place = join(directory, "cache");
    mkdirSync(place);
    giveTo(user, place);
    const pids = script.includes("$PIDS") && PIDS !== null ? join(PIDS, `faults-${word}`) : "";
    if (pids !== "") mkdirSync(pids);
    const flags = audit === true ? ["--audit", join(place, "audit.jsonl")] : [];
    const command = sandboxArgv(user, directory, [probe, word], { flags });
    const ran = await finish(
      start(spoiled(`D=${place}; PIDS=${pids}; OWNER=${owner}; ${script}; "$@"`, command), { directory }),
    );
    const remains = await leftovers({ word, directory }, was);
    if (pids !== "") await eventually(() => removed(pids), 2000);
    return { ran, remains };
  }

  it("refuses or holds as ever: disks, cgroups, descriptors, processes", async (context) => {
    const probe = hostile(context, "probe");
    const hardships = MISERY.filter(({ only }) => only === undefined || only === user).filter(
      ({ script }) => PIDS !== null || !script.includes("$PIDS"),
    );
    if (PIDS === null) console.log("faults: no pids cgroup to be had, so processes are not made scarce");
    const clean = withoutLimits((await starve(probe, { script: ":" })).ran);
    expect(clean.stdout).toContain("end=");
    const wrong: unknown[] = [];
    const seen: string[] = [];
    await sweep(hardships, WIDTH, async (hardship) => {
      const { ran, remains } = await starve(probe, hardship);
      const { verdict, detail } = judge(clean.stdout, withoutLimits(ran), OWN);
      seen.push(`${hardship.name} ${verdict}`);
      const expected = hardship.verdict === "any" ? ["closed", "unaffected"] : [hardship.verdict];
      const said = verdict !== "closed" || (hardship.says ?? /./).test(ran.stderr);
      if (!expected.includes(verdict) || !said || JSON.stringify(remains) !== JSON.stringify(NOTHING))
        wrong.push({ hardship: hardship.name, verdict, detail, said, remains });
    });
    expect(wrong).toEqual([]);
    expect(seen.length).toBe(hardships.length);
    // Both ends of each scale were reached: it did become scarce, and it was enough at last.
    for (const kind of ["descriptors", ...(PIDS === null ? [] : ["processes"])]) {
      const verdicts = seen.filter((line) => line.startsWith(kind)).map((line) => line.split(" ").at(-1));
      expect(new Set(verdicts)).toEqual(new Set(["closed", "unaffected"]));
    }
  }, 60_000);

  it("says so when the log's disk fills during the run: status 0 means a whole log", async (context) => {
    const probe = hostile(context, "probe");
    const wrong: unknown[] = [];
    const statuses = new Set<boolean>();
    await sweep([8, 16, 32, 48, 56, 64, 72, 80, 96, 256], WIDTH, async (kilobytes) => {
      const directory = scratch(user);
      const place = join(directory, "cache");
      mkdirSync(place);
      giveTo(user, place);
      const command = sandboxArgv(user, directory, [probe], {
        flags: ["--audit", join(place, "audit.jsonl")],
      });
      const script = `${disk(`size=${kilobytes}k,mode=700`)}; status=0; "$@" >/dev/null || status=$?; cat "$D/audit.jsonl" || :; exit $status`;
      const ran = await finish(
        start(spoiled(`D=${place}; OWNER=${owner}; ${script}`, command), { directory }),
      );
      const whole = ran.stdout.trim().split("\n").at(-1)?.includes('"kind":"run-end"') === true;
      statuses.add(ran.code === 0);
      if (ran.hung || (ran.code === 0 && !whole) || (ran.code !== 0 && ran.stderr === ""))
        wrong.push({ kilobytes, code: ran.code, whole, stderr: ran.stderr });
    });
    expect(wrong).toEqual([]);
    expect(statuses).toEqual(new Set([true, false]));
  }, 60_000);
});

describe.each(USERS)("cgroups taken away, run by %s", (user) => {
  // Only root may move processes out of cgroups.
  it.runIf(user === "root")("ends as ever when somebody removes the run's cgroups meanwhile", async () => {
    const known = new Set(sandboxCgroups());
    const directory = scratch(user);
    const child = start(sandboxArgv(user, directory, ["/bin/sh", "-c", "echo ready; read line; exit 3"]), {
      directory,
    });
    if (child.stdout === null || child.stdin === null) throw new Error("no pipes");
    const { stdin } = child;
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const closed = once(child, "close");
    expect(await eventually(() => output.includes("ready"), 10_000)).toBe(true);
    const [, monitor = 0] = chain(child.pid ?? 0);
    const runId = runOf(monitor, known);
    const ours = sandboxCgroups().filter((path) => path.endsWith(runId));
    for (const path of ours) {
      for (const pid of cgroupMembers(path) ?? []) writeFileSync(join(path, "../cgroup.procs"), `${pid}`);
      expect(await eventually(() => removed(path), 2000)).toBe(true);
    }
    expect(ours.length).toBeGreaterThan(0);
    stdin.end("go\n");
    const [code] = await closed;
    expect({ code, reason: written(directory).report?.reason }).toEqual({ code: 3, reason: "exited" });
  });
});

/** The run id of a sandbox, from the cgroups that its init is in. */
function runOf(monitor: number, known: ReadonlySet<string>): string {
  const [init = 0] = childrenOf(monitor);
  const path = sandboxCgroups().find((each) => !known.has(each) && cgroupMembers(each)?.includes(init));
  if (path === undefined) throw new Error("the run has no cgroup");
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Limits are other ones without cgroups: rlimits stand in. */
function withoutLimits(ran: Ran): Ran {
  const stdout = ran.stdout
    .split("\n")
    .filter((line) => !line.startsWith("limit="))
    .join("\n");
  return { ...ran, stdout };
}

/** Removes a cgroup; false while somebody is in it. */
function removed(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EBUSY") return false;
    throw error;
  }
}
