/**
 * The conductor: the one file that knows all stages, in their order.
 *
 *   profile --resolve--> spec --compile--> launch plan --encode--> launcher --launch--> outcome
 *
 * and around it the audit log: decisions before the launch, outcome after it.
 */
import { createHash } from "node:crypto";
import { isatty } from "node:tty";
import { AuditError, type AuditLog, openAudit } from "./audit/log.ts";
import { recordDecision, recordEnd, recordRunStart } from "./audit/records.ts";
import { createRedactor, type Redactor } from "./audit/redact.ts";
import { compile, type Mode } from "./compile/index.ts";
import type { LaunchPlan } from "./compile/plan.ts";
import { placesInside } from "./compile/visible.ts";
import { encodeProgram } from "./encode/index.ts";
import { cleanStaleCgroups } from "./host/clean.ts";
import type { Arch, HostFacts } from "./host/facts.ts";
import { probeHost } from "./host/probe.ts";
import { probeCommand, probePaths } from "./host/request.ts";
import { claimIds } from "./id-ranges.ts";
import { type CompiledFilter, compileFilter } from "./kernel/filter.ts";
import { type LaunchRequest, launch, type PreparedLaunch, prepareLaunch } from "./launch/launch.ts";
import { exitStatus, type Outcome } from "./launch/outcome.ts";
import type { Input, Output } from "./launch/output.ts";
import { makeRunId } from "./launch/run-id.ts";
import { type Checked, type Problem, ProfileError, type Provenance } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { resolveProfile } from "./profile/resolve.ts";
import type { Override, ResolvedProfile } from "./profile/spec.ts";
import { parseTime } from "./profile/units.ts";
import { toCanonicalJson } from "./program/json.ts";
import { signalNumber } from "./program/signal.ts";
import { TOOL } from "./version.ts";

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
}

export interface RunOptions {
  /** Text or bytes to feed, a stream, or the caller's own descriptor ("inherit"); default: nothing. */
  readonly stdin?: string | Uint8Array | Exclude<Input, { readonly data: unknown }>;
  /** "capture" (default) gives text in the outcome; a stream gets the bytes as they come. */
  readonly stdout?: Output;
  readonly stderr?: Output;
  /** Wall time of this run, such as "5s", or seconds; the shorter of this and the profile's holds. */
  readonly timeout?: string | number;
  readonly signal?: AbortSignal;
  /** For a command line: pass on this process's signals and take part in job control. */
  readonly forwardSignals?: boolean;
}

/** A profile made ready for this host: resolved, compiled and encoded once, run any number of times, also at once. */
export interface Sandbox {
  /** The plan without a particular command. */
  readonly plan: LaunchPlan;
  /** Run a command. Rejects with ProfileError when this command cannot be planned or logged; what happens to it is the outcome. */
  run(argv: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** The plan with what this command needs: nothing is run or logged. */
  planFor(argv: readonly string[]): Promise<LaunchPlan>;
  /** A standalone launcher (mode "standalone"): with its own command, or taking one from its arguments. */
  compile(argv: readonly string[] | null): Promise<{ readonly image: Uint8Array; readonly plan: LaunchPlan }>;
  /** Let go of launcher and log. Runs that have started go on. */
  close(): void;
}

/** Make a sandbox. Rejects with ProfileError, which lists every problem with its place. */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const cwd = options.cwd ?? process.cwd();
  const profile = unwrap(
    resolveProfile(
      { profile: options.profile ?? "strict", overrides: options.overrides ?? [], cwd },
      profileFiles(),
    ),
  );
  const probed = probeHost();
  const host: HostFacts = options.arch === undefined ? probed : { ...probed, arch: options.arch };
  const filter = await buildFilter(profile, host);
  const redactor = unwrap(
    createRedactor(
      profile.spec.audit.redact,
      { ...process.env, ...profile.spec.environment.set },
      profile.provenance["/audit/redact"],
    ),
  );
  const audit = options.audit?.file === null ? null : await open(profile, options.audit?.file);
  try {
    return new PreparedSandbox({
      cwd,
      mode: options.mode ?? "supervised",
      profile,
      host,
      filter,
      audit,
      redactor,
    });
  } catch (error) {
    audit?.close();
    throw error;
  }
}

interface Parts {
  readonly cwd: string;
  readonly mode: Mode;
  readonly profile: ResolvedProfile;
  readonly host: HostFacts;
  readonly filter: CompiledFilter | null;
  readonly audit: AuditLog | null;
  readonly redactor: Redactor;
}

/** One way to run this sandbox: with this command's needs and these terminals. */
interface Variant {
  readonly plan: LaunchPlan;
  readonly planDigest: string;
  readonly launcherDigest: string;
  readonly prepared: PreparedLaunch;
}

class PreparedSandbox implements Sandbox {
  readonly plan: LaunchPlan;
  readonly #parts: Parts;
  readonly #variants = new Map<string, Variant>();
  #cleaned = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.plan = unwrap(planLaunch(parts, null, []));
  }

  planFor(argv: readonly string[]): Promise<LaunchPlan> {
    return Promise.resolve().then(() => unwrap(planLaunch(this.#parts, argv, this.#terminals({}))));
  }

  compile(
    argv: readonly string[] | null,
  ): Promise<{ readonly image: Uint8Array; readonly plan: LaunchPlan }> {
    return Promise.resolve().then(() => {
      const plan = unwrap(planLaunch(this.#parts, argv, []));
      return { image: encodeProgram(plan.program), plan };
    });
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const timeout = readTimeout(options.timeout);
    const terminals = this.#terminals(options);
    const variant = this.#variant(argv, terminals);
    this.#clean();
    const runId = makeRunId();
    this.#logStart(runId, argv, variant);
    const { stdin } = options;
    const outcome = await launch({
      prepared: variant.prepared,
      runId,
      command: argv,
      env: definedVariables(process.env),
      claimIds,
      ...(stdin === undefined
        ? {}
        : {
            stdin:
              typeof stdin === "string" && !isPassThrough(stdin)
                ? { data: stdin }
                : stdin instanceof Uint8Array
                  ? { data: stdin }
                  : (stdin as Input),
          }),
      ...this.#outputs(options),
      ...(timeout === null ? {} : { timeout }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.forwardSignals === undefined ? {} : { forwardSignals: options.forwardSignals }),
    });
    return this.#logEnd(outcome, variant.plan);
  }

  close(): void {
    for (const { prepared } of this.#variants.values()) prepared.close();
    this.#variants.clear();
    this.#parts.audit?.close();
  }

  /** What is to be counted cannot be passed through untouched: the supervisor hands it on. */
  #outputs(options: RunOptions): Pick<LaunchRequest, "stdout" | "stderr"> {
    const counted = this.#parts.profile.spec.resources.outputSize !== null;
    const through = (output: Output | undefined, own: NodeJS.WriteStream): Output | undefined =>
      counted && output === "inherit" ? own : output;
    const stdout = through(options.stdout, process.stdout);
    const stderr = through(options.stderr, process.stderr);
    return { ...(stdout === undefined ? {} : { stdout }), ...(stderr === undefined ? {} : { stderr }) };
  }

  /** Which of the standard descriptors are terminals that must not be handed to the payload. */
  #terminals(options: RunOptions): readonly number[] {
    const { terminal } = this.#parts.profile.spec.process;
    if (terminal === "never" || this.#parts.mode === "standalone") return [];
    const streams = [options.stdin, options.stdout, options.stderr];
    return [0, 1, 2].filter((descriptor) => streams[descriptor] === "inherit" && isatty(descriptor));
  }

  #variant(argv: readonly string[], terminals: readonly number[]): Variant {
    const { root } = this.#parts.profile.spec.filesystem;
    const [name] = argv;
    const particular = name !== undefined && (name.includes("/") || root.type === "closure") ? name : "";
    const key = `${terminals.join()} ${particular}`;
    const known = this.#variants.get(key);
    if (known !== undefined) return known;
    const plan = unwrap(planLaunch(this.#parts, argv, terminals));
    const image = encodeProgram(plan.program);
    const variant = {
      plan,
      planDigest: sha256(toCanonicalJson(plan)),
      launcherDigest: sha256(image),
      prepared: prepareLaunch(plan, image),
    };
    this.#variants.set(key, variant);
    return variant;
  }

  /** What a power cut or a killed supervisor left behind goes before the first run. */
  #clean(): void {
    if (this.#cleaned) return;
    this.#cleaned = true;
    cleanStaleCgroups(this.#parts.host);
  }

  #logStart(runId: string, argv: readonly string[], variant: Variant): void {
    const { audit, profile, host, cwd, mode, redactor } = this.#parts;
    if (audit === null) return;
    const start = recordRunStart(
      {
        tool: TOOL,
        started: new Date().toISOString(),
        facts: host,
        cwd,
        argv,
        profile,
        plan: variant.planDigest,
        launcher: variant.launcherDigest,
        mode,
      },
      redactor,
    );
    try {
      audit.append(runId, [
        start,
        ...variant.plan.decisions.map((decision) => recordDecision(decision, redactor)),
      ]);
    } catch (error) {
      if (!(error instanceof AuditError)) throw error;
      if (profile.spec.audit.require || profile.spec.audit.onFailure !== "continue")
        throw new ProfileError([error.problem]);
    }
  }

  /** A run without its records is reported as such: the outcome is the only place left to say it. */
  #logEnd(outcome: Outcome, plan: LaunchPlan): Outcome {
    const { audit, profile, redactor } = this.#parts;
    if (audit === null) return outcome;
    const status = exitStatus(outcome, (name) => signalNumber(name) ?? 0);
    try {
      audit.append(outcome.runId, recordEnd(outcome, plan.decisions, status, redactor));
      return outcome;
    } catch (error) {
      if (!(error instanceof AuditError)) throw error;
      if (profile.spec.audit.onFailure === "continue") return outcome;
      return { ...outcome, reason: "audit-failed" };
    }
  }
}

/** The plan for a command, or for none in particular. */
function planLaunch(
  parts: Parts,
  argv: readonly string[] | null,
  terminal: readonly number[],
): Checked<LaunchPlan> {
  const { profile, host, filter, cwd, mode } = parts;
  const { spec } = profile;
  const where: Provenance = { kind: "option", option: "command" };
  const known = argv ?? (spec.filesystem.root.type === "closure" && mode === "standalone" ? [] : null);
  const command =
    known === null
      ? null
      : probeCommand(known, {
          cwd,
          root: spec.filesystem.root,
          searchPath: spec.environment.set["PATH"] ?? "/usr/bin:/bin",
          where,
        });
  if (command !== null && !command.ok) return command;
  const facts = command?.value ?? null;
  const paths = probePaths(
    namedPaths(profile, host, cwd, [
      ...(facts?.closure ?? []),
      ...(facts?.hostPath == null ? [] : [facts.hostPath, ...placesInside(spec, facts.hostPath)]),
    ]),
  );
  return compile(profile, {
    host,
    request: { cwd, paths, command: facts },
    mode,
    terminal,
    filter: filter?.bytes ?? null,
    command: argv,
  });
}

/** Every host path that the compiler will ask about. */
function namedPaths(
  { spec }: ResolvedProfile,
  host: HostFacts,
  cwd: string,
  more: readonly string[],
): readonly string[] {
  const { root, write, mounts, masked } = spec.filesystem;
  return [
    cwd,
    "/etc/resolv.conf",
    ...masked,
    ...Object.keys(host.systemEtc),
    ...(root.type === "directory" ? [root.path] : []),
    ...(typeof write === "object" ? [write.directory] : []),
    ...mounts.flatMap((mount) => (mount.type === "bind" ? [mount.source] : [])),
    ...more,
  ];
}

async function buildFilter(
  { spec, provenance }: ResolvedProfile,
  host: HostFacts,
): Promise<CompiledFilter | null> {
  if (spec.seccomp === null) return null;
  const locate = (pointer: string): Provenance => {
    for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
      const found = provenance[at];
      if (found !== undefined) return found;
      if (at === "") return { kind: "default" };
    }
  };
  return unwrap(
    await compileFilter(spec.seccomp, {
      arch: host.arch,
      capabilities: spec.capabilities.bounding,
      kernel: host.kernel,
      locate,
    }),
  );
}

async function open(
  { spec, provenance }: ResolvedProfile,
  file: string | undefined,
): Promise<AuditLog | null> {
  const where: Provenance =
    file === undefined ? (provenance["/audit"] ?? { kind: "default" }) : { kind: "flag", flag: "--audit" };
  const opened = await openAudit({ file, where });
  if (opened.ok) return opened.value;
  if (spec.audit.require || spec.audit.onFailure !== "continue") throw new ProfileError(opened.problems);
  return null;
}

function unwrap<T>(checked: Checked<T>): T {
  if (!checked.ok) throw new ProfileError(checked.problems);
  return checked.value;
}

function sha256(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
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
