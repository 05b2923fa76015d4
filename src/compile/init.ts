/**
 * init, pid 1 inside: waits for the monitor's word, spawns the payload, lets go of everything, reaps and forwards.
 */
import { buffer, load, result, value } from "../program/build.ts";
import { ALL_DESCRIPTORS, O_CLOEXEC, TIOCSPGRP } from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { keepsWrites, WRITES_MARK_STEP } from "./kept-writes.ts";
import { EVENTS } from "./monitor.ts";
import { readBack } from "./read-back.ts";

/** init waits for the word, joins its cgroup, and later starts the payload and watches over it. */
export function startInit(draft: Draft, decision: string): void {
  const at = draft.phase("init.start", decision);
  // Its own copy of the write end would keep the lifeline open after the monitor's death.
  at.call("lifeline.close", "only the monitor holds the other end", "close", [load("lifeline", 4, 4)]);
  draft.buffer("go", 8);
  const word = at.call("lifeline.wait", "until maps and limits are in place", "read", [
    load("lifeline", 0, 4),
    buffer("go"),
    1,
  ]);
  at.expect("lifeline.word", "end of file: the monitor is gone", word, 1, "ESRCH");
}

export function spawnPayload(draft: Draft, decision: string): void {
  draft.buffer("started", 8);
  draft.buffer("pgrp", 8);
  const at = draft.phase("init.spawn", decision);
  at.call("started.open", "end of file on it means: the payload runs", "pipe2", [
    buffer("started"),
    O_CLOEXEC,
  ]);
  at.step(
    { kind: "spawn", role: "payload", flags: 0n },
    "payload.spawn",
    "a child, so that pid 1 can reap and forward",
  );
  at.call("started.close", "only the payload holds the other end", "close", [load("started", 4, 4)]);

  const session = draft.phase("payload.session", decision);
  session.call("payload.group", "a process group of its own, for job control", "setpgid", [0, 0]);
  if (draft.target.terminal.length > 0) {
    const own = session.call("payload.pid", "the group's number", "getpid", []);
    session.store("payload.pgrp", "as an int in memory", "pgrp", 0, 4, own);
    session.call("payload.foreground", "it is in the foreground", "ioctl", [
      result("pty.peer"),
      TIOCSPGRP,
      buffer("pgrp"),
    ]);
  }
}

/** Wait until the payload's execve is done, then read what the kernel says is in force; let go of everything; reap. */
export function watchPayload(draft: Draft, decision: string): void {
  const at = draft.phase("init.readback", decision);
  at.call("started.wait", "execve closes the other end", "read", [load("started", 0, 4), buffer("go"), 1]);
  if (draft.supervised && draft.host.proc.available) readBack(draft, decision);

  const wait = draft.phase("init.wait", decision);
  const events = draft.supervised && draft.target.terminal.length > 0;
  const kept: readonly (readonly [step: string, why: string, descriptor: Operand])[] = [
    ...(events
      ? ([["events.keep", "the supervisor is told when the payload stops", value(EVENTS)]] as const)
      : []),
    ...(keepsWrites(draft)
      ? ([
          ["writes.hold", "the lock outlives the monitor, as the payload may", result(WRITES_MARK_STEP)],
        ] as const)
      : []),
  ];
  // Moved to the lowest numbers, in an order in which none takes the place of one that is still needed.
  for (const [to, [step, why, descriptor]] of kept.entries())
    wait.call(step, why, "dup3", [descriptor, to, O_CLOEXEC]);
  wait.call("init.close", "what the payload closes is closed", "close_range", [
    kept.length,
    ALL_DESCRIPTORS,
    0,
  ]);
  wait.step(
    {
      kind: "supervise",
      child: result("payload.spawn"),
      reap: "all",
      ...(events ? { stopNotify: value(0) } : {}),
    },
    "payload.supervise",
    "reap orphans, forward signals; when the payload ends everything does",
  );
  wait.step({ kind: "exit", code: 0 }, "init.exit", "the kernel kills what is left in the pid namespace");
}
