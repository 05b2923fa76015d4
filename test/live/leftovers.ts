/** A payload that hides, the processes of its run, and what must not be left of any of it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  cgroupMembers,
  childrenOf,
  eventually,
  mounts,
  processesWith,
  readProc,
  sandboxCgroups,
} from "./harness.ts";

/** For `sh -c HIDE WORD WORD`: children in sessions of their own, every catchable signal ignored; says "ready". */
export const HIDE = `trap '' TERM INT HUP QUIT
(trap '' TERM INT HUP QUIT; setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 0.2; done' "$1" &)
(trap '' TERM INT HUP QUIT; setsid sh -c 'while :; do :; done' "$1" &)
echo ready
while :; do sleep 0.2; done`;

/** Supervisor, monitor, init, payload: a chain of first children. */
export function chain(supervisor: number): readonly number[] {
  const pids = [supervisor];
  for (let next = childrenOf(supervisor); next.length > 0 && pids.length < 4; ) {
    const [first = 0] = next;
    pids.push(first);
    next = childrenOf(first);
  }
  return pids;
}

export interface Before {
  readonly cgroups: ReadonlySet<string>;
  readonly mounts: string;
}
export function before(): Before {
  return { cgroups: new Set(sandboxCgroups()), mounts: mounts() };
}

/** Ids of the runs in the directory's audit log. */
function runsOf(directory: string): readonly string[] {
  const log = join(directory, "audit.jsonl");
  if (!existsSync(log)) return [];
  const found = readFileSync(log, "utf8").matchAll(/"run":"([0-9]+-[0-9a-f]+)"/g);
  return [...new Set([...found].map(([, id = ""]) => id))];
}

interface LeftBy {
  readonly word: string;
  readonly directory: string;
  /** Processes of the test's own that have the word in their command lines. */
  readonly holders?: ReadonlySet<number>;
}

/** What is left of a run: nothing, within ten seconds, which a supervisor may need for its last records on a busy machine. */
export async function leftovers(run: LeftBy, was: Before) {
  const others = () => processesWith(run.word).filter((pid) => run.holders?.has(pid) !== true);
  await eventually(() => others().length === 0, 10_000);
  const processes = others().map((pid) => readProc(pid, "cmdline").replaceAll("\0", " "));
  // Cgroups of others are theirs: ours have our run's id; where no log could tell it, those with nobody in them.
  const runs = runsOf(run.directory);
  const abandoned = () =>
    sandboxCgroups().filter((path) =>
      runs.length > 0
        ? runs.some((id) => path.endsWith(`/sandbox-${id}`))
        : !was.cgroups.has(path) && cgroupMembers(path)?.length === 0,
    );
  await eventually(() => abandoned().length === 0, 2000);
  const files = readdirSync(run.directory).filter(
    (name) => !/^(audit\.jsonl|report\.json|state|cache)/.test(name),
  );
  return { processes, cgroups: abandoned(), files, mounts: mounts() === was.mounts };
}
export const NOTHING = { processes: [], cgroups: [], files: [], mounts: true };
