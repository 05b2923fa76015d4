/**
 * Programs made for a test, encoded, and really executed: natively, or by qemu-user for the other architecture.
 * The shared memory is a file passed as descriptor 3, read back after the end.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  accessSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll } from "vitest";
import { encodeProgram } from "../../src/encode/index.ts";
import type { Arch } from "../../src/host/facts.ts";
import {
  HEADER,
  layoutMemory,
  type Operand,
  type Program,
  type Role,
  type RoleProgram,
  type Step,
  stepOrder,
} from "../../src/program/program.ts";
import type { SyscallName } from "../../src/program/syscalls.ts";

export const NATIVE: Arch = process.arch === "arm64" ? "aarch64" : "x86_64";

type Draft<S> = S extends { kind: "label" }
  ? S
  : S extends unknown
    ? Omit<S, "id" | "decision" | "why"> & { id?: string; why?: string }
    : never;
export type DraftStep = Draft<Step>;

export interface DraftProgram {
  readonly arch?: Arch;
  readonly seal?: boolean;
  readonly memory?: Program["memory"];
  readonly data?: Program["data"];
  readonly buffers?: Program["buffers"];
  readonly monitor?: readonly DraftStep[];
  readonly init?: readonly DraftStep[];
  readonly payload?: readonly DraftStep[];
  readonly onFailure?: Partial<Record<Role, string>>;
}

/** A program with ids and reasons filled in: monitor.0, monitor.1, ... */
export function program(draft: DraftProgram): Program {
  const role = (name: "monitor" | "init" | "payload"): RoleProgram => ({
    onFailure: draft.onFailure?.[name] ?? null,
    steps: (draft[name] ?? []).map((step, index) =>
      step.kind === "label" ? step : { id: `${name}.${index}`, decision: "test", why: "test", ...step },
    ),
  });
  return {
    arch: draft.arch ?? NATIVE,
    seal: draft.seal ?? false,
    memory: draft.memory ?? { descriptor: 3 },
    data: draft.data ?? [],
    buffers: draft.buffers ?? [],
    roles: { monitor: role("monitor"), init: role("init"), payload: role("payload") },
  };
}

export const value = (number: bigint | number): Operand => ({ kind: "value", value: BigInt(number) });
export const data = (name: string): Operand => ({ kind: "data", name });
export const buffer = (name: string, offset = 0): Operand => ({ kind: "buffer", name, offset });
export const result = (step: string): Operand => ({ kind: "result", step });
export const load = (name: string, offset: number, width: 1 | 2 | 4 | 8): Operand => ({
  kind: "load",
  name,
  offset,
  width,
});
export const call = (
  name: SyscallName,
  args: readonly Operand[],
  more: {
    id?: string;
    onError?: Extract<Step, { kind: "call" }>["onError"];
    why?: string;
    target?: string;
  } = {},
): DraftStep => ({
  kind: "call",
  call: name,
  args,
  onError: "fail",
  ...more,
});
export const exit = (code: number | "outcome"): DraftStep => ({ kind: "exit", code });
/** All signals blocked, as `supervise` needs it; wants the constant ALL_SIGNALS. */
export const ALL_SIGNALS = { name: "all-signals", hex: "ffffffffffffffff" } as const;
export const blockSignals = (): DraftStep =>
  call("rt_sigprocmask", [value(2), data("all-signals"), value(0), value(8)]);

const directory = mkdtempSync(join(tmpdir(), "sandbox-encode-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

export function scratch(name: string): string {
  count += 1;
  return join(directory, `${count}-${name}`);
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly memory: Buffer;
  /** A u32 of the header. */
  header(field: Exclude<keyof typeof HEADER, "size">): number;
  /** Result cell of a step. */
  cell(step: string): bigint;
  /** Bytes of a buffer. */
  buffer(name: string): Buffer;
  /** Where a buffer begins in `memory`. */
  offset(name: string): number;
  /** Id and errno of the step that failed first. */
  readonly failed: { readonly step: string; readonly errno: number } | null;
}

export interface Running {
  readonly child: ChildProcess;
  readonly file: string;
  readonly memoryFile: string;
  readonly ended: Promise<Ended>;
}

export interface RunOptions {
  readonly argv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: "ignore" | "pipe";
  readonly input?: (memory: Buffer) => void;
  readonly cwd?: string;
}

export function start(made: Program, options: RunOptions = {}): Running {
  const file = scratch("launcher");
  writeFileSync(file, encodeProgram(made), { mode: 0o755 });
  const layout = layoutMemory(made);
  const memoryFile = scratch("memory");
  const initial = Buffer.alloc(layout.size);
  options.input?.(initial);
  writeFileSync(memoryFile, initial);
  const descriptor = openSync(memoryFile, "r+");
  const emulated = made.arch !== NATIVE;
  const command = emulated ? (QEMU ?? "qemu-aarch64-static") : file;
  const argv = emulated ? [file, ...(options.argv ?? [])] : [...(options.argv ?? [])];
  const child = spawn(command, argv, {
    stdio: [options.stdin ?? "ignore", "pipe", "pipe", descriptor],
    env: { ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  closeSync(descriptor);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  const place = (name: string) => {
    const found = layout.buffers.get(name);
    if (found === undefined) throw new Error(`no buffer ${name}`);
    return found;
  };
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const memory = readFileSync(memoryFile);
      const header = (field: Exclude<keyof typeof HEADER, "size">) => memory.readUInt32LE(HEADER[field]);
      const step = stepOrder(made)[header("failedStep") - 1];
      resolve({
        code,
        signal,
        stdout,
        stderr,
        memory,
        header,
        cell: (id) => memory.readBigInt64LE(layout.results.get(id) ?? -1),
        buffer: (name) => memory.subarray(place(name).offset, place(name).offset + place(name).size),
        offset: (name) => place(name).offset,
        failed: step === undefined ? null : { step: step.id, errno: header("failedErrno") },
      });
    });
  });
  return { child, file, memoryFile, ended };
}

export function run(made: Program, options: RunOptions = {}): Promise<Ended> {
  return start(made, options).ended;
}

/** NUL-terminated text at the start of a buffer. */
export function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

/** Absolute path of a tool, or undefined. */
export function which(tool: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, tool))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Emulator of aarch64, from Debian's qemu-user-static or qemu-user. */
export const QEMU = which("qemu-aarch64-static") ?? which("qemu-aarch64");

/** True when a test has what it needs; says why when it does not, and SANDBOX_MUST_WORK=1 makes that a failure. */
export function available(what: string, present: boolean): boolean {
  if (present) return true;
  const message = `skipped: ${what}`;
  if (process.env["SANDBOX_MUST_WORK"] === "1") throw new Error(message);
  process.stderr.write(`${message}\n`);
  return false;
}

/** The architectures that can be executed here. */
export const ARCHES: readonly Arch[] =
  NATIVE === "x86_64"
    ? available("qemu-aarch64-static (Debian: qemu-user-static) is not installed", QEMU !== undefined)
      ? ["x86_64", "aarch64"]
      : ["x86_64"]
    : ["aarch64"];

export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited in vain for ${what}`);
}
