/**
 * Fails or kills a launcher's system calls one by one (strace's injection) and says what became of the sandbox.
 *
 * The payload is programs/probe.c, which prints what is in force for it; a run is compared with a clean one:
 *
 *   closed      the payload did not run, and the exit status says so
 *   unaffected  it ran with the same restrictions
 *   weaker      it ran with less, or a process that is none of the launcher's was killed
 *   hang        nothing ended in time
 *
 * and, whatever it was, what stayed behind is a leak. strace counts calls per process, so the N-th call is failed in
 * each role that makes that many.
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import {
  as,
  cgroupMembers,
  environment,
  pause,
  processesWith,
  sandboxCgroups,
  type User,
} from "../live/harness.ts";

export const FAULTS = ["EPERM", "ENOMEM", "EMFILE", "ENOSPC", "KILL"] as const;
export type Fault = (typeof FAULTS)[number];

export interface Injection {
  readonly call: string;
  /** Which occurrence of the call, from 1. */
  readonly nth: number;
  readonly fault: Fault;
}

export const VERDICTS = ["closed", "unaffected", "weaker", "hang"] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Finding {
  readonly injection: Injection;
  readonly verdict: Verdict;
  /** What was weaker, or how it hung. */
  readonly detail: string;
  /** What stayed behind. */
  readonly leaks: readonly string[];
}

/** Milliseconds after which a run counts as hung. */
const HANG = 12_000;
const PAYLOAD_ENDED = "end=";

export interface Traced {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly hung: boolean;
}

/**
 * A launcher with a fault in it may do anything that its user may: a failed clone whose -1 reaches kill(2) would end
 * every process of that user, this one among them. So each run is in a PID namespace of its own, whose end ends it all.
 */
function inOwnPidNamespace(user: User, argv: readonly string[]): readonly string[] {
  const enter = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
  return process.getuid?.() === 0
    ? [...enter, "--", ...as(user, argv)]
    : [...enter, "--user", "--map-current-user", "--", ...argv];
}

/** A process of the same user that the launcher has no business with; said when it does not survive. */
const BYSTANDER_DIED = "the launcher killed a process that is not its own";
/** Pids here are numbers of another namespace; high ones, so that they are nobody's outside, as a dead supervisor's must be. */
const WITH_BYSTANDER = `{ echo "$0" > /proc/sys/kernel/ns_last_pid; } 2>/dev/null
sleep 60 </dev/null >/dev/null 2>&1 & other=$!
"$@"
status=$?
kill -0 $other 2>/dev/null || echo "${BYSTANDER_DIED}"
exit $status`;

let used = 0;
function nextPid(): number {
  used = (used + 50) % 10_000;
  return Number(readFileSync("/proc/sys/kernel/pid_max", "utf8")) - 100 - used;
}

/** Runs strace around a launcher. The trace goes to `log`. */
export async function trace(
  user: User,
  directory: string,
  straceArgs: readonly string[],
  log: string,
  argv: readonly string[],
): Promise<Traced> {
  const strace = ["strace", "-f", "-qq", "-o", log, ...straceArgs, "--", ...argv];
  const [head = "", ...rest] = inOwnPidNamespace(
    user,
    ["/bin/sh", "-c", WITH_BYSTANDER, `${nextPid()}`].concat(strace),
  );
  const child = spawn(head, rest, {
    cwd: directory,
    env: environment(directory),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((done, failed) => {
    let hung = false;
    const timer = setTimeout(() => {
      hung = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, HANG);
    child.once("error", failed);
    child.once("close", (code) => {
      clearTimeout(timer);
      done({ code, stdout, stderr, hung });
    });
  });
}

/**
 * Every call of the launcher's roles and how often the role that makes it most makes it, from a trace of a clean run.
 * A process is a role until its execve succeeds; what the payload does is not the launcher's. (The first execve is
 * strace's own, of the launcher; the seal uses execveat. Arguments do not help: of a process that is not dumpable strace
 * sees only addresses.)
 */
export function callsOf(log: string): ReadonlyMap<string, number> {
  const most = new Map<string, number>();
  const counts = new Map<string, Map<string, number>>();
  const payloads = new Set<string>();
  for (const line of log.split("\n").slice(1)) {
    const [, running = ""] = /^(\d+) +(?:execve\(|<\.\.\. execve resumed>).* = 0$/.exec(line) ?? [];
    const [, pid = "", call = ""] = /^(\d+) +([a-z0-9_]+)\(/.exec(line) ?? [];
    if (running !== "") payloads.add(running);
    if (call === "" || (payloads.has(pid) && running === "")) continue;
    const own = counts.get(pid) ?? new Map<string, number>();
    counts.set(pid, own);
    const count = (own.get(call) ?? 0) + 1;
    own.set(call, count);
    most.set(call, Math.max(most.get(call) ?? 0, count));
  }
  return most;
}

/** Calls whose failure means nothing: they end the process, or their result is not looked at by anyone. */
const POINTLESS = new Set(["exit", "exit_group", "rt_sigreturn"]);

/** All injections, in an order in which any prefix is spread over calls, occurrences and faults. */
export function injections(calls: ReadonlyMap<string, number>, deepest: number): readonly Injection[] {
  const all: Injection[] = [];
  for (let nth = 1; nth <= deepest; nth++)
    for (const [call, count] of calls)
      if (nth <= count && !POINTLESS.has(call)) for (const fault of FAULTS) all.push({ call, nth, fault });
  return all;
}

/** The flags that make strace fail (or kill at) this call. */
export function injectArgs({ call, nth, fault }: Injection): readonly string[] {
  const effect = fault === "KILL" ? "signal=KILL" : `error=${fault}`;
  return ["-e", `trace=${call}`, "-e", `inject=${call}:${effect}:when=${nth}`];
}

/** What a report of the probe says, without what differs from run to run: numbers of namespaces, mounts, processes. */
export function restrictionsOf(report: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  const add = (key: string, value: string) => found.set(key, [...(found.get(key) ?? []), value]);
  for (const line of report.split("\n")) {
    const cut = line.indexOf("=");
    if (cut < 0) continue;
    const key = line.slice(0, cut);
    const value = line.slice(cut + 1);
    if (key === "status") {
      const [name = "", text = ""] = value.split(":\t");
      if (STATUS.has(name)) add(name, text.trim());
    } else if (key.startsWith("ns-")) add(key, value.replace(/\[.*/, ""));
    else if (key === "mount") {
      const [, , , , target = "", options = ""] = value.split(" ");
      add("mount", `${target} ${options}`);
    } else if (key === "fd") add("fd", value.replace(/\[.*|^(\d+) .*/, "$1"));
    else if (key === "uid-map" || key === "gid-map") {
      // The id outside differs from run to run; the size of the map must not.
      const [inside = "", , size = ""] = value.trim().split(/\s+/);
      add(key, `${inside} ${size}`);
    } else if (key !== "session-leader-of" && key !== "end") add(key, value);
  }
  for (const values of found.values()) values.sort();
  return found;
}
const STATUS = new Set(
  "Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters Umask Speculation_Store_Bypass".split(
    " ",
  ),
);

/** Namespaces that the report shares with this process: isolation that is missing. */
export function sharedNamespaces(report: string, own: ReadonlyMap<string, string>): readonly string[] {
  return report.split("\n").flatMap((line) => {
    const [, name = "", link = ""] = /^ns-(\w+)=(.*)$/.exec(line) ?? [];
    return name !== "" && own.get(name) === link ? [name] : [];
  });
}

/** Every way in which a run was weaker than the clean one; "" when none. */
export function weaknesses(clean: string, run: string, own: ReadonlyMap<string, string>): string {
  const wanted = restrictionsOf(clean);
  const got = restrictionsOf(run);
  const differences = [...new Set([...wanted.keys(), ...got.keys()])].flatMap((key) => {
    const before = (wanted.get(key) ?? []).join(" | ");
    const after = (got.get(key) ?? []).join(" | ");
    return before === after ? [] : [`${key}: ${before} became ${after}`];
  });
  const shared = sharedNamespaces(run, own).map((name) => `${name} namespace is the host's`);
  return [...differences, ...shared].join("; ");
}

/** Judges one run. The exit status of a launch that was refused is never 0. */
export function judge(
  clean: string,
  run: Traced,
  own: ReadonlyMap<string, string>,
): Pick<Finding, "verdict" | "detail"> {
  if (run.stdout.includes(BYSTANDER_DIED)) return { verdict: "weaker", detail: BYSTANDER_DIED };
  if (run.hung) return { verdict: "hang", detail: run.stderr };
  if (!run.stdout.includes(PAYLOAD_ENDED)) {
    return run.code === 0
      ? { verdict: "weaker", detail: "exit status 0 although the payload did not run" }
      : { verdict: "closed", detail: run.stderr };
  }
  const detail = weaknesses(clean, run.stdout, own);
  return detail === "" ? { verdict: "unaffected", detail } : { verdict: "weaker", detail };
}

/** What a run with this word in its command lines left: processes, and files in its directory. */
export async function leaksOf(
  word: string,
  directory: string,
  files: readonly string[],
): Promise<readonly string[]> {
  const look = () => [
    ...processesWith(word).map((pid) => `process ${pid}`),
    ...readdirSync(directory)
      .filter((name) => !files.includes(name))
      .map((name) => `file ${name}`),
  ];
  for (let tries = 0; look().length > 0 && tries < 100; tries++) await pause(20);
  return look();
}

/** Cgroups that did not stand before and still stand, with nobody in them, after two seconds. */
export async function abandonedCgroups(before: ReadonlySet<string>): Promise<readonly string[]> {
  const look = () =>
    sandboxCgroups().filter((path) => !before.has(path) && cgroupMembers(path)?.length === 0);
  for (let tries = 0; look().length > 0 && tries < 100; tries++) await pause(20);
  return look();
}

/** The namespaces of the test process: "user" to "user:[4026531837]". */
export function ownNamespaces(): ReadonlyMap<string, string> {
  return new Map(
    ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"].map((name) => [
      name,
      readlinkSync(`/proc/self/ns/${name}`),
    ]),
  );
}

/** Does something with every item, `width` at once. */
export async function sweep<T>(
  items: readonly T[],
  width: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = items[next++]; item !== undefined; item = items[next++]) await run(item);
    }),
  );
}
