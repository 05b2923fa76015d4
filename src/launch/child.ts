/** A child process as promises: when it has ended, and when the last byte of its pipes has been handed over. */
import type { ChildProcess } from "node:child_process";

export interface End {
  readonly signal: string | null;
  readonly error: unknown;
}

/** Resolves, never rejects: with the signal that ended the child, or the error that kept it from starting. */
export function awaitEnd(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once("exit", (_code, signal) => resolve({ signal, error: null }));
    child.on("error", (error) => resolve({ signal: null, error }));
  });
}

/** Resolves when the last byte of every pipe has been handed over. */
export function closed(child: ChildProcess): Promise<void> | void {
  const open = child.stdio.some((stream) => stream !== null && stream !== undefined && !stream.closed);
  if (!open) return;
  return new Promise((resolve) => child.once("close", () => resolve()));
}
