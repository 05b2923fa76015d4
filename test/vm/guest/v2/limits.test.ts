/**
 * On pure cgroup v2 every limit holds against a program that wants more, is named in the outcome, is read back as it was
 * asked for, and leaves nothing behind: for root in the root of the tree, where the kernel's rules are the loosest, and for an
 * ordinary user in a cgroup that was delegated to them.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  delegate,
  HOG,
  leftCgroups,
  makeCgroup,
  PERSON,
  type Request,
  readControl,
  removeCgroupTree,
  resourceStatus,
  TREE,
  Worker,
} from "./place.ts";

const MB = 2 ** 20;
const hog = (...args: readonly string[]): readonly string[] => [HOG, ...args];
/** hog's "KIND AMOUNT ERRNO". */
const said = (answer: Answer): readonly string[] => answer.outcome.stdout?.trim().split(" ") ?? [];

/** A disk of the guest that is not the one tests run from, by its number: what is written to it directly is what io counts. */
const DISK = { device: "", directory: "/var/io" };
const SWAP = "/var/swap";

beforeAll(() => {
  mkdirSync(DISK.directory, { recursive: true });
  chmodSync(DISK.directory, 0o1777);
  const { dev } = statSync(DISK.directory);
  DISK.device = `${(dev >> 8) & 0xfff}:${dev & 0xff}`;
  execFileSync("dd", ["if=/dev/zero", `of=${SWAP}`, "bs=1M", "count=96", "status=none"]);
  chmodSync(SWAP, 0o600);
  execFileSync("mkswap", [SWAP]);
  execFileSync("swapon", [SWAP]);
});
afterAll(() => {
  execFileSync("swapoff", [SWAP]);
  rmSync(SWAP);
});

describe.each([
  ["root in the root of the tree", "/", 0],
  ["an ordinary user in a delegated cgroup", "/people/person", PERSON],
] as const)("%s", (_who, path, uid) => {
  let worker: Worker;
  const ask = (request: Request) => worker.ask(request);

  beforeAll(() => {
    const directory = makeCgroup(path);
    if (uid !== 0) delegate(directory, uid);
    worker = new Worker(directory, uid);
  });
  afterAll(async () => {
    await worker.end();
    if (uid !== 0) removeCgroupTree("/people/person/sandbox-supervisor", "/people/person", "/people");
  });

  it("strict and standard run a program, every limit in full and read back as asked", async () => {
    for (const profile of ["strict", "standard"]) {
      const answer = await ask({ profile, argv: ["/bin/busybox", "cat", "/proc/self/cgroup"] });
      expect(answer.outcome).toMatchObject({ exitCode: 0, reason: "exited", launchError: null });
      // The root of its cgroup namespace is its own: nothing of the host's tree is told.
      expect(answer.outcome.stdout).toBe("0::/\n");
      expect(answer.outcome.enforcement.filter(({ matches }) => !matches)).toEqual([]);
      expect(answer.outcome.degraded).toEqual([]);
      expect(new Set(Object.values(resourceStatus(answer)))).toEqual(new Set(["full"]));
    }
  });

  it("judge, which requires every limit in full, runs", async () => {
    const { outcome } = await ask({ profile: "judge", argv: hog("memory", "20") });
    expect(outcome).toMatchObject({ exitCode: 0, reason: "exited" });
    expect(outcome.usage.peakMemorySource).toBe("cgroup");
    expect(outcome.usage.peakMemory).toBeGreaterThan(19 * MB);
    expect(outcome.usage.peakMemory).toBeLessThan(40 * MB);
    expect(outcome.usage.cpuTime).toBeGreaterThan(0);
  });

  it("memory: who takes more is killed, which the outcome names, at no more than the limit", async () => {
    const { outcome } = await ask({
      argv: hog("memory", "400"),
      values: { "/resources/memory": "64M", "/resources/swap": 0 },
    });
    expect(outcome).toMatchObject({ reason: "memory-limit", signal: "SIGKILL" });
    expect(outcome.usage.oomKills).toBeGreaterThan(0);
    expect(outcome.usage.peakMemory).toBeLessThanOrEqual(64 * MB);
    expect(outcome.usage.peakMemory).toBeGreaterThan(60 * MB);
  });

  it("memory: a tmpfs of the sandbox and its children count as well", async () => {
    const values = { "/resources/memory": "32M", "/resources/swap": 0 };
    const files = await ask({ argv: hog("files", "/tmp/hog", "60"), values });
    expect(files.outcome.reason).toBe("memory-limit");
    const child = await ask({ argv: ["/bin/sh", "-c", `${HOG} memory 90; echo survived`], values });
    expect(child.outcome.usage.oomKills).toBeGreaterThan(0);
    expect(child.outcome.stdout).not.toContain("memory 90");
  });

  it("swap: what does not fit into memory goes where the profile lets it, and no further", async () => {
    const values = { "/resources/memory": "32M", "/resources/swap": "64M" };
    const fits = await ask({ argv: hog("memory", "60"), values });
    expect(fits.outcome).toMatchObject({ exitCode: 0, reason: "exited" });
    const more = await ask({ argv: hog("memory", "120"), values });
    expect(more.outcome.reason).toBe("memory-limit");
    const none = await ask({ argv: hog("memory", "60"), values: { ...values, "/resources/swap": 0 } });
    expect(none.outcome.reason).toBe("memory-limit");
  });

  it("processes: forks and threads stop at the limit, and the outcome names it", async () => {
    const forks = await ask({ argv: hog("processes"), values: { "/resources/pids": 20 } });
    expect(said(forks)).toEqual(["processes", "19", "EAGAIN"]);
    expect(forks.outcome).toMatchObject({ reason: "pids-limit" });
    expect(forks.outcome.usage.pidsLimitHits).toBeGreaterThan(0);
    const threads = await ask({ argv: hog("threads", "500"), values: { "/resources/pids": 20 } });
    expect(said(threads)).toEqual(["threads", "19", "EAGAIN"]);
  });

  it("CPU: two processes that spin get half a processor between them", async () => {
    const { outcome } = await ask({
      argv: ["/bin/sh", "-c", `${HOG} cpu & ${HOG} cpu`],
      values: { "/resources/cpus": 0.5 },
      timeout: "3s",
    });
    expect(outcome.reason).toBe("wall-time-limit");
    const share = outcome.usage.cpuTime / outcome.usage.wallTime;
    expect(share).toBeLessThan(0.65);
    expect(share).toBeGreaterThan(0.2);
  });

  it("CPU time of all processes together is counted, stops them, and is named", async () => {
    const { outcome } = await ask({
      argv: ["/bin/sh", "-c", `${HOG} cpu & ${HOG} cpu`],
      values: { "/resources/cpuTime": "1500ms", "/resources/cpus": 2 },
      timeout: "60s",
    });
    expect(outcome.reason).toBe("cpu-time-limit");
    expect(outcome.usage.cpuTime).toBeGreaterThanOrEqual(1500);
    expect(outcome.usage.cpuTime).toBeLessThan(4500);
  });

  it("cpuset: the processors named and no others, however they are written", async () => {
    const allowed = ["/bin/grep", "Cpus_allowed_list", "/proc/self/status"];
    for (const [cpuset, list] of [
      ["1", "1"],
      ["0,1", "0-1"],
    ]) {
      const { outcome } = await ask({ argv: allowed, values: { "/resources/cpuset": cpuset } });
      expect(outcome.stdout?.trim().split(/\s+/).at(-1)).toBe(list);
      expect(outcome.enforcement.filter(({ matches }) => !matches)).toEqual([]);
    }
  });

  it("io: a disk is written no faster than the profile says, which without it is several times as fast", async () => {
    const file = `${DISK.directory}/file-${uid}`;
    const bind = {
      type: "bind",
      source: DISK.directory,
      target: "/data",
      options: ["rw", "nosuid", "nodev"],
    };
    const argv = ["/bin/dd", "if=/dev/zero", `of=/data/file-${uid}`, "bs=64k", "count=64", "oflag=direct"];
    const mounts = { "/filesystem/mounts": [bind] };
    const free = await ask({ argv, values: mounts });
    expect(free.outcome).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("copied") });
    rmSync(file);
    const io = [{ device: DISK.device, writeBps: "1M" }];
    const bound = await ask({ argv, values: { ...mounts, "/resources/io": io } });
    rmSync(file);
    expect(bound.outcome).toMatchObject({ exitCode: 0, degraded: [] });
    expect(bound.outcome.enforcement.filter(({ matches }) => !matches)).toEqual([]);
    expect(bound.outcome.enforcement.map(({ expected }) => expected).join()).toContain("io.max");
    // 4 MB at 1 MB/s.
    expect(bound.outcome.usage.wallTime).toBeGreaterThan(3000);
    expect(bound.outcome.usage.wallTime).toBeGreaterThan(2 * free.outcome.usage.wallTime);
  });

  it("a fork bomb ends with the sandbox, and the machine goes on", async () => {
    const { outcome } = await ask({ argv: hog("bomb"), timeout: "1s" });
    expect(outcome.reason).toBe("wall-time-limit");
    execFileSync("true");
  });

  it("nothing of all these runs is left in the tree", () => {
    expect(leftCgroups()).toEqual([]);
  });
});

it("the tree was as it is at boot: the first run itself made the root of it hand on controllers", () => {
  expect(readControl(TREE, "cgroup.subtree_control").split(" ")).toEqual(
    expect.arrayContaining(["cpu", "memory", "pids"]),
  );
  expect(readFileSync("/proc/self/cgroup", "utf8")).toBe("0::/\n");
});
