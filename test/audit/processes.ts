/** Processes of our own that write, lock and die: test/audit/worker.ts, bundled once per test file. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll } from "vitest";

let directory = "";
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-audit-worker-"));
  chmodSync(directory, 0o755);
  const bundle = await rolldown({
    input: fileURLToPath(new URL("worker.ts", import.meta.url)),
    platform: "node",
    logLevel: "silent",
  });
  await bundle.write({ file: join(directory, "worker.mjs"), format: "esm", codeSplitting: false });
  await bundle.close();
  chmodSync(join(directory, "worker.mjs"), 0o644);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

export function workerFile(): string {
  return join(directory, "worker.mjs");
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Start a command; its output is collected. */
export function start(
  command: string,
  args: readonly string[],
  options: { uid?: number; gid?: number; env?: Readonly<Record<string, string>> } = {},
): Running {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ended>((done, failed) => {
    child.on("error", failed);
    child.on("close", (code, signal) => done({ code, signal, stdout, stderr }));
  });
  return { child, ended };
}

/** Start a worker. */
export function work(...args: readonly string[]): Running {
  return start(process.execPath, [workerFile(), ...args]);
}
