/**
 * sandbox profile explain: what a profile allows, and which line decides. The work is in explain-profile.ts, loaded when it is asked for.
 */
import { Command, Option } from "commander";
import { addExamples } from "./examples.ts";
import { print } from "./output.ts";
import {
  ANY_POLICY,
  addCircumstances,
  decide,
  eachMachine,
  machinesOf,
  readCircumstances,
  sayNotes,
} from "./policy-options.ts";
import { addProfileOptions, readRequest, refuse } from "./sandbox-options.ts";

export interface ExplainFlags {
  readonly json?: true;
  readonly format?: "text" | "markdown" | "json";
  readonly syscall?: string;
  readonly capability?: string;
  readonly path?: string;
  readonly arch?: string;
}

export function explainCommand(finish: (status: number) => void): Command {
  const command: Command = addCircumstances(addProfileOptions(new Command("explain")))
    .summary("say what a profile allows, and why")
    .description(
      "Says what a profile allows, layer by layer, which layers see to what is impossible, and how exposed it leaves the host. Or answers one question, with the line that decides. What a document of another tool does not say is said to be so. Needs no host. Ends with 0, 2 on wrong use, 3 if it cannot be read or does not say what was asked.",
    )
    .argument("<PROFILE>", ANY_POLICY)
    .addOption(
      new Option("--format <FORMAT>", "form of the explanation").choices(["text", "markdown", "json"]),
    )
    .option("--json", "the same as --format json")
    .option("--syscall <NAME>", "whether and when a system call gets through")
    .option("--capability <NAME>", "whether a capability can be had")
    .option("--path <PATH>", "what is found at a path inside")
    .addOption(eachMachine())
    .action(async (name: string) => {
      finish(await decide(() => explainOne(command, name)));
    });
  return addExamples(
    command,
    ["sandbox profile explain strict", "all that it allows"],
    [
      "sandbox profile explain standard --syscall socket",
      "which sockets can be made, and which line says so",
    ],
    ["sandbox profile explain build --path /etc/shadow", "what a program finds there"],
    [
      "sandbox profile explain ./seccomp.json --cap SYS_ADMIN",
      "a container engine's file, for a container with that",
    ],
  );
}

async function explainOne(command: Command, name: string): Promise<number> {
  const { request, problems } = readRequest(command, name);
  const { circumstances, problems: others } = await readCircumstances(command);
  refuse([...problems, ...others]);
  const { explainProfile } = await import("./explain-profile.ts");
  const flags = command.opts<ExplainFlags>();
  const machines = flags.arch === undefined ? null : machinesOf(flags.arch);
  const { overrides, cwd } = request;
  const { text, notes } = explainProfile({ ...circumstances, name, cwd, overrides, machines }, flags);
  await sayNotes([{ name, notes }]);
  print(text);
  return 0;
}
