/**
 * After a launcher that was killed from outside: no process and no cgroup of the run may stay.
 *
 * init has the parent-death signal SIGKILL, and with it its pid namespace goes; this waits for that, helps where it
 * does not come, and removes the cgroups. Never signals a process that started after the run: pids are reused.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { removeCgroups } from "./cgroup.ts";
import { errorCode } from "./errors.ts";

const ATTEMPTS = 400;
const PAUSE = 5;

export interface Remains {
  /** Pid of init as the monitor saw it, 0 when it was never started. */
  readonly init: number;
  readonly cgroups: readonly string[];
  /** Milliseconds between the start of the launcher and its end. */
  readonly wallTime: number;
}

/** Resolves to what is still there after two seconds of trying: cgroup directories and `pid N`. */
export async function recoverRun({ init, cgroups, wallTime }: Remains): Promise<readonly string[]> {
  const end = uptime();
  const directories = await removeCgroups(cgroups);
  const gone = init <= 0 || (await awaitEnd(init, { from: end - wallTime / 1000, to: end }));
  return gone ? directories : [...directories, `pid ${init}`];
}

/** Seconds since boot. */
interface Span {
  readonly from: number;
  readonly to: number;
}

function uptime(): number {
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
}

/** Whether the process is gone. */
async function awaitEnd(pid: number, run: Span): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (!livesSince(pid, run)) return true;
    // The parent-death signal is on its way; what comes after the first look is for a kernel that did not send it.
    if (attempt > 0) kill(pid);
    await sleep(PAUSE);
  }
  return false;
}

/** USER_HZ, the unit of times in /proc/PID/stat on every architecture we have; times there are rounded down to it. */
const TICK = 0.01;

/**
 * Whether the process that had this pid during the run still runs. Whoever has the pid now and started after the run
 * is someone else.
 */
function livesSince(pid: number, { from, to }: Span): boolean {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ESRCH") return false;
    throw error;
  }
  // The name, in parentheses, may hold anything: fields are counted from its end (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const started = Number(fields[19]) * TICK;
  const dead = fields[0] === "Z" || fields[0] === "X";
  return !dead && started >= from - 2 * TICK && started <= to;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (errorCode(error) !== "ESRCH") throw error;
  }
}
