/**
 * The built command in a child process, as a user would run it.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const COMMAND = fileURLToPath(new URL("../../dist/bin/sandbox.cjs", import.meta.url));

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `sandbox ARGS`; the environment is exactly `env` and a PATH. */
export async function sandbox(
  args: readonly string[],
  options: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly input?: string;
  } = {},
): Promise<Ended> {
  if (!existsSync(COMMAND)) throw new Error(`${COMMAND} is missing: npm run build`);
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: options.cwd ?? "/",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: process.env["HOME"] ?? "/", ...options.env },
    stdio: "pipe",
    timeout: 15_000,
    killSignal: "SIGKILL",
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => out.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => err.push(bytes));
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/** Messages are lines; a stack trace has lines that begin with "    at ". */
export function messages(stderr: string): readonly string[] {
  return stderr.split("\n").filter((line) => line !== "");
}
