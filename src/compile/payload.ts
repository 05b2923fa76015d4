/**
 * The payload's last steps: mask, priority, working directory, descriptors, environment, filter, execve.
 */
import { type Listing, load, result } from "../program/build.ts";
import {
  ALL_DESCRIPTORS,
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  O_CLOEXEC,
  O_PATH,
  O_WRONLY,
  OPEN_FLAGS,
  PR_MDWE_REFUSE_EXEC_GAIN,
  PR_SET_MDWE,
  PR_SET_SPECULATION_CTRL,
  PR_SPEC_FORCE_DISABLE,
  PR_SPEC_INDIRECT_BRANCH,
  PR_SPEC_STORE_BYPASS,
  PRIO_PROCESS,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_SET_MODE_FILTER,
  SIG_SETMASK,
  SIGSET_SIZE,
} from "../program/constants.ts";
import { SIGNAL, signalName } from "../program/signal.ts";
import type { Draft } from "./draft.ts";
import { defaultAction } from "./monitor.ts";
import { OPEN_HOW_SIZE, openHow } from "./trees.ts";
import { isShown, workingDirectory } from "./visible.ts";

/**
 * CPU priority, and which process goes first when memory runs out. Asking for less than others is for everyone; asking for more
 * takes a capability on the host, which only the monitor can have.
 */
export function setPriorities(draft: Draft): void {
  leaveRealTime(draft);
  const { nice, oomScoreAdj } = draft.spec.process;
  if (nice !== 0) {
    const decision = draft.decide({
      id: "process.nice",
      control: "process",
      setting: `${nice}`,
      pointer: "/process/nice",
      status: "full",
    });
    requireForMore(draft, nice, "/process/nice", "CAP_SYS_NICE");
    const phase = nice < 0 ? "monitor.start" : "payload.process";
    draft
      .phase(phase, decision)
      .call("nice.set", "CPU priority", "setpriority", [PRIO_PROCESS, 0, nice], { target: `nice ${nice}` });
  }
  if (oomScoreAdj !== 0) {
    const decision = draft.decide({
      id: "process.oomScoreAdj",
      control: "process",
      setting: `${oomScoreAdj}`,
      pointer: "/process/oomScoreAdj",
      status: "full",
    });
    requireForMore(draft, oomScoreAdj, "/process/oomScoreAdj", "CAP_SYS_RESOURCE");
    const at = draft.phase(oomScoreAdj < 0 ? "monitor.start" : "init.start", decision);
    const file = "/proc/self/oom_score_adj";
    const text = `${oomScoreAdj}`;
    at.call(
      "oom.open",
      "which process goes first when memory runs out",
      "openat",
      [AT_FDCWD, draft.text(file), O_WRONLY | O_CLOEXEC, 0],
      { target: file },
    );
    at.call("oom.write", text, "write", [result("oom.open"), draft.text(text), text.length], {
      target: file,
    });
    at.call("oom.close", "done with it", "close", [result("oom.open")]);
  }
}

/** SCHED_OTHER, SCHED_BATCH and SCHED_IDLE of sched(7), which share the CPU with everyone; the first is what new processes have. */
const ORDINARY = { other: 0, batch: 3, idle: 5 } as const;
/** Without SCHED_RESET_ON_FORK, which sched_getscheduler(2) adds. */
const POLICY = 0xffn;

/**
 * A caller's real-time or deadline policy is inherited, and would let the payload keep the CPU from everyone else; nor does a cpu group
 * take such a process. Before anything is spawned.
 */
function leaveRealTime(draft: Draft): void {
  const decision = draft.decide({
    id: "process.scheduling",
    control: "process",
    setting: "as the caller's, but never real-time",
    pointer: "/process",
    status: "full",
  });
  const at = draft.phase("monitor.start", decision);
  const policy = at.call("scheduling.get", "the caller's policy is inherited", "sched_getscheduler", [0]);
  for (const [name, number] of Object.entries(ORDINARY))
    at.branch(`scheduling.${name}`, "it shares the CPU", policy, number, "scheduling.ordinary", POLICY);
  at.call("scheduling.set", "a payload in real time could keep the CPU to itself", "sched_setscheduler", [
    0,
    ORDINARY.other,
    draft.bytes("00000000", 4),
  ]);
  at.label("scheduling.ordinary");
}

function requireForMore(draft: Draft, wanted: number, pointer: string, capability: string): void {
  if (wanted >= 0 || draft.host.capabilities.includes(capability)) return;
  draft.problem({
    kind: "host-cannot",
    pointer,
    message: `${wanted} asks for more than others get, which takes ${capability} on the host`,
    expected: "0 or more",
    hint: `give 0 or more, or run it with ${capability}`,
  });
}

export function prepareProcess(draft: Draft): void {
  const { umask, memoryDenyWriteExecute, speculationMitigations } = draft.spec.process;
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
      // ENODEV, ENXIO, EPERM: the CPU does not need it, or the machine has it on or off for all (prctl(2)): reported as degraded.
      speculation.call(
        `speculation.${name}`,
        "a Spectre mitigation",
        "prctl",
        [PR_SET_SPECULATION_CTRL, feature, PR_SPEC_FORCE_DISABLE, 0, 0],
        {
          onError: "continue",
        },
      );
    }
  }
  const shown =
    draft.spec.process.workdir === null && !isShown(draft, draft.request.cwd)
      ? "the caller's directory is not shown inside"
      : "";
  enterWorkdir(draft, at("process.workdir", workdir, "/process/workdir", shown), workdir);
  resetPersonality(draft);
  resetSignals(draft);
}

/** Looked up like a mount point: no link in the root, and no magic link, makes the working directory one outside (CVE-2024-21626). */
function enterWorkdir(draft: Draft, at: Listing, workdir: string): void {
  const { O_DIRECTORY } = OPEN_FLAGS[draft.host.arch];
  const how = openHow(draft, O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  const directory = at.call(
    "workdir.open",
    "look it up inside the root",
    "openat2",
    [AT_FDCWD, draft.text(workdir), how, OPEN_HOW_SIZE],
    { target: workdir },
  );
  at.call("workdir.enter", "where the payload starts", "fchdir", [directory], { target: workdir });
}

/** It survives execve: a caller without address-space randomisation, or whose memory is all executable, would hand that on. */
function resetPersonality(draft: Draft): void {
  const decision = draft.decide({
    id: "process.personality",
    control: "process",
    setting: "Linux, addresses randomised",
    pointer: "/process",
    status: "full",
  });
  draft
    .phase("payload.process", decision)
    .call("personality.reset", "nothing of the caller's (setarch -R, linux32)", "personality", [PER_LINUX]);
}

/** ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC and the like are flags above it (personality(2)). */
const PER_LINUX = 0;

/**
 * Dispositions and mask survive execve: a caller that ignores SIGPIPE must not decide how the payload ends. Not read back: by then they
 * are the payload's to change.
 */
function resetSignals(draft: Draft): void {
  const decision = draft.decide({
    id: "process.signals",
    control: "process",
    setting: "default dispositions and mask",
    pointer: "/process",
    status: "full",
  });
  const at = draft.phase("payload.process", decision);
  for (let signal = 1; signal <= 64; signal += 1) {
    if (signal === SIGNAL.SIGKILL || signal === SIGNAL.SIGSTOP) continue;
    at.call(
      `signals.default.${signal}`,
      "as a program expects it",
      "rt_sigaction",
      [signal, defaultAction(draft), 0, SIGSET_SIZE],
      { target: signalName(signal) },
    );
  }
  at.call("signals.unblock", "as a program expects them", "rt_sigprocmask", [
    SIG_SETMASK,
    draft.bytes("00".repeat(8), 8),
    0,
    SIGSET_SIZE,
  ]);
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

/** Number of the pipe that tells init of the execve; closed by it. */
const STARTED = 3;

/**
 * What init has open is closed first of all, the pipe that execve closes apart: nothing that comes after can reach through a descriptor of
 * the launch.
 */
export function dropDescriptors(draft: Draft, decision: string): void {
  const at = draft.phase("payload.drop", decision);
  // EINVAL: it has that number already.
  at.call("started.move", "out of the way", "dup3", [load("started", 4, 4), STARTED, O_CLOEXEC], {
    onError: { errnos: { EINVAL: "next" } },
  });
  at.call("descriptors.drop", "nothing of the launch stays open", "close_range", [
    STARTED + 1,
    ALL_DESCRIPTORS,
    0,
  ]);
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
        : `allow-list of ${filter.bytes.length / 8} BPF instructions, default ${seccomp?.defaultAction ?? ""}`,
    pointer: "/seccomp",
    status: "full",
    reason:
      filter === null ? "" : `proved equal to the profile's rules: certificate ${filter.certificate.digest}`,
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
  const hex = Array.from(filter.bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  draft.data.push({ name: "filter", hex, align: 8 });
  // struct sock_fprog: u16 length, padding, pointer.
  const program = draft.words([BigInt(filter.bytes.length / 8), { addressOf: "filter" }]);
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
    path === null ? `searched in ${search.join(":")}` : path,
  );
}
