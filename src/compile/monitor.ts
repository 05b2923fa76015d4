/**
 * The monitor's frame: the role outside the sandbox that every other control hangs on.
 * Takes the draft; gives the steps that start, watch and end a launch. Never opens anything for the payload.
 */
import { buffer, load, result, value } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  CLOCK_MONOTONIC,
  F_GETFD,
  ITIMER_REAL,
  O_CLOEXEC,
  O_RDWR,
  PR_SET_PDEATHSIG,
  S_IFDIR,
  S_IFMT,
  SIG_BLOCK,
  SIGSET_SIZE,
  STATX_MODE_OFFSET,
  STATX_SIZE,
  STATX_TYPE,
  WALL,
} from "../program/constants.ts";
import { type Operand, PARENT_DEATH_SIGNAL } from "../program/program.ts";
import { SIGNAL } from "../program/signal.ts";
import type { Draft } from "./draft.ts";

/** Block all signals (they are handled in the supervise loop only), tie the monitor to its supervisor, name the run. */
export function startMonitor(draft: Draft, decision: string): void {
  const at = draft.phase("monitor.start", decision);
  // An ignored signal survives execve, and is never queued: without these three the monitor would wait for ever.
  for (const [name, number] of [
    ["SIGCHLD", SIGNAL.SIGCHLD],
    ["SIGALRM", SIGNAL.SIGALRM],
    ["parent-death", PARENT_DEATH_SIGNAL],
  ] as const) {
    at.call(
      `signals.default.${name}`,
      "whoever started us may have ignored it",
      "rt_sigaction",
      [number, defaultAction(draft), 0, SIGSET_SIZE],
      { target: name },
    );
  }
  at.call(
    "umask.clear",
    "modes are what the steps say, not what the caller's umask leaves of them",
    "umask",
    [0],
  );
  const blocked = draft.bytes("ff".repeat(8), 8);
  at.call("signals.block", "handle signals in one place, none during set-up", "rt_sigprocmask", [
    SIG_BLOCK,
    blocked,
    0,
    SIGSET_SIZE,
  ]);
  draft.buffer("run-id", 64, draft.supervised);
  if (draft.supervised) {
    draft.buffer("supervisor-pid", 8, true);
    // The order closes a race: a supervisor that died before prctl took effect is noticed by getppid.
    at.call("supervisor.tie", "be told when the supervisor dies", "prctl", [
      PR_SET_PDEATHSIG,
      PARENT_DEATH_SIGNAL,
      0,
      0,
      0,
    ]);
    const parent = at.call("supervisor.alive", "the supervisor may have died already", "getppid", []);
    at.expect(
      "supervisor.same",
      "the parent is still the supervisor",
      parent,
      load("supervisor-pid", 0, 4),
      "ESRCH",
    );
  } else {
    fillStandardDescriptors(draft, decision);
  }
  refuseDirectories(draft, decision);
  at.call("monitor.pid", "names the run and picks its ids", "getpid", []);
  if (!draft.supervised) {
    draft.buffer("random", 16);
    at.call("run-id.random", "a run id that no other run has", "getrandom", [buffer("random"), 8, 0]);
    at.format("run-id.format", "pid and random, as in the supervised case", "run-id", [
      { decimal: result("monitor.pid") },
      { text: "-" },
      { hex: "random", bytes: 8 },
    ]);
  }
  draft.buffer("time.start", 16);
  draft.buffer("time.end", 16);
  at.call("time.start", "wall time starts", "clock_gettime", [CLOCK_MONOTONIC, buffer("time.start")]);
}

/** struct sigaction with SIG_DFL: handler, flags, restorer and mask, all zero. */
export function defaultAction(draft: Draft): Operand {
  return draft.bytes("00".repeat(32), 8);
}

/** A closed descriptor 0, 1 or 2 would be taken by the next open, and the payload would inherit that. */
function fillStandardDescriptors(draft: Draft, decision: string): void {
  const at = draft.phase("monitor.start", decision);
  for (const descriptor of [0, 1, 2]) {
    const name = `stdio.${descriptor}`;
    at.call(`${name}.check`, "standard descriptors must be open", "fcntl", [descriptor, F_GETFD, 0], {
      onError: { errnos: { EBADF: `${name}.missing` } },
    });
    at.branch(`${name}.open`, "it is open", value(0), 0, `${name}.done`);
    at.label(`${name}.missing`);
    at.call(`${name}.fill`, "take its number with /dev/null", "openat", [
      AT_FDCWD,
      draft.text("/dev/null"),
      O_RDWR,
      0,
    ]);
    at.label(`${name}.done`);
  }
}

/** A directory as standard input is a way out for the payload: openat(0, "../..") walks the host's tree from there. */
function refuseDirectories(draft: Draft, decision: string): void {
  const at = draft.phase("monitor.start", decision);
  draft.buffer("statx", STATX_SIZE);
  for (const descriptor of [0, 1, 2]) {
    at.call(`stdio.${descriptor}.stat`, "what is it?", "statx", [
      descriptor,
      draft.text(""),
      AT_EMPTY_PATH,
      STATX_TYPE,
      buffer("statx"),
    ]);
    at.branch(
      `stdio.${descriptor}.type`,
      "a directory",
      load("statx", STATX_MODE_OFFSET, 2),
      S_IFDIR,
      "stdio.directory",
      S_IFMT,
    );
  }
  at.branch("stdio.none", "none of them is a directory", value(0), 0, "stdio.fine");
  at.label("stdio.directory");
  at.expect(
    "stdio.refuse",
    "no standard descriptor is a directory: the payload could walk the host from it",
    value(0),
    1,
    "EISDIR",
    { target: "standard descriptors" },
  );
  at.label("stdio.fine");
}

/** The pipe that init waits on: one byte lets it go on, end of file tells it that the monitor is gone. */
export function openLifeline(draft: Draft, decision: string): void {
  draft.buffer("lifeline", 8);
  draft
    .phase("monitor.spawn", decision)
    .call("lifeline.open", "init waits on it, and notices when the monitor dies", "pipe2", [
      buffer("lifeline"),
      O_CLOEXEC,
    ]);
}

/** Start init in its new namespaces. */
export function spawnInit(draft: Draft, decision: string, flags: bigint, cgroup: boolean): void {
  const at = draft.phase("monitor.spawn", decision);
  armWallTime(draft);
  at.step(
    { kind: "spawn", role: "init", flags, ...(cgroup ? { cgroup: result("cgroup.v2.dir") } : {}) },
    "init.spawn",
    "pid 1 of the sandbox, in its namespaces from the first instruction",
  );
}

function armWallTime(draft: Draft): void {
  const limit = draft.spec.resources.wallTime;
  const decision = draft.decide({
    id: "resources.wallTime",
    control: "resources",
    setting: limit === null ? "no limit" : `${limit} ms`,
    pointer: "/resources/wallTime",
    status: "full",
    reason: limit === null ? "" : "ITIMER_REAL in the monitor; the whole pid namespace is killed",
  });
  if (draft.supervised) draft.buffer("wall-time", 32, true);
  else if (limit === null) return;
  // The supervisor fills it in: a run may have a shorter limit than its profile.
  const timer = draft.supervised
    ? buffer("wall-time")
    : draft.words([
        0n,
        0n,
        BigInt(Math.floor((limit ?? 0) / 1000)),
        BigInt(Math.round(((limit ?? 0) % 1000) * 1000)),
      ]);
  draft
    .phase("monitor.spawn", decision)
    .call("wall-time.arm", "the monitor kills the sandbox when it expires", "setitimer", [
      ITIMER_REAL,
      timer,
      0,
    ]);
  // A stopped monitor (Ctrl-Z) sees no timer; init is never stopped.
  draft
    .phase("init.wait", decision)
    .call("wall-time.backup", "and so does init, if the monitor is stopped", "setitimer", [
      ITIMER_REAL,
      timer,
      0,
    ]);
}

/** Let go of the payload's standard descriptors, let init go on, then wait for it; whatever fails before, kill init and clean up. */
export function watchInit(draft: Draft, decision: string): void {
  const release = draft.phase("monitor.release", decision);
  // Whoever reads the payload's output must see end of file when the payload closes it, not when the monitor ends.
  const keep = draft.supervised ? draft.target.terminal.slice(0, 1) : [2];
  for (const descriptor of [0, 1, 2]) {
    if (keep.includes(descriptor)) continue;
    release.call(
      `stdio.${descriptor}.release`,
      "only the payload holds it from here on",
      "close",
      [descriptor],
      {
        onError: "continue",
      },
    );
  }
  const sent = release.call("lifeline.release", "ids and limits are in place: init may go on", "write", [
    load("lifeline", 4, 4),
    draft.text("g"),
    1,
  ]);
  release.expect("lifeline.sent", "init was told", sent, 1, "EPIPE");

  const wait = draft.phase("monitor.wait", decision);
  const terminal = draft.target.terminal[0];
  wait.step(
    {
      kind: "supervise",
      child: result("init.spawn"),
      reap: "child",
      ...(terminal === undefined ? {} : { winsize: { from: value(terminal), to: value(PTY_MASTER) } }),
    },
    "init.supervise",
    "forward signals, keep the wall-time limit, wait for init",
  );
  wait.branch("monitor.done", "init has ended", value(0), 0, "end");

  const failed = draft.phase("monitor.failed", decision);
  failed.label("failed");
  failed.branch("init.started", "nothing was started", result("init.spawn"), 0, "end");
  // kill(-1) is everyone: what cannot be a pid is never one here, whatever else goes wrong.
  failed.branch("init.pid", "not a pid", result("init.spawn"), SIGN, "end", SIGN);
  failed.call("init.kill", "a launch that failed leaves no process", "kill", [result("init.spawn"), 9], {
    onError: "continue",
  });
  failed.call(
    "init.reap",
    "its whole pid namespace is gone after this",
    "wait4",
    [result("init.spawn"), 0, WALL, 0],
    { onError: "continue" },
  );

  failed.label("end");
  failed.call("time.end", "wall time ends", "clock_gettime", [CLOCK_MONOTONIC, buffer("time.end")], {
    onError: "continue",
  });

  const leave = draft.phase("monitor.leave", decision);
  if (!draft.supervised) leave.step({ kind: "report" }, "monitor.report", "say what failed");
  leave.step(
    { kind: "exit", code: "outcome" },
    "monitor.exit",
    "the payload's exit status, or why there is none",
  );
}

/** The sign of a 64-bit result. */
const SIGN = 1n << 63n;

/** Descriptors that a supervisor passes to the launcher. */
export const MEMORY_DESCRIPTOR = 3;
export const PTY_MASTER = 4;
export const EVENTS = 5;
