/**
 * sandbox completion: a completion script for a shell, made from the command tree.
 */
import { Argument, Command } from "commander";
import { addExamples } from "./examples.ts";
import { print } from "./output.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

export function completionCommand(finish: (status: number) => void): Command {
  const command = new Command("completion")
    .summary("print a shell completion script")
    .description(
      "Prints a completion script for commands, options and their values, profile names, and the words of the sandboxed command.",
    )
    .addArgument(new Argument("<SHELL>", "the shell to write it for").choices(SHELLS))
    .action(async (shell: (typeof SHELLS)[number]) => {
      const { completionScript } = await import("./completion/script.ts");
      const { createProgram } = await import("./program.ts");
      print(
        completionScript(
          shell,
          createProgram(() => undefined),
        ),
      );
      finish(0);
    });
  return addExamples(
    command,
    ["source <(sandbox completion bash)", "for this bash; the same line in ~/.bashrc keeps it"],
    ["sandbox completion zsh > ~/.zfunc/_sandbox", "for zsh, with ~/.zfunc in fpath"],
    ["sandbox completion fish > ~/.config/fish/completions/sandbox.fish", "for fish"],
  );
}
