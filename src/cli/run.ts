/**
 * sandbox run: runs a command in a sandbox and ends with its exit status.
 */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { Command } from "commander";
import { type Problem, ProfileError } from "../problems.ts";
import { addExamples } from "./examples.ts";
import { complain } from "./output.ts";
import {
  addSandboxOptions,
  commandMissing,
  flagProblem,
  outputFile,
  readRequest,
  refuseRequest,
} from "./sandbox-options.ts";
import { systemCode } from "./system-error.ts";

export function runCommand(finish: (status: number) => void): Command {
  const command = addSandboxOptions(new Command("run"))
    .summary("run a command in a sandbox")
    .description(
      "Runs a command in a sandbox. Its standard streams are the caller's; the exit status is its own, 128+N if signal N ended it, " +
        "124 at the wall-time limit, 125 if the sandbox could not be set up, 126 if the command cannot be executed, 127 if there is none.",
    )
    .option("--audit <FILE|->", "append the audit log to this file, or - for stderr")
    .option("--report <FILE>", "write the outcome as JSON to this file")
    .option(
      "--record-files",
      "list in the report which files of the --rootfs directory are opened (Linux 6.5 and later)",
    )
    .option("--verbose", "say what was decided, what is less than full first, and what was used")
    .option("-q, --quiet", "say nothing about limits that were hit")
    .argument("[CMD]", "command to run: a path, or a name that is looked up in PATH inside")
    .argument("[ARG...]", "its arguments, untouched")
    .action(async (name: string | undefined, args: readonly string[]) => {
      finish(await run(command, name === undefined ? [] : [name, ...args]));
    });
  return addExamples(
    command,
    ["sandbox run -- /usr/bin/id", "an untrusted program, under the profile strict"],
    [
      "sandbox run -p standard --timeout 30s -- make -j2",
      "an ordinary tool; what it writes is discarded after the run",
    ],
    ["sandbox run --bind ./data:/data --memory 1G -- python3 /data/job.py", "show a directory, read-only"],
    [
      "sandbox run --rootfs ./rootfs --write ephemeral -e LANG=C.UTF-8 -- /bin/sh",
      "a root file system of one's own",
    ],
    [
      "sandbox run --rootfs ./rootfs --record-files --report used.json -- /app",
      "which files of an image are used; for sandbox check image --evidence",
    ],
    ["sandbox run --set /resources/openFiles=64 --report outcome.json -- ./untrusted", "override any field"],
  );
}

interface RunFlags {
  readonly audit?: string;
  readonly report?: string;
  readonly recordFiles?: true;
  readonly verbose?: true;
  readonly quiet?: true;
}

async function run(command: Command, argv: readonly string[]): Promise<number> {
  const flags = command.opts<RunFlags>();
  const { request, problems: wrong } = readRequest(command);
  const problems: Problem[] = [...wrong];
  const report = flags.report === undefined ? null : await reportFile(flags.report, problems);
  if (flags.audit === "") problems.push(flagProblem("--audit", "the path is empty", "a file, or -"));
  if (flags.verbose && flags.quiet) problems.push(flagProblem("--quiet", "contradicts --verbose"));
  if (flags.recordFiles && flags.report === undefined)
    problems.push(flagProblem("--record-files", "there is no report to list files in", "--report FILE"));
  if (argv.length === 0) problems.push(commandMissing("run"));

  // Of the library only what a run needs: all of it takes milliseconds to load.
  const { createSandbox } = await import("../sandbox.ts");
  const { exitStatus } = await import("../launch/outcome.ts");
  const { signalNumber } = await import("../program/signal.ts");
  const { renderDecisions, renderOutcome, renderUsage } = await import("./render-outcome.ts");
  try {
    await refuseRequest(problems, request);
    const sandbox = await createSandbox({
      ...request,
      ...(flags.audit === undefined ? {} : { audit: { file: flags.audit } }),
    });
    try {
      if (flags.verbose) complain(renderDecisions((await sandbox.planFor(argv)).decisions));
      const outcome = await sandbox.run(argv, {
        stdin: "inherit",
        stdout: "inherit",
        stderr: "inherit",
        forwardSignals: true,
        ...(flags.recordFiles ? { recordFiles: true } : {}),
      });
      const status = exitStatus(outcome, (name) => signalNumber(name) ?? 0);
      if (report !== null) await writeReport(report, { exitStatus: status, ...outcome });
      for (const { text, always } of renderOutcome(outcome, () => sandbox.limits)) {
        if (always || !flags.quiet) complain(`sandbox: ${text}`);
      }
      if (flags.verbose) complain(renderUsage(outcome));
      return status;
    } finally {
      sandbox.close();
    }
  } catch (error) {
    if (report !== null && error instanceof ProfileError) {
      await writeReport(report, { exitStatus: 125, problems: error.problems });
    }
    throw error;
  }
}

/** Found out before the run, not after it: a report that could not be written. */
async function reportFile(value: string, problems: Problem[]): Promise<string | null> {
  const before = problems.length;
  const file = outputFile("--report", value, problems);
  if (problems.length > before) return null;
  try {
    await access(dirname(file), constants.W_OK);
    return file;
  } catch (error) {
    const code = systemCode(error) ?? "error";
    problems.push(
      flagProblem("--report", `${dirname(file)} cannot be written to (${code})`, "a writable directory"),
    );
    return null;
  }
}

async function writeReport(file: string, content: object): Promise<void> {
  const { writeWhole } = await import("./write-file.ts");
  await writeWhole(file, `${JSON.stringify(content, null, 2)}\n`, 0o644, "write");
}
