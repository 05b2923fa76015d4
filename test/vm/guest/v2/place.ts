/**
 * Places in a pure cgroup v2 tree from which sandboxes are run: a cgroup as a host would set it up, a user, and one process of
 * the library that lives there (starting Node once per run would take most of the time of these tests).
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Decision } from "../../../../src/compile/plan.ts";
import type { Outcome } from "../../../../src/launch/outcome.ts";
import { sandboxCgroups } from "../../../live/harness.ts";

/** test/live/programs/hog.c where a sandbox shows it, so that programs inside and launchers can start it too. */
export const HOG = "/usr/local/bin/hog";
mkdirSync(dirname(HOG), { recursive: true });
copyFileSync("/project/programs/hog", HOG);

export const TREE = "/sys/fs/cgroup";
export const CONTROLLERS = ["cpuset", "cpu", "io", "memory", "pids"] as const;
/** The person of the guest, who has subordinate ids; and nobody, who has none. */
export const PERSON = 1000;
export const NOBODY = 65534;

export interface Request {
  readonly argv: readonly string[];
  readonly profile?: string;
  /** JSON pointers and what they are set to. */
  readonly values?: Readonly<Record<string, unknown>>;
  readonly timeout?: string;
  /** Write a launcher to this file instead of running. */
  readonly standalone?: string;
}

export interface Answer {
  readonly decisions: readonly Decision[];
  readonly outcome: Outcome;
  /** Why it was refused; then there is nothing else. */
  readonly problems?: readonly string[];
}

/** Makes a cgroup and all above it, each handing on all controllers to the next. */
export function makeCgroup(path: string): string {
  const directory = join(TREE, path);
  if (path === "/" || path === "") return directory;
  makeCgroup(dirname(path));
  handOn(dirname(directory));
  if (!existsSync(directory)) mkdirSync(directory);
  return directory;
}

/** Lets the children of a cgroup have these controllers. */
export function handOn(directory: string, controllers: readonly string[] = CONTROLLERS): void {
  writeFileSync(join(directory, "cgroup.subtree_control"), controllers.map((name) => `+${name}`).join(" "));
}

/** Gives a cgroup away as the kernel's document on cgroup v2 has it in "Delegation": the directory and these files, no others. */
export function delegate(directory: string, uid: number): void {
  for (const file of ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"])
    chownSync(join(directory, file), uid, uid);
}

/** A process that runs sandboxes on request. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #stderr = "";

  /** Starts it as this user in this cgroup, which must exist. */
  constructor(cgroup: string, uid: number) {
    // What it compiles it keeps: each start of a new one would compile the filters again.
    const home = `/tmp/home-${uid}`;
    mkdirSync(home, { recursive: true });
    chownSync(home, uid, uid);
    const script = `echo 0 > ${cgroup}/cgroup.procs && exec "$@"`;
    const become = ["setpriv", "--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups", "--inh-caps=-all"];
    const node = [process.execPath, join(import.meta.dirname, "worker.mjs")];
    this.#child = spawn("/bin/sh", ["-c", script, "sh", ...(uid === 0 ? [] : become), ...node], {
      stdio: ["pipe", "pipe", "pipe"],
      cwd: "/",
      env: { PATH: "/usr/sbin:/usr/bin", HOME: home },
    });
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error("no pipes");
    stderr.on("data", (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Asks without waiting for the answer. */
  send(request: Request): void {
    this.#child.stdin?.write(`${JSON.stringify({ profile: "strict", values: {}, ...request })}\n`);
  }

  async ask(request: Request): Promise<Answer> {
    this.send(request);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the worker has ended: ${this.#stderr}`);
    const answer: Answer & { readonly broken?: string } = JSON.parse(value);
    if (answer.broken !== undefined) throw new Error(answer.broken);
    return answer;
  }

  /** Ends it and everything that it started; resolves when the kernel has let go of it. */
  async end(signal?: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    if (signal === undefined) this.#child.stdin?.end();
    else this.#child.kill(signal);
    await ended;
  }
}

/** Removes cgroups of a test, the deepest first. */
export function removeCgroupTree(...paths: readonly string[]): void {
  for (const path of paths.map((each) => join(TREE, each))) if (existsSync(path)) rmdirSync(path);
}

/** Cgroups of runs below the tree, but for the leaf that our own processes move to. */
export function leftCgroups(): readonly string[] {
  return sandboxCgroups().filter((path) => !path.endsWith("/sandbox-supervisor"));
}

export function readControl(directory: string, file: string): string {
  return readFileSync(join(directory, file), "utf8").trim();
}

/** The status of every decision about resources, by id. */
export function resourceStatus(answer: Answer): Readonly<Record<string, string>> {
  return Object.fromEntries(
    answer.decisions.filter(({ control }) => control === "resources").map(({ id, status }) => [id, status]),
  );
}
