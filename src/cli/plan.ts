/**
 * sandbox plan: prints what run would do, and does none of it.
 */
import { Command } from "commander";
import { colorFor } from "./color.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import { addSandboxOptions, commandMissing, readRequest, refuseRequest } from "./sandbox-options.ts";

export function planCommand(finish: (status: number) => void): Command {
  const command = addSandboxOptions(new Command("plan"))
    .summary("print the launch plan instead of running it")
    .description(
      "Prints the launch plan of a command: every decision and where it comes from, and every system call in order. " +
        "Takes the options of run, runs nothing and writes no log.",
    )
    .option("--audit <FILE|->", "as for run; without effect here")
    .option("--report <FILE>", "as for run; without effect here")
    .option("--record-files", "as for run; without effect here")
    .option("--verbose", "as for run; without effect here")
    .option("-q, --quiet", "as for run; without effect here")
    .option("--json", "print it as JSON")
    .option("--standalone", "the plan of a compiled launcher, which has no supervisor")
    .argument("[CMD]", "command to run")
    .argument("[ARG...]", "its arguments, untouched")
    .action(async (name: string | undefined, args: readonly string[]) => {
      await plan(command, name === undefined ? [] : [name, ...args]);
      finish(0);
    });
  return addExamples(
    command,
    ["sandbox plan -- /usr/bin/id", "read what would happen"],
    ["sandbox plan --json --memory 1G -- /usr/bin/id", "the same as data, for review or to compare two"],
  );
}

async function plan(command: Command, argv: readonly string[]): Promise<void> {
  const flags = command.opts<{ readonly json?: true; readonly standalone?: true }>();
  const { request, problems } = readRequest(command);
  await refuseRequest(argv.length === 0 ? [...problems, commandMissing("plan")] : problems, request);
  const { createSandbox, printPlan } = await import("../index.ts");
  const sandbox = await createSandbox({
    ...request,
    audit: { file: null },
    mode: flags.standalone ? "standalone" : "supervised",
  });
  try {
    const made = await sandbox.planFor(argv);
    print(flags.json ? toJson(made) : printPlan(made, { color: colorFor(1) }));
  } finally {
    sandbox.close();
  }
}
