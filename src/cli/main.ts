/**
 * The command line: arguments in, exit status out. The one place where an error becomes text.
 */
import { CommanderError } from "commander";
import { printable } from "../printable.ts";
import { formatProblem, type Problem, type ProblemKind, ProfileError } from "../problems.ts";
import { TOOL } from "../version.ts";
import { complain, print, ReaderGone } from "./output.ts";
import { createProgram } from "./program.ts";
import { refuseChanged } from "./raw-arguments.ts";
import { readRequest } from "./sandbox-options.ts";
import { describeSystemError, systemCode } from "./system-error.ts";
import { problemOf } from "./usage.ts";

/** Status for wrong use of a command, and for its failure. Commands that run nothing keep 125 for nobody. */
const STATUS: Readonly<Record<string, { readonly wrongUse: number; readonly failed: number }>> = {
  profile: { wrongUse: 2, failed: 1 },
  // A check that cannot be made is not one that found something.
  check: { wrongUse: 2, failed: 3 },
  image: { wrongUse: 2, failed: 3 },
  audit: { wrongUse: 2, failed: 1 },
  doctor: { wrongUse: 2, failed: 1 },
  completion: { wrongUse: 2, failed: 1 },
};

/** Of a process that SIGPIPE ended. */
const BROKEN_PIPE = 141;

/** Runs one command line (without node and script). Never throws: what goes wrong is on stderr and in the status. */
export async function main(argv: readonly string[]): Promise<number> {
  const name = argv.find((word) => !word.startsWith("-")) ?? "";
  const { wrongUse, failed } = STATUS[name] ?? { wrongUse: 125, failed: 125 };
  try {
    const changed = refuseChanged(argv);
    if (changed.length > 0) throw new ProfileError(changed);
    let status = 0;
    const program = createProgram((given) => {
      status = given;
    }, argv[0]);
    program.on("option:version", () => {
      throw new VersionAsked();
    });
    try {
      await program.parseAsync(argv, { from: "user" });
    } catch (error) {
      if (error instanceof VersionAsked) {
        print(`sandbox ${TOOL.version}`);
        return 0;
      }
      if (!(error instanceof CommanderError)) throw error;
      if (error.exitCode === 0) return 0;
      // Help was printed because a command was missing.
      if (error.code === "commander.help") return wrongUse;
      const command = program.commands.find((candidate) => candidate.name() === name);
      const others = command === undefined ? [] : readRequest(command).problems;
      complain(lines([problemOf(error, name), ...others]));
      return wrongUse;
    }
    return status;
  } catch (error) {
    return explain(error, isWrongUse(error) ? wrongUse : failed);
  }
}

/** What was given beside the thing itself is wrong. */
const WRONG_USE: ReadonlySet<ProblemKind> = new Set([
  "flag-invalid",
  "policy-not-found",
  "policy-invalid",
  "waiver-invalid",
  "baseline-invalid",
  "dockerfile-invalid",
  "structure-test-invalid",
  "profile-test-invalid",
]);

const isWrongUse = (error: unknown): boolean =>
  error instanceof ProfileError && error.problems.every(({ kind }) => WRONG_USE.has(kind));

class VersionAsked extends Error {}

const lines = (problems: readonly Problem[]): string => problems.map(formatProblem).join("\n");

/** Says what went wrong in a line per problem; never a stack trace, unless SANDBOX_DEBUG asks for it. */
export function explain(error: unknown, status: number): number {
  if (error instanceof ReaderGone) return BROKEN_PIPE;
  try {
    complain(describe(error));
  } catch (second) {
    // Nobody reads stderr any more; the status still tells.
    if (!(second instanceof ReaderGone)) throw second;
  }
  return status;
}

function describe(error: unknown): string {
  if (error instanceof ProfileError) return lines(error.problems);
  if (isLogFailure(error)) return formatProblem(error.problem);
  if (!(error instanceof Error)) return `bug in sandbox: ${String(error)} was thrown`;
  // The system refused something that is nobody's mistake here: Node's message names call and path.
  if (systemCode(error) !== undefined || error.name === "UnsupportedHost")
    return `sandbox: ${oneLine(describeSystemError(error))}`;
  if (process.env["SANDBOX_DEBUG"] === "1") return error.stack ?? error.message;
  const what = oneLine(error.message).replace(/^bug in sandbox: /, "");
  return `bug in sandbox: ${what} (SANDBOX_DEBUG=1 shows where)`;
}

/** An AuditError, told by its shape: its module is loaded only by commands that log. */
function isLogFailure(error: unknown): error is Error & { readonly problem: Problem } {
  return error instanceof Error && error.name === "AuditError" && "problem" in error;
}

const oneLine = (text: string): string => printable(text.replaceAll(/\s*\n\s*/g, " "));
