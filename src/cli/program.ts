/**
 * The command tree.
 */
import { Command } from "commander";
import { auditCommand } from "./audit.ts";
import { checkCommand } from "./check.ts";
import { compileCommand } from "./compile.ts";
import { completionCommand } from "./completion.ts";
import { doctorCommand } from "./doctor.ts";
import { addExamples } from "./examples.ts";
import { imageCommand } from "./image.ts";
import { complain, print } from "./output.ts";
import { planCommand } from "./plan.ts";
import { profileCommand } from "./profile.ts";
import { runCommand } from "./run.ts";

/** Every command, in the order of the help. */
const COMMANDS: ReadonlyMap<string, (finish: (status: number) => void) => Command> = new Map([
  ["run", runCommand],
  ["plan", planCommand],
  ["compile", compileCommand],
  ["profile", profileCommand],
  ["check", checkCommand],
  ["image", imageCommand],
  ["audit", auditCommand],
  ["doctor", doctorCommand],
  ["completion", completionCommand],
]);

/**
 * Makes the tree. `finish` gets the exit status of the command that ran. Parsing throws CommanderError, never exits.
 * `only`: the command that is wanted; if there is one of that name the others are not made, which saves a run 1 ms.
 */
export function createProgram(finish: (status: number) => void, only?: string): Command {
  const program = new Command("sandbox")
    .description("Runs untrusted programs in a hardened sandbox, and says what it did and why.")
    .enablePositionalOptions()
    .option("-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [COMMAND]", "print the help of a command")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: print,
      // Only help comes here: errors are problems, written by main.
      writeErr: complain,
      outputError: () => undefined,
    });
  const wanted = COMMANDS.get(only ?? "");
  for (const make of wanted === undefined ? COMMANDS.values() : [wanted]) addCommand(program, make(finish));
  return addExamples(
    program,
    ["sandbox run -- ./untrusted --its-own --options", "run a program under the profile strict"],
    ["sandbox plan -p judge -- ./untrusted", "read what that would do"],
    ["sandbox doctor", "what this host can enforce"],
  );
}

/** Commander hands settings down only to commands it makes itself. */
function addCommand(parent: Command, command: Command): void {
  parent.addCommand(command);
  inherit(parent, command);
}

function inherit(parent: Command, command: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inherit(command, child);
}
