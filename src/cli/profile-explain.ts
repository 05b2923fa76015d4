/**
 * sandbox profile explain: what a profile allows, and which line decides. The work is in explain-profile.ts, loaded when it is asked for.
 */
import { Command, Option } from "commander";
import { addExamples } from "./examples.ts";
import { print } from "./output.ts";
import { addProfileOptions, readRequest, refuseRequest } from "./sandbox-options.ts";

export interface ExplainFlags {
  readonly json?: true;
  readonly format?: "text" | "markdown" | "json";
  readonly syscall?: string;
  readonly capability?: string;
  readonly path?: string;
}

export function explainCommand(finish: (status: number) => void): Command {
  const command: Command = addProfileOptions(new Command("explain"))
    .summary("say what a profile allows, and why")
    .description(
      "Says what a profile allows, layer by layer, which layers see to what is impossible, and how exposed it leaves the host. Or answers one question, with the line that decides. Needs no host.",
    )
    .argument("<PROFILE>", "a built-in profile's name or a file")
    .addOption(
      new Option("--format <FORMAT>", "form of the explanation").choices(["text", "markdown", "json"]),
    )
    .option("--json", "the same as --format json")
    .option("--syscall <NAME>", "whether and when a system call gets through")
    .option("--capability <NAME>", "whether a capability can be had")
    .option("--path <PATH>", "what is found at a path inside")
    .action(async (name: string) => {
      const { request, problems } = readRequest(command);
      const asked = { ...request, profile: name, source: { kind: "flag", flag: name } } as const;
      await refuseRequest(problems, asked);
      const { explainProfile } = await import("./explain-profile.ts");
      print(explainProfile(asked, command.opts<ExplainFlags>()));
      finish(0);
    });
  return addExamples(
    command,
    ["sandbox profile explain strict", "all that it allows"],
    [
      "sandbox profile explain standard --syscall socket",
      "which sockets can be made, and which line says so",
    ],
    ["sandbox profile explain build --path /etc/shadow", "what a program finds there"],
  );
}
