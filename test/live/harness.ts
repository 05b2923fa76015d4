/**
 * Runs the built command line as people do: as root and as an ordinary user, each run with a temporary directory, an
 * audit log and a report of its own. Nothing here knows how a sandbox is made; it sees exit statuses, bytes and files.
 *
 * As root both users run, the ordinary one through setpriv(1); as an ordinary user only that half can.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, type TestContext } from "vitest";
import { askKernel } from "../../src/host/landlock-trial.ts";
import { archOf } from "../../src/host/probe.ts";
import type { Outcome } from "../../src/launch/outcome.ts";

/** `root` is uid 0 on the host; `user` owns nothing but its own temporary directory. */
export type User = "root" | "user";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = resolve(HERE, "../..");
const isRoot = process.getuid?.() === 0;
/** The ordinary user of a root test process; has no account, no groups and no subordinate ids. */
const USER_ID = 65534;

/** The host's id of the ordinary user. */
export function ordinaryUid(): number {
  return isRoot ? USER_ID : (process.getuid?.() ?? USER_ID);
}

/** Who can be tried from this process. */
export const USERS: readonly User[] = isRoot ? ["root", "user"] : ["user"];
if (!isRoot) console.log("live: not root, so only the ordinary user's half runs");

/** A test that cannot run says why; where everything is required that is a failure. */
export function need(context: TestContext, available: boolean, reason: string): void {
  if (available) return;
  if (process.env["SANDBOX_MUST_WORK"] === "1") throw new Error(`SANDBOX_MUST_WORK=1, but ${reason}`);
  console.log(`skipped: ${context.task.name}: ${reason}`);
  context.skip(reason);
}

/** What kernels have only since some version is wanting nowhere: a test without it says why it is left out, whatever is required. */
export function needKernel(context: TestContext, available: boolean, reason: string): void {
  if (available) return;
  console.log(`skipped: ${context.task.name}: ${reason}`);
  context.skip(reason);
}

/** Is this program installed where a sandbox shows it? */
export function installed(program: string): boolean {
  return ["/usr/bin", "/bin", "/usr/sbin"].some((directory) => existsSync(join(directory, program)));
}

/** What this kernel has of Landlock; 0: nothing. */
export const LANDLOCK_ABI = askKernel(archOf(process.arch)) ?? 0;

// ---- temporary directories: one tree per test file, removed at its end ----

let base: string | undefined;
function baseDirectory(): string {
  if (base === undefined) {
    base = mkdtempSync(join(realpathSync(tmpdir()), "sandbox-live-"));
    chmodSync(base, 0o755);
  }
  return base;
}
afterAll(() => {
  if (base !== undefined) rmSync(base, { recursive: true, force: true });
  base = undefined;
});

/** A new directory that this user owns, mode 0700. */
export function scratch(user: User): string {
  const directory = mkdtempSync(join(baseDirectory(), `${user}-`));
  chmodSync(directory, 0o700);
  if (isRoot && user === "user") chownSync(directory, USER_ID, USER_ID);
  return directory;
}

// ---- hostile programs ----

const built = new Map<string, string>();
const haveGcc = installed("gcc");

/** Where the hostile programs are already compiled: in a guest of test/vm, which has no compiler. */
const COMPILED = process.env["SANDBOX_TEST_PROGRAMS"];

/** Compiles test/live/programs/NAME.c into a static binary that everyone may execute; once per test file. */
export function hostile(context: TestContext, name: string): string {
  const ready = built.get(name);
  if (ready !== undefined) return ready;
  if (COMPILED !== undefined) return join(COMPILED, name);
  need(context, haveGcc, "gcc is not installed, so the hostile programs cannot be compiled");
  const source = join(HERE, "programs", `${name}.c`);
  const target = join(baseDirectory(), name);
  const freestanding =
    name === "probe" ? ["-nostdlib", "-ffreestanding", "-fno-stack-protector"] : ["-pthread"];
  execFileSync("gcc", [
    "-static",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    ...freestanding,
    "-o",
    target,
    source,
  ]);
  chmodSync(target, 0o755);
  built.set(name, target);
  return target;
}

/** Text of a script in test/live/programs: other users may have no way to the file. */
export function script(name: string): string {
  return readFileSync(join(HERE, "programs", name), "utf8");
}

// ---- running ----

/** How many times slower than a machine this one is: an emulated one says so. */
export const SLOWNESS = Number(process.env["SANDBOX_TEST_SLOWNESS"] ?? 1);

export interface RunOptions {
  readonly stdin?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Milliseconds until the test kills it; a run that needs this is a hang. */
  readonly patience?: number;
  /** Arguments of `sandbox run` before `--`. */
  readonly flags?: readonly string[];
  readonly profile?: string;
}

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Ended by the harness because it took too long. */
  readonly hung: boolean;
}

export interface SandboxRan extends Ran {
  /** The --report file; null when the run made none. */
  readonly report: Outcome | null;
  /** The --audit file's lines, parsed. */
  readonly audit: readonly Record<string, unknown>[];
  readonly directory: string;
}

const CLI = join(PROJECT, "dist/bin/sandbox.cjs");
// A test of something that is not there must not pass by being left out.
if (!existsSync(CLI)) throw new Error("dist/bin/sandbox.cjs is not built: run `npm run build`");

let readable: string | undefined;
/**
 * The command line where the ordinary user can read it. A checkout below /root cannot be entered by others, so then
 * the shipped files and the run-time dependencies are copied, once per test file.
 */
export function cli(user: User): string {
  if (user === "root" || !isRoot) return CLI;
  if (readable !== undefined) return readable;
  if (othersCanRead(CLI)) return (readable = CLI);
  const copy = join(baseDirectory(), "project");
  const lock: { packages: Record<string, { dev?: boolean }> } = JSON.parse(
    readFileSync(join(PROJECT, "package-lock.json"), "utf8"),
  );
  const packages = Object.keys(lock.packages).filter(
    (path) => path !== "" && lock.packages[path]?.dev !== true,
  );
  for (const path of ["package.json", "dist", "profiles", "policies", ...packages])
    if (existsSync(join(PROJECT, path))) cpSync(join(PROJECT, path), join(copy, path), { recursive: true });
  execFileSync("chmod", ["-R", "a+rX", copy]);
  return (readable = join(copy, "dist/bin/sandbox.cjs"));
}

function othersCanRead(path: string): boolean {
  try {
    execFileSync("setpriv", [...SETPRIV, "test", "-r", path], { stdio: "ignore" });
    return true;
  } catch (error) {
    if (error instanceof Error && "status" in error && error.status === 1) return false;
    throw error;
  }
}

const SETPRIV = ["--reuid", `${USER_ID}`, "--regid", `${USER_ID}`, "--clear-groups", "--inh-caps=-all", "--"];

/** The command as this user would start it. */
export function as(user: User, argv: readonly string[]): readonly string[] {
  return isRoot && user === "user" ? ["setpriv", ...SETPRIV, ...argv] : argv;
}

/** Caches for each user that outlive a test: where compiling a profile takes many seconds. */
const CACHES = process.env["SANDBOX_TEST_CACHES"];

function cachesOf(directory: string): string {
  if (CACHES === undefined) return join(directory, "cache");
  const { uid, gid } = statSync(directory);
  const own = join(CACHES, `${uid}`);
  mkdirSync(own, { recursive: true });
  chownSync(own, uid, gid);
  return own;
}

/** A private environment: nothing of the test process but where programs are. */
export function environment(
  directory: string,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    HOME: directory,
    TMPDIR: directory,
    XDG_STATE_HOME: join(directory, "state"),
    XDG_CACHE_HOME: cachesOf(directory),
    XDG_CONFIG_HOME: join(directory, "config"),
    XDG_RUNTIME_DIR: join(directory, "run"),
    ...extra,
  };
}

/** Starts a process in a session of its own (no controlling terminal: nothing it does can reach the developer's). */
export function start(
  argv: readonly string[],
  options: RunOptions & { readonly directory: string },
): ChildProcess {
  const [program, ...rest] = argv;
  if (program === undefined) throw new Error("nothing to start");
  return spawn(program, rest, {
    cwd: options.cwd ?? options.directory,
    env: environment(options.directory, options.env),
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
}

/** Everything a started process says, and how it ended. */
export async function finish(child: ChildProcess, options: RunOptions = {}): Promise<Ran> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  // A payload that ends without reading its input breaks the pipe; that is its right.
  child.stdin?.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "ECONNRESET") throw error;
  });
  child.stdin?.end(options.stdin ?? "");
  let hung = false;
  const timer = setTimeout(
    () => {
      hung = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    },
    (options.patience ?? 15_000) * SLOWNESS,
  );
  try {
    return await new Promise((done, failed) => {
      child.once("error", failed);
      child.once("close", (code, signal) => {
        done({ code, signal, stdout: textOf(stdout), stderr: textOf(stderr), hung });
      });
    });
  } finally {
    clearTimeout(timer);
  }
}

function textOf(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString();
}

/** The command line of one sandboxed run: arguments for `start`, and where its report will be. */
export function sandboxArgv(
  user: User,
  directory: string,
  command: readonly string[],
  options: RunOptions = {},
) {
  return as(user, [
    process.execPath,
    cli(user),
    "run",
    "--profile",
    options.profile ?? "strict",
    "--audit",
    join(directory, "audit.jsonl"),
    "--report",
    join(directory, "report.json"),
    ...(options.flags ?? []),
    "--",
    ...command,
  ]);
}

/** `sandbox run` of one command. */
export async function sandbox(
  user: User,
  command: readonly string[],
  options: RunOptions = {},
): Promise<SandboxRan> {
  const directory = scratch(user);
  const ran = await finish(
    start(sandboxArgv(user, directory, command, options), { ...options, directory }),
    options,
  );
  return { ...ran, ...written(directory), directory };
}

/** Any command of the tool. */
export async function tool(user: User, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const directory = options.cwd ?? scratch(user);
  return finish(start(as(user, [process.execPath, cli(user), ...args]), { ...options, directory }), options);
}

function parseOutcome(text: string): Outcome {
  const outcome: Outcome = JSON.parse(text);
  return outcome;
}
function parseRecord(line: string): Record<string, unknown> {
  const record: Record<string, unknown> = JSON.parse(line);
  return record;
}

/** The report and audit log that a run left in its directory. */
export function written(directory: string): Pick<SandboxRan, "report" | "audit"> {
  const report = join(directory, "report.json");
  const audit = join(directory, "audit.jsonl");
  return {
    report: existsSync(report) ? parseOutcome(readFileSync(report, "utf8")) : null,
    audit: existsSync(audit)
      ? readFileSync(audit, "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map(parseRecord)
      : [],
  };
}

/**
 * The same command without a sandbox.
 * - `root`: in mount and UTS namespaces of its own, so that what succeeds does not reach the machine.
 * - `user`: as it is.
 * - `userns`: root in fresh namespaces of the ordinary user: every capability, nothing to harm.
 */
export type World = "root" | "user" | "userns";

export async function outside(
  world: World,
  command: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const user = world === "root" ? "root" : "user";
  const directory = options.cwd ?? scratch(user);
  const argv =
    world === "root"
      ? ["unshare", "--mount", "--uts", "--", ...command]
      : world === "user"
        ? as("user", command)
        : as("user", ["unshare", "-UrmnpfiuC", "--mount-proc", "--", ...command]);
  return finish(start(argv, { ...options, directory }), options);
}

/** Can this process be in that world? */
export function worldExists(world: World): boolean {
  return world !== "root" || isRoot;
}

/** "NAME RESULT" lines as a map. */
export function resultsOf(stdout: string): ReadonlyMap<string, string> {
  return new Map(
    stdout
      .split("\n")
      .filter((line) => line.includes(" "))
      .map((line) => {
        const cut = line.indexOf(" ");
        return [line.slice(0, cut), line.slice(cut + 1).trim()] as const;
      }),
  );
}

// ---- what a run must not leave behind ----

/** Pids of living processes whose command line contains the word; zombies are gone already. */
export function processesWith(word: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && readProc(pid, "cmdline").includes(word));
}

/** The errno name of an error of Node's, "" when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** A file of /proc/PID, "" when the process has gone meanwhile. */
export function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES") return "";
    throw error;
  }
}

/** Direct children of a process. */
export function childrenOf(pid: number): readonly number[] {
  return readProc(pid, `task/${pid}/children`)
    .split(" ")
    .filter((text) => text !== "")
    .map(Number);
}

/** Cgroup directories of sandboxes, everywhere below /sys/fs/cgroup. */
export function sandboxCgroups(directory = "/sys/fs/cgroup", depth = 0): readonly string[] {
  if (depth > 6) return [];
  const found: string[] = [];
  for (const entry of listDirectories(directory)) {
    const path = join(directory, entry);
    if (entry.startsWith("sandbox-") && mayBeOurs(path)) found.push(path);
    else found.push(...sandboxCgroups(path, depth + 1));
  }
  return found;
}

/** A cgroup belongs to who made it: an ordinary user's tests leave root's alone. */
function mayBeOurs(path: string): boolean {
  const own = process.getuid?.();
  return own === 0 || statSync(path, { throwIfNoEntry: false })?.uid === own;
}

function listDirectories(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "EACCES" || code === "ENODEV") return [];
    throw error;
  }
}

/** The mount table of the test process; no run may change it. */
export function mounts(): string {
  return readFileSync("/proc/self/mountinfo", "utf8");
}

/** Waits until the condition holds, looking every so often; false when it does not within the time. Milliseconds. */
export async function eventually(condition: () => boolean, within: number, every = 20): Promise<boolean> {
  const end = performance.now() + within;
  while (!condition()) {
    if (performance.now() > end) return false;
    await pause(every);
  }
  return true;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** A word that no other process has in its command line. */
export function marker(): string {
  return `marker${process.pid}x${Math.trunc(performance.now() * 1000)}`;
}

/** Hands a tree to the user who will run on it; links themselves, not what they name. */
export function giveTo(user: User, path: string): void {
  if (isRoot && user === "user") execFileSync("chown", ["-hR", `${USER_ID}:${USER_ID}`, path]);
}

/** Processes in a cgroup; null when the directory has gone. */
export function cgroupMembers(path: string): readonly number[] | null {
  try {
    return readFileSync(join(path, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  } catch (error) {
    if (["ENOENT", "ENODEV"].includes(codeOf(error))) return null;
    throw error;
  }
}
