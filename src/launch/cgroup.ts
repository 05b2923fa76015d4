/**
 * The run's cgroups as the supervisor sees them.
 *
 * The launcher makes, fills and removes them; in an ordinary run nothing here touches a file. What is here: making
 * a v2 parent usable once per process, reading CPU time while the payload runs, and removing what a launcher that
 * was killed could not.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CgroupPlan, SupervisorPlan } from "../compile/plan.ts";
import { errorCode } from "./errors.ts";

/** `<parent>/sandbox-<run id>` of every hierarchy, each once. */
export function cgroupPaths(plans: readonly CgroupPlan[], runId: string): readonly string[] {
  return [...new Set(plans.map(({ parent }) => `${parent}/sandbox-${runId}`))];
}

/** A step of the preparation that failed: what was written where, and the system's error. */
export class CgroupPrepareError extends Error {
  override readonly name = "CgroupPrepareError";
  readonly target: string;
  readonly code: string;
  constructor(target: string, cause: unknown) {
    super(`cannot prepare the cgroup: ${target}`, { cause });
    this.target = target;
    this.code = errorCode(cause);
  }
}

const prepared = new Set<string>();

/**
 * Makes a delegated v2 directory able to hold limited children: controllers can be enabled for children only
 * when no process is left in the directory itself (cgroups(7), "no internal processes"), so all of them move
 * to a leaf first. Once per process and set of controllers; several at the same time do the same and meet no error.
 *
 * Throws CgroupPrepareError; EBUSY means that other processes are still in the directory.
 */
export function prepareCgroup(plan: SupervisorPlan["cgroupPrepare"]): void {
  if (plan === null) return;
  const enable = plan.enable.map((name) => `+${name}`).join(" ");
  const done = `${plan.subtreeControl} ${enable}`;
  if (prepared.has(done)) return;
  if (plan.leaf !== null) {
    try {
      mkdirSync(plan.leaf);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw new CgroupPrepareError(plan.leaf, error);
    }
  }
  for (let attempt = 1; ; attempt += 1) {
    // The shells and wrappers between the delegated scope and us sit in it as well.
    if (plan.leaf !== null)
      for (const pid of processesIn(dirname(plan.subtreeControl))) moveProcess(plan.leaf, pid);
    try {
      write(plan.subtreeControl, enable);
      break;
    } catch (error) {
      // A process that was moved may have had a child meanwhile, which is still here: it is moved in the next round.
      const crowded = error instanceof CgroupPrepareError && error.code === "EBUSY" && plan.leaf !== null;
      if (!crowded || attempt === PREPARE_ATTEMPTS) throw error;
    }
  }
  prepared.add(done);
}

const PREPARE_ATTEMPTS = 20;

function processesIn(directory: string): readonly string[] {
  return readFileSync(`${directory}/cgroup.procs`, "utf8")
    .split("\n")
    .filter((pid) => pid !== "");
}

/** One that has ended meanwhile needs no move. */
function moveProcess(leaf: string, pid: string): void {
  try {
    writeFileSync(`${leaf}/cgroup.procs`, pid, { flag: "r+" });
  } catch (error) {
    if (errorCode(error) !== "ESRCH") throw new CgroupPrepareError(`${leaf}/cgroup.procs`, error);
  }
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "r+" });
  } catch (error) {
    throw new CgroupPrepareError(file, error);
  }
}

/** Reads the CPU time that the sandbox has used so far; null when its cgroup is not there (yet, or any more). */
export type CpuClock = () => number | null;

/** A clock in milliseconds over the run's cgroup, null when no cgroup counts CPU time. */
export function cpuClock(plans: readonly CgroupPlan[], runId: string): CpuClock | null {
  const v1 = plans.find(({ version, controllers }) => version === 1 && controllers.includes("cpuacct"));
  if (v1 !== undefined) {
    const file = `${v1.parent}/sandbox-${runId}/cpuacct.usage`;
    return () => readClock(file, (text) => Number(text) / 1e6);
  }
  // cpu.stat is in every v2 directory, whether the controller is enabled or not.
  const v2 = plans.find(({ version }) => version === 2);
  if (v2 === undefined) return null;
  const file = `${v2.parent}/sandbox-${runId}/cpu.stat`;
  return () => readClock(file, (text) => (readKey(text, "usage_usec") ?? 0) / 1000);
}

function readClock(file: string, parse: (text: string) => number): number | null {
  try {
    return parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENODEV") return null;
    throw error;
  }
}

/** The number after a key in a flat keyed file ("oom_kill 3"); null when there is no such line. */
export function readKey(text: string, key: string): number | null {
  for (const line of text.split("\n")) {
    const [name, value] = line.split(" ");
    if (name === key && value !== undefined && value !== "") return Number(value);
  }
  return null;
}

const REMOVE_ATTEMPTS = 200;
const REMOVE_PAUSE = 10;

/**
 * Kills everything in the run's cgroups and removes them; for runs whose launcher could not. What is not there
 * is fine. Tries for two seconds: a process that was killed leaves its cgroup only when the kernel has torn it down.
 * Resolves to the directories that are still there.
 */
export async function removeCgroups(paths: readonly string[]): Promise<readonly string[]> {
  let left = paths;
  for (let attempt = 0; attempt < REMOVE_ATTEMPTS; attempt += 1) {
    left = left.filter((path) => !removeCgroup(path));
    if (left.length === 0) break;
    await sleep(REMOVE_PAUSE);
  }
  return left;
}

/** Whether the directory is gone. */
function removeCgroup(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return true;
    if (errorCode(error) !== "EBUSY") throw error;
  }
  killMembers(path);
  return false;
}

function killMembers(path: string): void {
  try {
    // All at once, forks included (v2, Linux 5.14).
    writeFileSync(`${path}/cgroup.kill`, "1", { flag: "r+" });
    return;
  } catch (error) {
    if (!["ENOENT", "EACCES", "EPERM", "EOPNOTSUPP", "ENODEV"].includes(errorCode(error))) throw error;
  }
  for (const pid of readMembers(path)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (errorCode(error) !== "ESRCH") throw error;
    }
  }
}

/** Positive pids only: a member that our pid namespace does not show is listed as 0, and kill(0) is our own group. */
function readMembers(path: string): readonly number[] {
  try {
    return readFileSync(`${path}/cgroup.procs`, "utf8")
      .split("\n")
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENODEV") return [];
    throw error;
  }
}
