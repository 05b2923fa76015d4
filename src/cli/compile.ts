/**
 * sandbox compile: writes a launcher that needs no Node.
 */
import { Command } from "commander";
import { addExamples } from "./examples.ts";
import { complain } from "./output.ts";
import {
  addSandboxOptions,
  flagProblem,
  outputFile,
  readRequest,
  refuse,
  refuseRequest,
} from "./sandbox-options.ts";
import { systemCode } from "./system-error.ts";

const ARCHITECTURES = ["x86_64", "aarch64"] as const;

export function compileCommand(finish: (status: number) => void): Command {
  const command = addSandboxOptions(new Command("compile"))
    .summary("write a standalone static launcher")
    .description(
      "Writes a static ELF program that puts a command into this sandbox, without Node. With a command it runs that one, and its own " +
        "arguments are added; without, it takes the command as its arguments: ./FILE CMD ARG...",
    )
    .option("-o, --output <FILE>", "the launcher to write (mode 0755)")
    .option("--arch <ARCH>", `machine to write it for: ${ARCHITECTURES.join(" or ")} (default: this one)`)
    .option("--verbose", "say what was decided, what is less than full first")
    .option("-q, --quiet", "say nothing on success")
    .argument("[CMD]", "command to run")
    .argument("[ARG...]", "its first arguments, untouched")
    .action(async (name: string | undefined, args: readonly string[]) => {
      await compile(command, name === undefined ? null : [name, ...args]);
      finish(0);
    });
  return addExamples(
    command,
    ["sandbox compile -o ./strict", "a launcher for any command: ./strict /usr/bin/id"],
    ["sandbox compile -p standard -o ./sorted -- /usr/bin/sort -n", "a launcher for one command"],
    ["sandbox compile --arch aarch64 -o ./strict-arm", "a launcher for another machine"],
  );
}

interface CompileFlags {
  readonly output?: string;
  readonly arch?: string;
  readonly verbose?: true;
  readonly quiet?: true;
}

async function compile(command: Command, argv: readonly string[] | null): Promise<void> {
  const flags = command.opts<CompileFlags>();
  const { request, problems: wrong } = readRequest(command);
  const problems = [...wrong];
  if (flags.output === undefined) problems.push(flagProblem("--output", "is missing", "-o FILE"));
  const file = flags.output === undefined ? "" : outputFile("--output", flags.output, problems);
  const arch = ARCHITECTURES.find((known) => known === flags.arch);
  if (flags.arch !== undefined && arch === undefined) {
    problems.push(
      flagProblem("--arch", `${JSON.stringify(flags.arch)} is not an architecture`, ARCHITECTURES.join(", ")),
    );
  }
  await refuseRequest(problems, request);

  const { createSandbox } = await import("../index.ts");
  const { writeWhole } = await import("./write-file.ts");
  const sandbox = await createSandbox({
    ...request,
    audit: { file: null },
    mode: "standalone",
    ...(arch === undefined ? {} : { arch }),
  });
  try {
    const { image, plan } = await sandbox.compile(argv);
    if (flags.verbose) complain((await import("./render-outcome.ts")).renderDecisions(plan.decisions));
    try {
      await writeWhole(file, image, 0o755, "refuse");
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      refuse([
        flagProblem("--output", `${file} cannot be written (${code})`, "a file in a writable directory"),
      ]);
    }
    if (!flags.quiet) complain(`sandbox: wrote ${file}: ${image.length} bytes for ${plan.program.arch}`);
  } finally {
    sandbox.close();
  }
}
