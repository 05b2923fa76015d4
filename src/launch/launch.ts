/**
 * One run of a prepared launcher: start it, feed it, watch it, and say what became of it.
 *
 * Takes the plan, its image and what is particular to this run; gives an outcome. All limits that the kernel or the
 * launcher can keep are kept there; this side keeps only the output size and the CPU time of the whole sandbox.
 * Never rejects because of what the payload or the kernel did: that is the outcome.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { SupervisorPlan } from "../compile/plan.ts";
import { bug } from "../problems.ts";
import { PARENT_DEATH_SIGNAL } from "../program/program.ts";
import { cgroupPaths, cpuClock, prepareCgroup, removeCgroups } from "./cgroup.ts";
import { awaitEnd, closed } from "./child.ts";
import { watchCpuTime } from "./cpu-watch.ts";
import { decodeOutcome, type StopReason } from "./decode.ts";
import { errorCode } from "./errors.ts";
import {
  createMemory,
  encodeTimer,
  encodeWord,
  type Inputs,
  type MemoryImage,
  readMemory,
} from "./memory.ts";
import type { Outcome } from "./outcome.ts";
import { collectOutputs, feedInput, stdioEntry } from "./output.ts";
import { ownNamespaces } from "./own-namespaces.ts";
import { mismatches } from "./read-back.ts";
import { recoverRun } from "./recover.ts";
import type { ClaimedIds, LaunchRequest } from "./request.ts";
import { makeRunId } from "./run-id.ts";
import type { StepFacts } from "./sheet.ts";
import { relaySignals, type SignalRelay } from "./signals.ts";
import { openTerminal, type Terminal } from "./terminal.ts";
import { explainStart, unstarted } from "./unstarted.ts";

/**
 * Runs the command and resolves when nothing of the sandbox is left. Rejects only for the caller's own errors: a
 * stream of the caller that broke, a callback that threw, an argument that cannot be passed (a NUL byte).
 */
export async function launch(request: LaunchRequest): Promise<Outcome> {
  const runId = request.runId ?? makeRunId();
  if (request.signal?.aborted === true) return unstarted(runId, "cancelled", null);
  const run = new Run(request, runId);
  try {
    return await run.execute();
  } finally {
    run.release();
  }
}

/** How long the launcher has to tear down a sandbox that was stopped, in milliseconds, before it is killed itself. */
const STOP_GRACE = 2000;
/** The launcher keeps the wall time by itself; this is for one that was stopped or is stuck. */
const WALL_TIME_GRACE = 1000;
const MAX_TIMER = 2 ** 31 - 1;

/** Milliseconds. Not performance.now(), which costs a command line the loading of eight modules. */
const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6;

class Run {
  readonly #request: LaunchRequest;
  readonly #runId: string;
  #memory: number | null = null;
  #ids: ClaimedIds | null = null;
  #terminal: Terminal | null = null;
  #relay: SignalRelay | null = null;
  #child: ChildProcess | null = null;
  #stop: StopReason | null = null;
  /** An error of the caller's own, to be thrown when the sandbox is gone. */
  #failure: { readonly error: unknown } | null = null;
  readonly #timers: NodeJS.Timeout[] = [];
  #endWatch: (() => void) | null = null;

  constructor(request: LaunchRequest, runId: string) {
    this.#request = request;
    this.#runId = runId;
  }

  async execute(): Promise<Outcome> {
    const request = this.#request;
    const { plan, layout } = request.prepared;
    const start = monotonic();
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      return unstarted(this.#runId, "launch-failed", explainStart(error, request), monotonic() - start);
    }
    const ended = awaitEnd(child);
    if (child.pid === undefined) {
      // Node reports a refused fork or exec as an event.
      const { error } = await ended;
      return unstarted(this.#runId, "launch-failed", explainStart(error, request), monotonic() - start);
    }
    this.#child = child;
    const outputs = collectOutputs(child, {
      stdout: request.stdout ?? "capture",
      stderr: request.stderr ?? "capture",
      limit: plan.supervisor.outputSize,
      exceeded: () => this.#end("output-limit"),
      failed: (error) => this.#fail(error),
    });
    feedInput(child, request.stdin ?? "ignore", (error) => this.#fail(error));
    this.#watch();
    this.#announce(child.pid);

    const { signal } = await ended;
    const wallTime = monotonic() - start;
    this.#child = null;
    const memory = readMemory(this.#memory ?? bug("no shared memory"), layout);
    await this.#cleanUp(memory, signal, wallTime);
    await closed(child);
    await this.#terminal?.close();
    this.#terminal = null;
    if (this.#failure !== null) throw this.#failure.error;

    const outcome = decodeOutcome(plan, request.prepared.steps, memory, {
      runId: this.#runId,
      command: request.command,
      wallTime,
      stop: this.#stop,
      monitorSignal: signal,
      stdout: outputs.text("stdout"),
      stderr: outputs.text("stderr"),
      outputSize: outputs.size(),
      own: ownNamespaces(),
    });
    const differing = mismatches(outcome.enforcement);
    if (differing.length > 0) request.onMismatch?.(differing);
    return outcome;
  }

  /** Everything that is open or listened to; safe to call at any point. */
  release(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#endWatch?.();
    this.#relay?.close();
    this.#request.signal?.removeEventListener("abort", this.#cancel);
    void this.#terminal?.close();
    if (this.#memory !== null) closeSync(this.#memory);
    this.#memory = null;
    this.#ids?.release();
    this.#ids = null;
  }

  #spawn(): ChildProcess {
    const { prepared, command, env, stdin, stdout, stderr, forwardSignals } = this.#request;
    const { supervisor, program } = prepared.plan;
    prepareCgroup(supervisor.cgroupPrepare);
    this.#memory = createMemory(program, prepared.layout, this.#inputs());
    const { descriptors } = supervisor;
    if (descriptors.ptyMaster !== null) this.#terminal = openTerminal();

    const stdio = [
      stdioEntry(stdin ?? "ignore", 0),
      stdioEntry(stdout ?? "capture", 1),
      stdioEntry(stderr ?? "capture", 2),
    ];
    const highest = Math.max(descriptors.memory, descriptors.ptyMaster ?? 0, descriptors.events ?? 0);
    while (stdio.length <= highest) stdio.push("ignore");
    stdio[descriptors.memory] = this.#memory;
    if (descriptors.ptyMaster !== null) stdio[descriptors.ptyMaster] = this.#terminal?.master;
    if (descriptors.events !== null) stdio[descriptors.events] = "pipe";

    // Before there is a payload: it may have said that it is ready, and have been sent a signal, before we get any further.
    if (forwardSignals === true) {
      this.#relay = relaySignals((signal) => this.#send(signal), {
        suspending: () => this.#terminal?.suspend(),
        resumed: () => this.#terminal?.resume(),
      });
    }
    return spawn(prepared.image.path, command, {
      argv0: "sandbox",
      // A session of its own: what the terminal sends to our process group must reach the payload once, through us.
      detached: true,
      // Node adds this one variable of its own to every child that does not set it.
      env: "NODE_V8_COVERAGE" in env ? env : { ...env, NODE_V8_COVERAGE: undefined },
      stdio,
    });
  }

  #inputs(): Inputs {
    const { idRange } = this.#request.prepared.plan.supervisor;
    return {
      "run-id": this.#runId,
      "supervisor-pid": encodeWord(process.pid),
      "wall-time": encodeTimer(this.#wallTime()),
      ...(idRange === null ? {} : this.#claim(idRange)),
    };
  }

  #claim(range: NonNullable<SupervisorPlan["idRange"]>): Inputs {
    const { claimIds, prepared } = this.#request;
    if (claimIds === undefined) return bug("the plan needs a range of ids and nobody claims one");
    this.#ids = claimIds(range);
    const host = range.base + this.#ids.slot * range.size;
    const { uid, gid } = prepared.plan.spec.identity;
    // A single id is the payload's; a longer range starts at 0 as /etc/subuid ranges do.
    const map = (id: number): string => `${range.size === 1 ? id : 0} ${host} ${range.size}\n`;
    return { "uid-map": map(uid), "gid-map": map(gid) };
  }

  /** The shorter of the plan's and this run's; null: none. */
  #wallTime(): number | null {
    const { timeout, prepared } = this.#request;
    const limits = [timeout ?? null, prepared.plan.supervisor.wallTime].filter((limit) => limit !== null);
    return limits.length === 0 ? null : Math.min(...limits);
  }

  #watch(): void {
    const { prepared, signal } = this.#request;
    const { program, supervisor } = prepared.plan;
    signal?.addEventListener("abort", this.#cancel, { once: true });

    const limit = this.#wallTime();
    if (limit !== null) {
      const kept = program.buffers.some(({ name, input }) => name === "wall-time" && input === true);
      this.#after(limit + (kept ? WALL_TIME_GRACE : 0), () => this.#end("wall-time-limit"));
    }
    if (supervisor.cpuTime !== null) {
      const clock = cpuClock(supervisor.cgroups, this.#runId);
      const cpus = Math.min(availableParallelism(), Math.ceil(supervisor.resources.cpus ?? Infinity));
      if (clock !== null) {
        this.#endWatch = watchCpuTime(clock, supervisor.cpuTime, cpus, () => this.#end("cpu-time-limit"));
      }
    }
    this.#terminal?.start();
    const { events } = supervisor.descriptors;
    if (events !== null) this.#child?.stdio[events]?.on("data", () => this.#relay?.payloadStopped());
  }

  #announce(pid: number): void {
    try {
      this.#request.onStart?.({
        runId: this.#runId,
        pid,
        stop: (reason) => this.#end(reason),
        kill: (signal) => this.#send(signal),
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #cancel = (): void => this.#end("cancelled");

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#end("cancelled");
  }

  /**
   * The launcher takes this signal as the death of its supervisor: it kills the sandbox and tidies up, which
   * SIGKILL would not let it do. SIGCONT, because a stopped process takes no other signal.
   */
  #end(reason: StopReason): void {
    if (this.#stop !== null || this.#child === null) return;
    this.#stop = reason;
    this.#send(PARENT_DEATH_SIGNAL);
    this.#send("SIGCONT");
    this.#after(STOP_GRACE, () => this.#send("SIGKILL"));
  }

  #send(signal: NodeJS.Signals | number): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (errorCode(error) !== "ESRCH") throw error;
    }
  }

  #after(milliseconds: number, act: () => void): void {
    if (milliseconds <= MAX_TIMER) this.#timers.push(setTimeout(act, milliseconds));
  }

  /** Nothing to do after an ordinary run: the launcher has removed what it made. */
  async #cleanUp(memory: MemoryImage, signal: string | null, wallTime: number): Promise<void> {
    const { plan, steps, init } = this.#request.prepared;
    const cgroups = cgroupPaths(plan.supervisor.cgroups, this.#runId);
    if (signal !== null) {
      await recoverRun({ init: init === -1 ? 0 : Number(memory.resultAt(init)), cgroups, wallTime });
    } else if (cgroups.length > 0 && couldNotRemove(steps, memory)) {
      await removeCgroups(cgroups);
    }
  }
}

/** Whether the launcher met a cgroup that it could not remove. */
function couldNotRemove(steps: readonly StepFacts[], memory: MemoryImage): boolean {
  return (
    memory.header.failedStep !== 0 ||
    steps.some(
      (step, index) => step.kind === "call" && step.call === "unlinkat" && memory.resultAt(index) < 0n,
    )
  );
}
