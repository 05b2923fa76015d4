/**
 * Examples of each command: shown by --help and in docs/cli.md, and parsed by the tests.
 */
import type { Command } from "commander";

/** A command line as typed in a shell, and what it is for. */
export type Example = readonly [line: string, purpose: string];

const EXAMPLES = new WeakMap<Command, readonly Example[]>();

export function examplesOf(command: Command): readonly Example[] {
  return EXAMPLES.get(command) ?? [];
}

/** Adds examples to a command's help. */
export function addExamples(command: Command, ...examples: readonly Example[]): Command {
  EXAMPLES.set(command, examples);
  return command.addHelpText("after", () =>
    ["", "Examples:", ...examples.map(([line, purpose]) => `  # ${purpose}\n  ${line}`)].join("\n"),
  );
}
