/**
 * The payload's process: its session and terminal, working directory, umask, priority, descriptors, environment, filter and execve;
 * and init's part of it: spawning, reading back, reaping.
 */
import { buffer, load, result, value } from "../program/build.ts";
import {
  ALL_DESCRIPTORS,
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  O_CLOEXEC,
  O_NOCTTY,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PR_MDWE_REFUSE_EXEC_GAIN,
  PR_SET_MDWE,
  PR_SET_SPECULATION_CTRL,
  PR_SPEC_FORCE_DISABLE,
  PR_SPEC_INDIRECT_BRANCH,
  PR_SPEC_STORE_BYPASS,
  PRIO_PROCESS,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_SET_MODE_FILTER,
  SIG_SETMASK,
  SIGSET_SIZE,
  TIOCGPTPEER,
  TIOCGWINSZ,
  TIOCSCTTY,
  TIOCSPGRP,
  TIOCSPTLCK,
  TIOCSWINSZ,
} from "../program/constants.ts";
import type { Draft } from "./draft.ts";
import { EVENTS, PTY_MASTER } from "./monitor.ts";
import { isShown, workingDirectory } from "./visible.ts";

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
  const { oomScoreAdj } = draft.spec.process;
  if (oomScoreAdj !== 0) {
    const oom = draft.decide({
      id: "process.oomScoreAdj",
      control: "process",
      setting: `${oomScoreAdj}`,
      pointer: "/process/oomScoreAdj",
      status: "full",
    });
    const steps = draft.phase("init.start", oom);
    const file = "/proc/self/oom_score_adj";
    steps.call(
      "oom.open",
      "which process goes first when memory runs out",
      "openat",
      [AT_FDCWD, draft.text(file), O_WRONLY | O_CLOEXEC, 0],
      { target: file },
    );
    steps.call(
      "oom.write",
      `${oomScoreAdj}`,
      "write",
      [result("oom.open"), draft.text(`${oomScoreAdj}`), `${oomScoreAdj}`.length],
      { target: file },
    );
    steps.call("oom.close", "done with it", "close", [result("oom.open")]);
  }
}

/** The payload's terminal is a PTY of ours: what it types into it never reaches the caller's own terminal. */
export function provideTerminal(draft: Draft): void {
  const { terminal } = draft.target;
  const decision = draft.decide({
    id: "process.terminal",
    control: "process",
    setting:
      terminal.length === 0
        ? "no controlling terminal"
        : `own pseudo terminal for descriptors ${terminal.join(", ")}`,
    pointer: "/process/terminal",
    status: "full",
    reason: "nothing can be typed into the caller's terminal (TIOCSTI, TIOCLINUX)",
  });
  draft.phase("init.terminal", decision).call("session.new", "away from the caller's terminal", "setsid", []);
  const first = terminal[0];
  if (first === undefined) return;
  const before = draft.phase("monitor.terminal", decision);
  before.call(
    "pty.unlock",
    "the other end may be opened",
    "ioctl",
    [PTY_MASTER, TIOCSPTLCK, draft.bytes("00000000", 4)],
    { target: "/dev/ptmx" },
  );
  const peer = before.call(
    "pty.peer",
    "by descriptor: no path to a terminal is ever looked up",
    "ioctl",
    [PTY_MASTER, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC],
    { target: "/dev/ptmx" },
  );
  draft.buffer("winsize", 8);
  before.call("pty.size.get", "the caller's window size", "ioctl", [first, TIOCGWINSZ, buffer("winsize")], {
    onError: "continue",
  });
  before.call("pty.size.set", "is the payload's", "ioctl", [PTY_MASTER, TIOCSWINSZ, buffer("winsize")], {
    onError: "continue",
  });
  draft
    .phase("init.terminal", decision)
    .call("pty.control", "the session's controlling terminal", "ioctl", [peer, TIOCSCTTY, 0]);
  const session = draft.phase("payload.session", decision);
  for (const descriptor of terminal) {
    session.call(`pty.stdio.${descriptor}`, "the terminal takes its place", "dup3", [peer, descriptor, 0]);
  }
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
  if (events)
    wait.call("events.keep", "the supervisor is told when the payload stops", "dup3", [EVENTS, 0, O_CLOEXEC]);
  wait.call("init.close", "what the payload closes is closed", "close_range", [
    events ? 1 : 0,
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

const SIZES = { status: 4096, limits: 4096, mountinfo: 24576, ns: 64 } as const;
const NAMESPACE_LINKS = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"] as const;

function readBack(draft: Draft, decision: string): void {
  const at = draft.phase("init.readback", decision);
  const read = (id: string, path: string | null, size: number): void => {
    const output = draft.buffer(`read.${id}`, size);
    const file = at.call(
      `read.${id}.open`,
      "what is in force",
      "openat",
      [result("proc.mount"), path === null ? buffer("path.read") : draft.text(path), O_RDONLY | O_CLOEXEC, 0],
      { target: path ?? `<payload>/${id}`, onError: "continue" },
    );
    at.call(`read.${id}.read`, "what is in force", "read", [file, buffer(output), size - 1], {
      target: path ?? `<payload>/${id}`,
      onError: "continue",
    });
  };
  draft.buffer("path.read", 64);
  for (const [id, size] of [
    ["status", SIZES.status],
    ["limits", SIZES.limits],
  ] as const) {
    // A payload that has ended already is still there, as a zombie: only init reaps it, later.
    at.format(`read.${id}.path`, "the payload's", "path.read", [
      { decimal: result("payload.spawn") },
      { text: `/${id}` },
    ]);
    read(id, null, size);
  }
  readMounts(draft, decision);
  for (const name of NAMESPACE_LINKS) {
    const link = name === "time" ? "self/ns/time_for_children" : `self/ns/${name}`;
    at.call(
      `read.ns.${name}`,
      "which namespace it is",
      "readlinkat",
      [
        result("proc.mount"),
        draft.text(link),
        buffer(draft.buffer(`read.ns.${name}`, SIZES.ns)),
        SIZES.ns - 1,
      ],
      { target: link, onError: "continue" },
    );
  }
}

const PAGE = 4096;

/** procfs gives whole lines, at most a page at a time: one read per page of the buffer, zeros between them. */
function readMounts(draft: Draft, decision: string): void {
  const at = draft.phase("init.readback", decision);
  const path = "self/mountinfo";
  const output = draft.buffer("read.mountinfo", SIZES.mountinfo);
  const file = at.call(
    "read.mountinfo.open",
    "what is in force",
    "openat",
    [result("proc.mount"), draft.text(path), O_RDONLY | O_CLOEXEC, 0],
    {
      target: path,
      onError: "continue",
    },
  );
  for (let offset = 0; offset < SIZES.mountinfo; offset += PAGE) {
    at.call(`read.mountinfo.${offset}`, "what is in force", "read", [file, buffer(output, offset), PAGE], {
      target: path,
      onError: "continue",
    });
  }
}

export function prepareProcess(draft: Draft): void {
  const { umask, nice, memoryDenyWriteExecute, speculationMitigations } = draft.spec.process;
  const workdir = workingDirectory(draft);
  const at = (id: string, setting: string, pointer: string, reason = "") =>
    draft.phase(
      "payload.process",
      draft.decide({ id, control: "process", setting, pointer, status: "full", reason }),
    );
  at("process.umask", umask.toString(8).padStart(4, "0"), "/process/umask").call(
    "umask.set",
    "permissions of new files",
    "umask",
    [umask],
  );
  if (nice !== 0)
    at("process.nice", `${nice}`, "/process/nice").call("nice.set", "CPU priority", "setpriority", [
      PRIO_PROCESS,
      0,
      nice,
    ]);
  if (memoryDenyWriteExecute) {
    at(
      "process.memoryDenyWriteExecute",
      "memory is never writable and executable",
      "/process/memoryDenyWriteExecute",
    ).call("mdwe.set", "code cannot be made at run time", "prctl", [
      PR_SET_MDWE,
      PR_MDWE_REFUSE_EXEC_GAIN,
      0,
      0,
      0,
    ]);
  }
  if (speculationMitigations) {
    const speculation = at(
      "process.speculationMitigations",
      "store bypass and indirect branch speculation disabled",
      "/process/speculationMitigations",
    );
    for (const [name, feature] of [
      ["store-bypass", PR_SPEC_STORE_BYPASS],
      ["indirect-branch", PR_SPEC_INDIRECT_BRANCH],
    ] as const) {
      // ENODEV, ENXIO, EPERM: the CPU does not need it, or the machine has it on or off for all (prctl(2)).
      speculation.call(
        `speculation.${name}`,
        "a Spectre mitigation",
        "prctl",
        [PR_SET_SPECULATION_CTRL, feature, PR_SPEC_FORCE_DISABLE, 0, 0],
        {
          onError: { errnos: { ENODEV: "next", ENXIO: "next", EPERM: "next" } },
        },
      );
    }
  }
  const shown =
    draft.spec.process.workdir === null && !isShown(draft, draft.request.cwd)
      ? "the caller's directory is not shown inside"
      : "";
  at("process.workdir", workdir, "/process/workdir", shown).call(
    "workdir.enter",
    "where the payload starts",
    "chdir",
    [draft.text(workdir)],
    { target: workdir },
  );
  at("process.signals", "default mask", "/process").call(
    "signals.unblock",
    "as a program expects them",
    "rt_sigprocmask",
    [SIG_SETMASK, draft.bytes("00".repeat(8), 8), 0, SIGSET_SIZE],
  );
}

export function setEnvironment(draft: Draft): void {
  const { pass, set } = draft.spec.environment;
  const names = [...new Set([...Object.keys(set), ...pass])].toSorted();
  const decision = draft.decide({
    id: "environment",
    control: "environment",
    setting: names.length === 0 ? "empty" : names.join(" "),
    pointer: "/environment",
    status: "full",
    reason: pass.length === 0 ? "" : `passed when the caller has them: ${pass.join(" ")}`,
  });
  draft.phase("payload.process", decision).step(
    {
      kind: "environment",
      set: Object.entries(set).map(([name, text]) => `${name}=${text}`),
      pass: pass.filter((name) => !(name in set)),
    },
    "environment.build",
    "only what the profile names",
  );
}

export function closeDescriptors(draft: Draft): void {
  const decision = draft.decide({
    id: "process.descriptors",
    control: "process",
    setting: "0, 1 and 2 only",
    pointer: "/process",
    status: "full",
  });
  draft
    .phase("payload.descriptors", decision)
    .call("descriptors.close", "everything above 2 is closed by execve", "close_range", [
      3,
      ALL_DESCRIPTORS,
      CLOSE_RANGE_CLOEXEC,
    ]);
}

export function installFilter(draft: Draft): void {
  const { filter } = draft.target;
  const { seccomp } = draft.spec;
  const decision = draft.decide({
    id: "seccomp",
    control: "seccomp",
    setting:
      filter === null
        ? "no filter"
        : `allow-list of ${filter.length / 8} BPF instructions, default ${seccomp?.defaultAction ?? ""}`,
    pointer: "/seccomp",
    status: "full",
    check: { kind: "status", field: "Seccomp", expected: filter === null ? "0" : "2" },
  });
  if (filter === null) return;
  if (!draft.host.seccomp.available) {
    draft.problem({
      kind: "host-cannot",
      pointer: "/seccomp",
      message: `system call filters are not available: ${draft.host.seccomp.reason}`,
      hint: draft.host.seccomp.fix,
    });
    return;
  }
  const hex = Array.from(filter, (byte) => byte.toString(16).padStart(2, "0")).join("");
  draft.data.push({ name: "filter", hex, align: 8 });
  // struct sock_fprog: u16 length, padding, pointer.
  const program = draft.words([BigInt(filter.length / 8), { addressOf: "filter" }]);
  const flags = (seccomp?.flags ?? []).reduce((bits, flag) => bits | (FILTER_FLAGS[flag] ?? 0n), 0n);
  draft
    .phase("payload.seccomp", decision)
    .call("seccomp.install", "the last thing before execve: nothing after it needs another call", "seccomp", [
      SECCOMP_SET_MODE_FILTER,
      flags,
      program,
    ]);
}

/** SECCOMP_FILTER_FLAG_TSYNC means nothing here: the launcher has one thread. */
const FILTER_FLAGS: Readonly<Record<string, bigint>> = {
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
};

export function executePayload(draft: Draft, decision: string): void {
  const { command } = draft.request;
  const path = command?.hostPath ?? null;
  const search = (draft.spec.environment.set["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")
    .split(":")
    .filter((directory) => directory.startsWith("/"));
  draft.phase("payload.exec", decision).step(
    {
      kind: "exec",
      path: path === null ? null : path,
      search,
      argv: draft.supervised || draft.target.command === null ? null : draft.target.command,
    },
    "exec",
    path === null ? `searched in ${search.join(":")}` : `${path}`,
  );
}
