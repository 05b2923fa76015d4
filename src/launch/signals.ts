/**
 * Signals between the terminal or a parent, this process and the launcher; for the command line only, because a
 * library must not touch its host's signal handlers.
 *
 * The launcher lives in a session of its own: what the terminal sends reaches this process alone and is passed on
 * exactly once. Stopping works as for any job: first the payload stops, then this process, so that the shell sees it.
 */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"] as const;

export interface SignalRelay {
  /** The payload stopped by itself or from its own terminal: stop this whole job as well. */
  payloadStopped(): void;
  /** Gives the signals back to whoever had them. */
  close(): void;
}

export interface StopHooks {
  /** Just before this process stops: give the terminal back. */
  readonly suspending: () => void;
  /** Running again, maybe in the background: take the terminal if it is ours. */
  readonly resumed: () => void;
}

/** An orphaned process group is never stopped by SIGTSTP (signal(7)): then nobody would ever continue the payload. */
const STOP_GRACE = 100;

/** Passes the job's signals on, by `send`, until closed. */
export function relaySignals(send: (signal: NodeJS.Signals) => void, hooks: StopHooks): SignalRelay {
  let stopped = false;
  let unstopped: NodeJS.Timeout | undefined;

  const resume = (): void => {
    clearTimeout(unstopped);
    if (stopped) {
      stopped = false;
      process.on("SIGTSTP", onStopKey);
      hooks.resumed();
    }
    send("SIGCONT");
  };
  /** `target` is this process, or 0: its group. Without a handler of ours the default action is to stop. */
  const stop = (target: number): void => {
    if (stopped) return;
    stopped = true;
    hooks.suspending();
    process.off("SIGTSTP", onStopKey);
    process.kill(target, "SIGTSTP");
    unstopped = setTimeout(resume, STOP_GRACE);
  };
  const onStopKey = (): void => {
    // The rest of the group has the signal already.
    send("SIGTSTP");
    stop(process.pid);
  };

  const handlers = FORWARDED.map((signal) => [signal, () => send(signal)] as const);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  process.on("SIGTSTP", onStopKey);
  process.on("SIGCONT", resume);
  return {
    payloadStopped: () => stop(0),
    close() {
      clearTimeout(unstopped);
      for (const [signal, handler] of handlers) process.off(signal, handler);
      process.off("SIGTSTP", onStopKey);
      process.off("SIGCONT", resume);
    },
  };
}
