/**
 * The wait status of wait4(2) as exit code or signal.
 */
import { signalName } from "../program/signal.ts";

export type Ended =
  | { readonly exitCode: number; readonly signal: null }
  | { readonly exitCode: null; readonly signal: string };

/** Only for a process that has ended: a stopped one has no place here. */
export function decodeWaitStatus(status: number): Ended {
  const signal = status & 0x7f;
  return signal === 0
    ? { exitCode: (status >> 8) & 0xff, signal: null }
    : { exitCode: null, signal: signalName(signal) };
}
