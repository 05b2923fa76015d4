import { spawn } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CgroupPlan } from "../../src/compile/plan.ts";
import {
  CgroupPrepareError,
  cgroupPaths,
  cpuClock,
  prepareCgroup,
  readKey,
  removeCgroups,
} from "../../src/launch/cgroup.ts";
import { watchCpuTime } from "../../src/launch/cpu-watch.ts";
import { launch } from "../../src/launch/launch.ts";
import { type FixtureOptions, prepare } from "./fixture.ts";

/** A v1 hierarchy that counts CPU time and where this user may make groups. */
const ROOT = ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct"].find((path) => {
  try {
    accessSync(path, constants.W_OK);
    return process.getuid?.() === 0 && existsSync(`${path}/cpuacct.usage`);
  } catch {
    return false;
  }
});
if (ROOT === undefined) {
  const reason = "no v1 cpuacct hierarchy that this user may write";
  console.log(`skipped: live cgroups (${reason})`);
}

describe("paths of a run", () => {
  it("are one directory per hierarchy", () => {
    const plans: CgroupPlan[] = [
      { version: 1, parent: "/a", controllers: ["memory"] },
      { version: 1, parent: "/b", controllers: ["pids"] },
      { version: 1, parent: "/a", controllers: ["cpu"] },
    ];
    expect(cgroupPaths(plans, "1-ab")).toEqual(["/a/sandbox-1-ab", "/b/sandbox-1-ab"]);
  });
});

describe("a flat keyed file", () => {
  it.each([
    ["oom 1\noom_kill 2\n", "oom_kill", 2],
    ["oom 1\noom_kill 2\n", "oom", 1],
    ["oom_kill 0", "oom_kill", 0],
    ["oom_kill_disable 0\n", "oom_kill", null],
    ["", "oom_kill", null],
    ["oom_kill \n", "oom_kill", null],
  ])("%j has %s", (text, key, expected) => {
    expect(readKey(text, key)).toBe(expected);
  });
});

describe("the clock", () => {
  it("reads v2 microseconds and v1 nanoseconds, and waits for a cgroup that is not there", () => {
    const parent = mkdtempSync(join(tmpdir(), "sandbox-test-clock-"));
    const own = join(parent, "sandbox-x");
    const v2 = cpuClock([{ version: 2, parent, controllers: ["memory"] }], "x");
    const v1 = cpuClock([{ version: 1, parent, controllers: ["cpuacct"] }], "x");
    expect(v2?.()).toBe(null);
    mkdirSync(own);
    writeFileSync(join(own, "cpu.stat"), "usage_usec 1500\nuser_usec 1\n");
    writeFileSync(join(own, "cpuacct.usage"), "2500000\n");
    expect(v2?.()).toBe(1.5);
    expect(v1?.()).toBe(2.5);
    expect(cpuClock([{ version: 1, parent, controllers: ["memory"] }], "x")).toBe(null);
    rmSync(parent, { recursive: true });
  });
});

describe("the CPU watch", () => {
  it("looks no more often than the limit can be reached, and strikes once", async () => {
    const looks: number[] = [];
    const start = performance.now();
    await new Promise<void>((resolve) => {
      const stop = watchCpuTime(
        () => {
          looks.push(performance.now() - start);
          return looks.length < 3 ? 100 : 200;
        },
        200,
        2,
        () => {
          stop();
          resolve();
        },
      );
      // The watch keeps no process alive by itself.
      setTimeout(() => {}, 1000).unref();
    });
    expect(looks).toHaveLength(3);
    expect(looks[0]).toBeGreaterThanOrEqual(99);
    expect((looks[1] ?? 0) - (looks[0] ?? 0)).toBeGreaterThanOrEqual(49);
  });
});

describe("preparing a delegated directory", () => {
  it("says which file refused and why", () => {
    const parent = mkdtempSync(join(tmpdir(), "sandbox-test-prepare-"));
    const plan = {
      subtreeControl: join(parent, "cgroup.subtree_control"),
      enable: ["memory"],
      leaf: null,
    } as const;
    const refused = expect.objectContaining({ target: plan.subtreeControl, code: "ENOENT" });
    expect(() => prepareCgroup(plan)).toThrow(CgroupPrepareError);
    expect(() => prepareCgroup(plan)).toThrow(refused);
    rmSync(parent, { recursive: true });
  });

  it("moves to the leaf first, then enables, once per process", () => {
    const parent = mkdtempSync(join(tmpdir(), "sandbox-test-prepare-"));
    const leaf = join(parent, "leaf");
    const control = join(parent, "cgroup.subtree_control");
    mkdirSync(leaf);
    writeFileSync(join(leaf, "cgroup.procs"), "");
    writeFileSync(join(parent, "cgroup.procs"), `${process.pid}\n`);
    writeFileSync(control, "");
    const plan = { subtreeControl: control, enable: ["memory", "pids"], leaf } as const;
    prepareCgroup(plan);
    expect(readFileSync(join(leaf, "cgroup.procs"), "utf8")).toBe(String(process.pid));
    expect(readFileSync(control, "utf8")).toBe("+memory +pids");
    rmSync(parent, { recursive: true });
    prepareCgroup(plan);
  });
});

describe.skipIf(ROOT === undefined && process.env.SANDBOX_MUST_WORK !== "1")("live cgroups", () => {
  const parent = `${ROOT}/test-launch-${process.pid}`;
  const cgroup: CgroupPlan = { version: 1, parent, controllers: ["cpuacct"] };
  const groups = (): readonly string[] => readdirSync(parent).filter((name) => name.startsWith("sandbox-"));

  beforeAll(() => mkdirSync(parent));
  afterAll(() => rmdirSync(parent));

  async function run(options: FixtureOptions, command: readonly string[], kill?: (pid: number) => void) {
    const prepared = prepare({ cgroup, ...options });
    try {
      return await launch({
        prepared,
        command,
        env: {},
        ...(kill === undefined ? {} : { onStart: ({ pid }) => setTimeout(() => kill(pid), 150) }),
      });
    } finally {
      prepared.close();
    }
  }

  it("are gone after an ordinary run", async () => {
    expect(await run({}, ["true"])).toMatchObject({ exitCode: 0 });
    expect(groups()).toEqual([]);
  });

  it("are gone, with every process in them, when the launcher was killed", async () => {
    const outcome = await run({}, ["sh", "-c", "sleep 100 & sleep 100"], (pid) =>
      process.kill(pid, "SIGKILL"),
    );
    expect(outcome.launchError?.errno).toBe("EOWNERDEAD");
    expect(groups()).toEqual([]);
  });

  it("bound the CPU time of all processes together", async () => {
    const outcome = await run({ cpuTime: 300 }, ["sh", "-c", "while :; do :; done & while :; do :; done"]);
    expect(outcome).toMatchObject({ reason: "cpu-time-limit", signal: "SIGKILL" });
    expect(groups()).toEqual([]);
  });

  it("are emptied and removed, and what is not there is fine", async () => {
    const path = `${parent}/sandbox-stray`;
    mkdirSync(path);
    const child = spawn("sleep", ["100"], { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
    writeFileSync(`${path}/cgroup.procs`, String(child.pid));
    expect(await removeCgroups([path, `${parent}/sandbox-none`])).toEqual([]);
    expect(await ended).toBe("SIGKILL");
    expect(existsSync(path)).toBe(false);
  });
});
