/**
 * The conductor: the one file that knows all stages, in their order.
 *
 *   profile --resolve--> spec --compile--> launch plan --encode--> launcher --launch--> outcome
 *
 * and around it the audit log: decisions before the launch, outcome after it.
 */
import { resolve } from "node:path";
import { isatty } from "node:tty";
import { type AuditLog, findDefaultAuditFile, openAudit } from "./audit/log.ts";
import { createRedactor, type Redactor } from "./audit/redact.ts";
import { beginRecord } from "./begin-record.ts";
import { checkCommand, checkVariables } from "./check-command.ts";
import { WRITES_LOCK_STEP } from "./compile/foreign-writes.ts";
import type { Mode } from "./compile/index.ts";
import type { LaunchPlan } from "./compile/plan.ts";
import { removeUnusedPolicies } from "./host/apparmor-use.ts";
import { cleanStaleCgroups } from "./host/clean.ts";
import type { Arch, HostFacts } from "./host/facts.ts";
import { findWriter } from "./host/kept-writes.ts";
import { probeMachine } from "./host/probe.ts";
import { claimIds } from "./id-ranges.ts";
import { launch } from "./launch/launch.ts";
import type { Outcome } from "./launch/outcome.ts";
import type { Input, Output } from "./launch/output.ts";
import type { LaunchRequest } from "./launch/request.ts";
import { makeRunId } from "./launch/run-id.ts";
import { unstarted } from "./launch/unstarted.ts";
import { Preparation } from "./prepare.ts";
import type { ProfileBrief } from "./prepared-cache.ts";
import { type Problem, ProfileError, type Provenance, unwrap } from "./problems.ts";
import type { Override, Resources, Write } from "./profile/spec.ts";
import { parseTime } from "./profile/units.ts";
import { mustLog, RunLog } from "./run-log.ts";
import { type Variant, Variants } from "./variants.ts";

export interface SandboxOptions {
  /** Name of a built-in profile, or a path to one; default "strict". */
  readonly profile?: string;
  /** Changes to it, applied in order. */
  readonly overrides?: readonly Override[];
  /** What relative paths are relative to, and what `filesystem.workdir` shows; default: the process's. */
  readonly cwd?: string;
  readonly audit?: {
    /** A file, "-" for standard error, null for no log at all (for plans that are never run); default: see docs/audit-log.md. */
    readonly file?: string | null;
  };
  /** `standalone` plans a launcher that runs without a supervisor. */
  readonly mode?: Mode;
  /** Machine to compile for; default: this one. Another one can be compiled for, not run. */
  readonly arch?: Arch;
  /** Directory for compiled filters and prepared launches, see docs/decisions/0006-prepared-cache.md; null: none; default: our own. */
  readonly cache?: string | null;
}

export interface RunOptions {
  /** Text or bytes to feed, a stream, or the caller's own descriptor ("inherit"); default: nothing. */
  readonly stdin?: string | Uint8Array | Exclude<Input, string | { readonly data: unknown }>;
  /** "capture" (default) gives text in the outcome; a stream gets the bytes as they come. */
  readonly stdout?: Output;
  readonly stderr?: Output;
  /** Wall time of this run, such as "5s", or seconds; the shorter of this and the profile's holds. */
  readonly timeout?: string | number;
  readonly signal?: AbortSignal;
  /** Record which files of the root directory are opened: `files` of the outcome. Needs a root of type "directory", and Linux 6.5. */
  readonly recordFiles?: boolean;
  /** For a command line: pass on this process's signals and take part in job control. */
  readonly forwardSignals?: boolean;
}

/** A profile made ready for this host: resolved, compiled and encoded once, run any number of times, also at once. */
export interface Sandbox {
  /** What the profile limits. */
  readonly limits: Resources;
  /** Run a command. Rejects with ProfileError when this command cannot be planned or logged; what happens to it is the outcome. */
  run(argv: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** The plan with what this command needs, or without a particular command: nothing is run or logged. */
  planFor(argv: readonly string[] | null): Promise<LaunchPlan>;
  /** A standalone launcher (mode "standalone"): with its own command, or taking one from its arguments. */
  compile(argv: readonly string[] | null): Promise<{ readonly image: Uint8Array; readonly plan: LaunchPlan }>;
  /** Let go of launcher and log. Runs that have started go on. */
  close(): void;
}

/** Make a sandbox. Rejects with ProfileError, which lists every problem with its place. */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const cwd = options.cwd ?? process.cwd();
  const probed = await probeMachine({ cache: options.cache });
  const host: HostFacts = options.arch === undefined ? probed : { ...probed, arch: options.arch };
  const preparation = await Preparation.open({
    request: { profile: options.profile ?? "strict", overrides: options.overrides ?? [], cwd },
    host,
    mode: options.mode ?? "supervised",
    cache: options.cache,
    log: logPath(options.audit?.file),
  });
  const { spec, redact } = preparation.brief;
  const environment = { ...process.env, ...spec.environment.set };
  const redactor = unwrap(createRedactor(spec.audit.redact, environment, redact));
  const audit = options.audit?.file === null ? null : await open(preparation.brief, options.audit?.file);
  return new PreparedSandbox(preparation, audit, redactor);
}

class PreparedSandbox implements Sandbox {
  readonly #preparation: Preparation;
  readonly #audit: AuditLog | null;
  readonly #redactor: Redactor;
  readonly #variants: Variants;
  #running = 0;
  #closed = false;
  #cleaned = false;

  constructor(preparation: Preparation, audit: AuditLog | null, redactor: Redactor) {
    this.#preparation = preparation;
    this.#audit = audit;
    this.#redactor = redactor;
    this.#variants = new Variants(preparation, redactor);
  }

  get limits(): Resources {
    return this.#preparation.brief.spec.resources;
  }

  planFor(argv: readonly string[] | null): Promise<LaunchPlan> {
    return this.#preparation.plan(argv, this.#terminals({}));
  }

  compile(
    argv: readonly string[] | null,
  ): Promise<{ readonly image: Uint8Array; readonly plan: LaunchPlan }> {
    return this.#preparation.launcher(argv);
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    if (this.#closed) throw new Error("this sandbox is closed");
    checkCommand(argv);
    checkVariables(this.#preparation.brief.spec.environment.pass);
    this.#running += 1;
    try {
      return await this.#run(argv, options);
    } finally {
      this.#running -= 1;
      if (this.#closed && this.#running === 0) this.#release();
    }
  }

  async #run(argv: readonly string[], options: RunOptions): Promise<Outcome> {
    const timeout = readTimeout(options.timeout);
    const ready = this.#variants.get(argv, this.#terminals(options));
    const variant = await ready;
    const end = variant.held.use();
    try {
      const outcome = await this.#launch(variant, argv, options, timeout);
      if (restsOnOldFacts(outcome)) this.#variants.drop(ready);
      return outcome;
    } finally {
      end();
    }
  }

  async #launch(
    variant: Variant,
    argv: readonly string[],
    options: RunOptions,
    timeout: number | null,
  ): Promise<Outcome> {
    this.#clean();
    const runId = makeRunId();
    const record = options.recordFiles === true ? await beginRecord(this.#preparation) : null;
    const log = new RunLog(this.#audit, this.#preparation, this.#redactor, runId);
    try {
      log.start(argv, variant);
    } catch (error) {
      record?.stop(false);
      throw error;
    }
    const { stdin } = options;
    const started = await launch({
      prepared: variant.prepared,
      runId,
      command: argv,
      env: definedVariables(process.env),
      claimIds,
      onStart: (control) => log.watch(control),
      ...(stdin === undefined
        ? {}
        : {
            stdin:
              typeof stdin === "string" && !isPassThrough(stdin)
                ? { data: stdin }
                : stdin instanceof Uint8Array
                  ? { data: stdin }
                  : stdin,
          }),
      ...this.#outputs(options),
      ...(timeout === null ? {} : { timeout }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.forwardSignals === undefined ? {} : { forwardSignals: options.forwardSignals }),
    }).then(
      (outcome): Ending => ({ outcome }),
      // The caller's own stream broke: the run has ended all the same, and the log says so.
      (error: unknown): Ending => ({ outcome: unstarted(runId, "cancelled", null), error }),
    );
    const { write } = this.#preparation.brief.spec.filesystem;
    const files = record?.stop(started.outcome.launchError === null && !("error" in started));
    const ended = { ...nameWriter(started.outcome, write), ...(files === undefined ? {} : { files }) };
    const outcome = log.end(ended, variant.prepared.plan.decisions);
    if ("error" in started) throw started.error;
    return outcome;
  }

  close(): void {
    this.#closed = true;
    if (this.#running === 0) this.#release();
  }

  #release(): void {
    this.#variants.close();
    this.#audit?.close();
  }

  /** What is to be counted cannot be passed through untouched: the supervisor hands it on. */
  #outputs(options: RunOptions): Pick<LaunchRequest, "stdout" | "stderr"> {
    const counted = this.limits.outputSize !== null;
    // Node makes its streams when they are first named, which takes milliseconds.
    const through = (output: Output | undefined, own: "stdout" | "stderr"): Output | undefined =>
      counted && output === "inherit" ? process[own] : output;
    const stdout = through(options.stdout, "stdout");
    const stderr = through(options.stderr, "stderr");
    return { ...(stdout === undefined ? {} : { stdout }), ...(stderr === undefined ? {} : { stderr }) };
  }

  /** Which of the standard descriptors are terminals that must not be handed to the payload. */
  #terminals(options: RunOptions): readonly number[] {
    const { brief, mode } = this.#preparation;
    const { terminal } = brief.spec.process;
    if (terminal === "never" || mode === "standalone") return [];
    const streams = [options.stdin, options.stdout, options.stderr];
    const inherited = [0, 1, 2].filter((descriptor) => streams[descriptor] === "inherit");
    return terminal === "always" ? inherited : inherited.filter((descriptor) => isatty(descriptor));
  }

  /** What a power cut or a killed supervisor left behind goes before the first run. */
  #clean(): void {
    if (this.#cleaned) return;
    this.#cleaned = true;
    const { host } = this.#preparation;
    cleanStaleCgroups(host);
    if (host.lsm.apparmor?.load.available === true) removeUnusedPolicies();
  }
}

type Ending = { readonly outcome: Outcome } | { readonly outcome: Outcome; readonly error: unknown };

/** What could not be executed may be there next time, and then has to be shown; what changed has to be looked at again. */
function restsOnOldFacts({ launchError }: Outcome): boolean {
  return (
    launchError?.call === "execve" ||
    launchError?.errno === "ESTALE" ||
    launchError?.step.startsWith("writes.") === true
  );
}

/** Of two runs that want to keep their writes in one directory, the second one is told about the first. */
function nameWriter(outcome: Outcome, write: Write): Outcome {
  const { launchError } = outcome;
  if (launchError?.step !== WRITES_LOCK_STEP || launchError.errno !== "EAGAIN") return outcome;
  const writer = typeof write === "object" ? findWriter(write.directory) : null;
  if (writer === null) return outcome;
  return { ...outcome, launchError: { ...launchError, hint: `process ${writer}: ${launchError.hint}` } };
}

/** The file that the log is, or would be; null: none. */
function logPath(file: string | null | undefined): string | null {
  if (file === "-") return null;
  return file == null ? findDefaultAuditFile() : resolve(file);
}

async function open(brief: ProfileBrief, file: string | undefined): Promise<AuditLog | null> {
  const where: Provenance = file === undefined ? brief.audit : { kind: "flag", flag: "--audit" };
  // The first records are appended before the launch: they find out whether the end of the log is sound.
  const opened = await openAudit({ file, where, deferred: true });
  if (opened.ok) return opened.value;
  if (mustLog(brief)) throw new ProfileError(opened.problems);
  return null;
}

function readTimeout(timeout: string | number | undefined): number | null {
  if (timeout === undefined) return null;
  const milliseconds = parseTime(timeout);
  if (milliseconds !== null && milliseconds > 0) return milliseconds;
  const problem: Problem = {
    kind: "profile-value",
    where: { kind: "option", option: "timeout" },
    pointer: "",
    message: `${JSON.stringify(timeout)} is not a time`,
    expected: 'a time above 0, such as "5s"',
  };
  throw new ProfileError([problem]);
}

const isPassThrough = (stdin: string): stdin is "inherit" | "ignore" =>
  stdin === "inherit" || stdin === "ignore";

function definedVariables(environment: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
