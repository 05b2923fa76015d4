/** Signal numbers by name: asm-generic/signal.h; the same on x86-64 and aarch64. */
export const SIGNAL = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
} as const satisfies Record<string, number>;

export type SignalName = keyof typeof SIGNAL;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(SIGNAL).map(([name, value]) => [value, name]),
);

/** "SIGKILL" for 9; real-time signals as "SIGRTMIN+n" (kernel numbering: SIGRTMIN is 32). */
export function signalName(signal: number): string {
  return NAMES.get(signal) ?? (signal >= 32 && signal <= 64 ? `SIGRTMIN+${signal - 32}` : `signal ${signal}`);
}

/** 9 for "SIGKILL"; undefined when there is no such signal. */
export function signalNumber(name: string): number | undefined {
  const realTime = /^SIGRTMIN\+(\d+)$/.exec(name);
  if (realTime !== null) return 32 + Number(realTime[1]);
  return name in SIGNAL ? SIGNAL[name as SignalName] : undefined;
}
