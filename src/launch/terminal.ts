/**
 * The payload's terminal: a pseudo-terminal between it and ours.
 *
 * A payload that holds the caller's terminal can type into it (TIOCSTI, TIOCLINUX) or outlive the job on it; through
 * a pseudo-terminal it reaches only the bytes relayed here. This side opens the master and copies bytes; the launcher
 * unlocks it, makes its other end the payload's controlling terminal in place of those of its standard descriptors
 * that are terminals, and copies the window size. Whatever happens, our terminal gets its modes back.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { isatty, ReadStream, type WriteStream } from "node:tty";
import { errorCode } from "./errors.ts";

export interface Terminal {
  /** To pass to the launcher as the descriptor of the plan. */
  readonly master: number;
  /** Starts copying; call when the launcher runs. */
  start(): void;
  /** Gives the terminal its modes back, for as long as this process is stopped. */
  suspend(): void;
  /** Takes the terminal again if this job is in the foreground. */
  resume(): void;
  /** Copies what the payload has left, then restores and closes everything. Resolves when the last byte is out. */
  close(): Promise<void>;
}

/** How long the next piece of what is left of the output may take to come after the payload has ended. */
const DRAIN_TIME = 500;
/** A job moved to the foreground while it runs is not always told by a signal. */
const FOREGROUND_CHECK = 250;
/** Ctrl-D, the end-of-file character of a new pseudo-terminal (N_TTY defaults). */
const END_OF_FILE = "\u0004";

/** Throws the system's error when there is no /dev/ptmx or no pseudo-terminal left. */
export function openTerminal(): Terminal {
  const master = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY);
  const input = isatty(0);
  const output = isatty(1) ? process.stdout : isatty(2) ? process.stderr : null;
  return new Relay(master, input, output);
}

class Relay implements Terminal {
  readonly master: number;
  readonly #input: boolean;
  readonly #output: WriteStream | null;
  /**
   * In a pipeline (`sandbox run -- cat | less`) the terminal is shared with the other commands: it keeps its
   * modes, and its keys their meaning for the whole job.
   */
  readonly #mayBeRaw: boolean;
  #stream: ReadStream | null = null;
  #ended: Promise<void> = Promise.resolve();
  #raw = false;
  #reading = false;
  #check: NodeJS.Timeout | undefined;

  constructor(master: number, input: boolean, output: WriteStream | null) {
    this.master = master;
    this.#input = input;
    this.#output = output;
    this.#mayBeRaw = input && isatty(1);
  }

  start(): void {
    const stream = new ReadStream(this.master, { allowHalfOpen: true });
    this.#stream = stream;
    this.#ended = new Promise((resolve) => stream.once("close", () => resolve()));
    // EIO: the payload's side is closed for good, which is how a pseudo-terminal says end of file (pty(7)).
    stream.on("error", (error) => {
      if (errorCode(error) !== "EIO") this.#restore();
      stream.destroy();
    });
    // Never paused: Node writes to a terminal synchronously, so nothing piles up, and what a paused stream holds
    // would be lost with the EIO at the end.
    stream.on("data", (chunk: Buffer) => this.#output?.write(chunk));
    // libuv reports the end as soon as it sees the hang-up, with bytes still unread.
    stream.once("end", () => {
      this.#drain();
      stream.destroy();
    });
    process.on("exit", this.#restore);
    this.resume();
  }

  /** Reads what is left after the hang-up, until the kernel says EIO. */
  #drain(): void {
    const chunk = Buffer.allocUnsafe(65_536);
    for (;;) {
      let count: number;
      try {
        count = readSync(this.master, chunk);
      } catch (error) {
        if (errorCode(error) === "EIO" || errorCode(error) === "EAGAIN") return;
        throw error;
      }
      if (count === 0) return;
      this.#output?.write(Buffer.from(chunk.subarray(0, count)));
    }
  }

  suspend(): void {
    this.#restore();
    this.#stopReading();
  }

  resume(): void {
    clearTimeout(this.#check);
    if (!this.#input) return;
    // Setting modes or reading from the background would stop this process (SIGTTOU, SIGTTIN).
    if (!inForeground()) {
      this.#check = setTimeout(() => this.resume(), FOREGROUND_CHECK);
      this.#check.unref();
      return;
    }
    if (this.#mayBeRaw) {
      this.#raw = true;
      process.stdin.setRawMode(true);
      leaveOutputAlone();
    }
    if (!this.#reading) {
      this.#reading = true;
      process.stdin.on("data", this.#type);
      process.stdin.on("end", this.#endInput);
      process.stdin.resume();
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#check);
    this.#stopReading();
    const stream = this.#stream;
    if (stream !== null) {
      const overdue = setTimeout(() => stream.destroy(), DRAIN_TIME);
      stream.on("data", () => overdue.refresh());
      await this.#ended;
      clearTimeout(overdue);
    } else {
      closeSync(this.master);
    }
    this.#restore();
    process.off("exit", this.#restore);
  }

  readonly #type = (keys: Buffer): void => {
    const stream = this.#stream;
    if (stream === null || stream.destroyed || stream.write(keys)) return;
    process.stdin.pause();
    stream.once("drain", () => {
      if (this.#reading) process.stdin.resume();
    });
  };

  readonly #endInput = (): void => {
    if (this.#stream?.destroyed === false) this.#stream.write(END_OF_FILE);
  };

  #stopReading(): void {
    if (!this.#reading) return;
    this.#reading = false;
    process.stdin.off("data", this.#type);
    process.stdin.off("end", this.#endInput);
    process.stdin.pause();
  }

  readonly #restore = (): void => {
    if (!this.#raw) return;
    this.#raw = false;
    process.stdin.setRawMode(false);
  };
}

/**
 * Node's raw mode still turns line feeds into carriage return and line feed. The payload's own terminal has done
 * that where it is wanted; a full-screen program that turned it off means a plain line feed. Node has no call for
 * this mode; where there is no stty, such programs draw badly and all else works. Restoring restores this too.
 */
function leaveOutputAlone(): void {
  for (const stty of ["/usr/bin/stty", "/bin/stty"]) {
    // Waited for: a change that came after the modes were restored would stay.
    if (spawnSync(stty, ["-opost"], { stdio: ["inherit", "ignore", "ignore"] }).status === 0) return;
  }
}

/** Whether the terminal's foreground process group is ours (proc_pid_stat(5): pgrp, tpgid). */
function inForeground(): boolean {
  const stat = readFileSync("/proc/self/stat", "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[2] === fields[5];
}
