/**
 * What the commands of the policy toolkit share: for which machine a policy is read, how a name becomes a policy, and what is said of it.
 */
import { type Command, Option } from "commander";
import type { Abi } from "../compile/seccomp/abi.ts";
import type { Arch } from "../host/facts.ts";
import type { PolicyInput } from "../policy-input/read.ts";
import { formatProblem, type Problem, ProfileError, unwrap } from "../problems.ts";
import { complain } from "./output.ts";
import { flagProblem } from "./sandbox-options.ts";

export const MACHINES = ["x86_64", "aarch64"] as const satisfies readonly Arch[];

/** Could not be decided, or not be read. */
export const UNDECIDED = 3;

interface Flags {
  readonly cap?: readonly string[];
  readonly kernel?: string;
}

/** For what conditions in a policy are decided. */
export interface Circumstances {
  /** null: what the policy itself says. */
  readonly capabilities: readonly string[] | null;
  readonly kernel: { readonly major: number; readonly minor: number };
}

/** As people call the ABIs; `x86` is OCI's word for i386. */
export const ABI_NAMES = {
  x86_64: "x86_64",
  aarch64: "aarch64",
  x86: "i386",
  x32: "x32",
  arm: "arm",
} as const satisfies Readonly<Record<string, Abi>>;

/** What a command that takes any policy says of its argument. */
export const ANY_POLICY = "a profile, a container engine's seccomp JSON, an OCI config.json or a file of BPF";

/** One kind of machine: x86-64 unless another one is asked for. */
export const oneMachine = (): Option =>
  new Option("--arch <MACHINE>", "the kind of machine").choices(MACHINES).default("x86_64");

/** Every kind of machine unless one is asked for. */
export const eachMachine = (): Option =>
  new Option("--arch <MACHINE>", "the kind of machine (default: each)").choices(MACHINES);

/** Adds the options that decide what a policy's conditions ask for. */
export function addCircumstances(command: Command): Command {
  const given: string[] = [];
  return command
    .addOption(
      new Option(
        "--cap <NAME>",
        "a capability to decide conditions for, again for more; all or none (default: the policy's own, or Docker's)",
      ).argParser((value: string) => {
        given.push(value);
        return given;
      }),
    )
    .option(
      "--kernel <VERSION>",
      "the kernel to decide conditions for, such as 6.1 (default: one that has everything)",
    );
}

/** What the options say, and everything that is wrong with them. */
export async function readCircumstances(command: Command): Promise<{
  readonly circumstances: Circumstances;
  readonly problems: Problem[];
}> {
  const { CAPABILITIES } = await import("../profile/capability-names.ts");
  const { NEWEST_KERNEL } = await import("../compile/seccomp/target.ts");
  const flags = command.opts<Flags>();
  const problems: Problem[] = [];
  const known: readonly string[] = CAPABILITIES;
  const capabilities = (flags.cap ?? []).flatMap((name) => {
    if (name === "none") return [];
    if (name === "all") return known;
    const full = /^cap_/i.test(name) ? name.toUpperCase() : `CAP_${name.toUpperCase()}`;
    if (!known.includes(full))
      problems.push(
        flagProblem(
          "--cap",
          `${JSON.stringify(name)} is not a capability`,
          "a name such as SYS_ADMIN, all or none",
        ),
      );
    return [full];
  });
  const version = /^(\d{1,3})\.(\d{1,3})/.exec(flags.kernel ?? "");
  if (flags.kernel !== undefined && version === null)
    problems.push(
      flagProblem(
        "--kernel",
        `${JSON.stringify(flags.kernel)} is not a kernel version`,
        "MAJOR.MINOR, such as 6.1",
      ),
    );
  return {
    circumstances: {
      capabilities: flags.cap === undefined ? null : capabilities,
      kernel: version === null ? NEWEST_KERNEL : { major: Number(version[1]), minor: Number(version[2]) },
    },
    problems,
  };
}

/** The policy of a name for a kind of machine. Throws what is wrong with it. */
export async function openPolicy(
  name: string,
  arch: Arch,
  circumstances: Circumstances,
): Promise<PolicyInput> {
  const { profileFiles, readPolicy } = await import("../toolkit.ts");
  return unwrap(readPolicy({ name, cwd: process.cwd(), arch, ...circumstances }, profileFiles()));
}

/** Says on stderr what could not be carried over or was assumed, each thing once. */
export async function sayNotes(inputs: readonly Pick<PolicyInput, "name" | "notes">[]): Promise<void> {
  const { formatNote } = await import("../policy-input/fields.ts");
  const lines = inputs.flatMap(({ name, notes }) => notes.map((note) => `note: ${formatNote(note, name)}`));
  if (lines.length > 0) complain([...new Set(lines)].join("\n"));
}

/** The status of work that decides something: what cannot be read cannot be decided, and is neither yes nor no. */
export async function decide(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ProfileError) || error.problems.every(({ kind }) => kind === "flag-invalid"))
      throw error;
    complain(error.problems.map(formatProblem).join("\n"));
    return UNDECIDED;
  }
}

/** The kinds of machine that an --arch option asks for; without one, all. */
export function machinesOf(arch: string | undefined): readonly Arch[] {
  return MACHINES.filter((machine) => arch === undefined || arch === machine);
}
