/**
 * The CPU-time limit of a whole sandbox, which no kernel limit expresses: RLIMIT_CPU counts each process by itself.
 *
 * Reads the cgroup's clock as seldom as possible: `n` CPUs cannot use up what is left in less than an n-th of it.
 */
import type { CpuClock } from "./cgroup.ts";

/** Milliseconds; bounds both the cost of looking and how far a payload can overrun (by this on each CPU). */
const SHORTEST_PAUSE = 5;
/** While the cgroup is not there yet. */
const START_PAUSE = 20;

/**
 * Calls `exceeded` once when the clock reaches `limit` milliseconds. Gives the function that ends the watch.
 * The timers keep no process alive: the child does.
 */
export function watchCpuTime(clock: CpuClock, limit: number, cpus: number, exceeded: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (milliseconds: number): void => {
    // setTimeout takes 31 bits and fires at once beyond.
    timer = setTimeout(look, Math.min(Math.max(milliseconds, SHORTEST_PAUSE), 2 ** 31 - 1));
    timer.unref();
  };
  const look = (): void => {
    const used = clock();
    if (used === null) wait(START_PAUSE);
    else if (used >= limit) exceeded();
    else wait((limit - used) / cpus);
  };
  wait(limit / cpus);
  return () => clearTimeout(timer);
}
