/**
 * The options that run, plan and compile share, and how they become what the library takes.
 */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { type Problem, ProfileError } from "../problems.ts";
import type { Override } from "../profile/spec.ts";
import { type GivenFlag, readOverrides } from "./overrides.ts";

/** flags · what it does. A flag that is named in overrides.ts changes the profile. */
const PROFILE_OPTIONS: readonly (readonly [flags: string, description: string])[] = [
  ["--rootfs <DIR>", "use DIR as the root file system"],
  ["--write <WHERE>", "writes to the root: none, ephemeral (discarded), or kept in a directory"],
  [
    "--bind <SRC[:DST][:ro|rw]>",
    String.raw`show a host path inside, read-only unless rw; a colon in a path is written \:`,
  ],
  ["--tmpfs <DST[:SIZE]>", "mount an empty directory in memory"],
  ["-e, --env <NAME[=VALUE]>", "set a variable, or pass the caller's through"],
  ["-w, --workdir <DIR>", "start in this directory"],
  ["--hostname <NAME>", "host name inside"],
  ["--uid <ID>", "user id inside"],
  ["--gid <ID>", "group id inside"],
  ["--net <MODE>", "the network: none but loopback, or the host's"],
  ["--memory <SIZE>", "memory of the whole sandbox, such as 256M; or none"],
  ["--cpus <NUMBER>", "CPUs' worth of time, such as 0.5; or none"],
  ["--pids <NUMBER>", "processes and threads; or none"],
  ["--timeout <TIME>", "wall-time limit, such as 10s; or none"],
  ["--tty <WHEN>", "a terminal of its own"],
  ["--set <POINTER=JSON>", "override any field of the profile"],
];

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  "--net": ["none", "host"],
  "--tty": ["auto", "always", "never"],
};

/** Flags given so far, in order: what a later flag says is applied later. Commander keeps no such order itself. */
const GIVEN = new WeakMap<Command, GivenFlag[]>();

/** Adds the shared options. Options end at `--` or at the first word that is not one: the rest is the sandboxed command's. */
export function addSandboxOptions(command: Command): Command {
  return addProfileOptions(
    command
      .passThroughOptions()
      .option("-p, --profile <NAME|FILE>", "a built-in profile or a file", "strict"),
  );
}

/** Adds the options that change a profile, wherever the profile itself comes from. */
export function addProfileOptions(command: Command): Command {
  const given: GivenFlag[] = [];
  GIVEN.set(command, given);
  for (const [flags, description] of PROFILE_OPTIONS) {
    const option = new Option(flags, description);
    const choices = CHOICES[option.long ?? ""];
    // For help and completion only: the parser below is ours, so that a wrong choice is reported with the others.
    if (choices !== undefined) option.choices(choices);
    command.addOption(
      option.argParser((value) => {
        given.push({ flag: option.long ?? flags, value });
        return value;
      }),
    );
  }
  return command;
}

/** What the shared options ask of the library. */
export interface SandboxRequest {
  readonly profile: string;
  readonly overrides: readonly Override[];
  readonly cwd: string;
}

/** The request, and every flag that is wrong. */
export function readRequest(
  command: Command,
  profile: string = command.opts<{ readonly profile: string }>().profile,
): {
  readonly request: SandboxRequest;
  readonly problems: readonly Problem[];
} {
  const cwd = process.cwd();
  const { overrides, problems } = readOverrides(GIVEN.get(command) ?? [], cwd);
  return { request: { profile, overrides, cwd }, problems };
}

/** A wrong flag outside the profile. */
export function flagProblem(flag: string, message: string, expected?: string): Problem {
  return {
    kind: "flag-invalid",
    where: { kind: "flag", flag },
    pointer: "",
    message,
    ...(expected === undefined ? {} : { expected }),
  };
}

/** No command to run. */
export function commandMissing(name: string): Problem {
  return {
    kind: "command-missing",
    where: { kind: "flag", flag: `sandbox ${name}` },
    pointer: "",
    message: "no command was given",
    hint: `for example: sandbox ${name} -- /usr/bin/id`,
  };
}

/** Throws all of them at once, if there are any. */
export function refuse(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new ProfileError(problems);
}

/** Throws what is wrong with the command line, together with what is wrong with the profile: one try shows all of it. */
export async function refuseRequest(problems: readonly Problem[], request: SandboxRequest): Promise<void> {
  if (problems.length === 0) return;
  const { profileFiles, resolveProfile } = await import("../index.ts");
  const resolved = resolveProfile(request, profileFiles());
  throw new ProfileError(resolved.ok ? problems : [...problems, ...resolved.problems]);
}

/** An output file relative to the caller's directory; "-" and "" are refused where only a file makes sense. */
export function outputFile(flag: string, value: string, problems: Problem[]): string {
  if (value === "" || value === "-")
    problems.push(flagProblem(flag, `${JSON.stringify(value)} is not a file`, "a file name"));
  return resolve(value);
}
