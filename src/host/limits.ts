/** Takes the text of /proc/PID/limits (proc_pid_limits(5)), gives the resource limits by their short names. Pure. */
import { RLIMITS, type Rlimit } from "../profile/spec.ts";

/** Row titles, fs/proc/base.c of the kernel. */
const TITLES: Readonly<Record<Rlimit, string>> = {
  as: "Max address space",
  core: "Max core file size",
  cpu: "Max cpu time",
  data: "Max data size",
  fsize: "Max file size",
  locks: "Max file locks",
  memlock: "Max locked memory",
  msgqueue: "Max msgqueue size",
  nice: "Max nice priority",
  nofile: "Max open files",
  nproc: "Max processes",
  rss: "Max resident set",
  rtprio: "Max realtime priority",
  rttime: "Max realtime timeout",
  sigpending: "Max pending signals",
  stack: "Max stack size",
};

/** As the kernel writes them: decimal, or "unlimited". */
export interface LimitRow {
  readonly soft: string;
  readonly hard: string;
}

export function parseLimits(text: string): ReadonlyMap<Rlimit, LimitRow> {
  const rows = new Map<Rlimit, LimitRow>();
  for (const line of text.split("\n")) {
    const [, title, soft, hard] = /^(Max [a-z ]+?)\s{2,}(\S+)\s+(\S+)/.exec(line) ?? [];
    const name = RLIMITS.find((each) => TITLES[each] === title);
    if (name !== undefined && soft !== undefined && hard !== undefined) rows.set(name, { soft, hard });
  }
  return rows;
}

/** The hard limits that are one. */
export function hardLimits(text: string): Readonly<Partial<Record<Rlimit, number>>> {
  return Object.fromEntries(
    [...parseLimits(text)].flatMap(([name, { hard }]) =>
      hard === "unlimited" ? [] : [[name, Number(hard)]],
    ),
  );
}
