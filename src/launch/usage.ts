/**
 * What a run used: the accounts of its cgroups where there are any, else what wait4 said.
 *
 * Pure. Takes the memory read after the run; gives times in milliseconds and sizes in bytes.
 */
import { readKey } from "./cgroup.ts";
import { type MemoryImage, readTimespec } from "./memory.ts";
import type { Usage } from "./outcome.ts";

/** What only the supervisor knows. */
export interface Observed {
  /** Milliseconds from just before the launcher was started until its end was seen. */
  readonly wallTime: number;
  readonly outputSize: number | null;
}

export function measureUsage(memory: MemoryImage, { wallTime, outputSize }: Observed): Usage {
  const peak = cgroupNumber(memory, "end.memory.memory.peak", "end.memory.memory.max_usage_in_bytes");
  return {
    wallTime: launcherTime(memory) ?? wallTime,
    ...cpuTimes(memory),
    peakMemory: peak ?? memory.header.initRusage.maxRss,
    peakMemorySource: peak === null ? "rusage" : "cgroup",
    outputSize,
    ...oomKills(memory, peak),
    ...refusedForks(memory),
  };
}

/** A run that never reached a launcher. */
export function noUsage(wallTime: number): Usage {
  return {
    wallTime,
    cpuTime: 0,
    userTime: 0,
    systemTime: 0,
    peakMemory: 0,
    peakMemorySource: "rusage",
    outputSize: null,
    oomKills: null,
    outsideOomKills: null,
    pidsLimitHits: null,
    outsidePidsHits: null,
  };
}

/** By the launcher's own clock, which does not count the supervisor's delays; null when it could not finish. */
function launcherTime(memory: MemoryImage): number | null {
  const start = readTimespec(memory, "time.start");
  const end = readTimespec(memory, "time.end");
  return start === null || end === null ? null : end - start;
}

type CpuTimes = Pick<Usage, "cpuTime" | "userTime" | "systemTime">;

function cpuTimes(memory: MemoryImage): CpuTimes {
  const stat = memory.text("end.cpu.cpu.stat");
  const total = readKey(stat, "usage_usec");
  if (total !== null) {
    return {
      cpuTime: total / 1000,
      userTime: (readKey(stat, "user_usec") ?? 0) / 1000,
      systemTime: (readKey(stat, "system_usec") ?? 0) / 1000,
    };
  }
  const { userTime, systemTime } = memory.header.initRusage;
  const reaped = userTime + systemTime;
  const nanoseconds = cgroupNumber(memory, "end.cpuacct.cpuacct.usage");
  if (nanoseconds === null) return { cpuTime: reaped, userTime, systemTime };
  // v1 counts the sum in nanoseconds but splits it in ticks of 10 ms: the split of wait4 is the finer one.
  const cpuTime = nanoseconds / 1e6;
  const share = reaped === 0 ? 0 : userTime / reaped;
  return { cpuTime, userTime: cpuTime * share, systemTime: cpuTime * (1 - share) };
}

/** A charge that fails is of a few pages, or of a huge one, which is tried again in small ones: a limit that was met was nearly reached. */
const LARGEST_CHARGE = 2 << 20;

/** Whose want of memory killed: v2 counts its own limit's (`oom`), in v1 the highest use tells. */
function oomKills(memory: MemoryImage, peak: number | null): Pick<Usage, "oomKills" | "outsideOomKills"> {
  const kills = cgroupKey(memory, "oom_kill", "end.memory.memory.events", "end.memory.memory.oom_control");
  if (kills === null) return { oomKills: null, outsideOomKills: null };
  const own = readKey(memory.text("end.memory.memory.events"), "oom");
  const most = cgroupNumber(memory, "read.cgroup.memory.memory.limit_in_bytes");
  const below = peak !== null && most !== null && peak < most - LARGEST_CHARGE;
  return own === 0 || (own === null && below)
    ? { oomKills: 0, outsideOomKills: kills }
    : { oomKills: kills, outsideOomKills: 0 };
}

/**
 * Whose limit refused forks. pids.events of the own cgroup counts them all where the kernel knows no other way (v1, and v2 before Linux
 * 6.11): the own limit was met when the highest count is as high. A kernel that keeps no highest count leaves it the likely one.
 */
function refusedForks(memory: MemoryImage): Pick<Usage, "pidsLimitHits" | "outsidePidsHits"> {
  const hits = cgroupKey(memory, "max", "end.pids.pids.events");
  if (hits === null) return { pidsLimitHits: null, outsidePidsHits: null };
  const peak = cgroupNumber(memory, "end.pids.pids.peak");
  const most = cgroupNumber(memory, "read.cgroup.pids.pids.max");
  if (hits === 0) return { pidsLimitHits: 0, outsidePidsHits: 0 };
  if (peak === null || most === null) return { pidsLimitHits: hits, outsidePidsHits: null };
  return peak < most
    ? { pidsLimitHits: 0, outsidePidsHits: hits }
    : { pidsLimitHits: hits, outsidePidsHits: 0 };
}

/** The first of these files that was read, as a number. */
function cgroupNumber(memory: MemoryImage, ...buffers: readonly string[]): number | null {
  const text = buffers.map((name) => memory.text(name).trim()).find((each) => /^\d+$/.test(each));
  return text === undefined ? null : Number(text);
}

function cgroupKey(memory: MemoryImage, key: string, ...buffers: readonly string[]): number | null {
  for (const name of buffers) {
    const value = readKey(memory.text(name), key);
    if (value !== null) return value;
  }
  return null;
}
