/**
 * The command tree → docs/cli.md.
 */
import type { Command } from "commander";
import { examplesOf } from "./examples.ts";

const code = (text: string): string => `\`${text}\``;
/** A bar would end a cell of a table. */
const cell = (text: string): string => text.replaceAll("|", String.raw`\|`);

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function section(command: Command): readonly string[] {
  const path = pathOf(command);
  const operands = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? name : `[${name}]`;
  });
  const usage = [path, ...(command.options.length > 0 ? ["[OPTIONS]"] : []), ...operands].join(" ");
  const rows = command.options.map((option) => {
    const choices = option.argChoices === undefined ? "" : ` (${option.argChoices.join(", ")})`;
    const preset: unknown = option.defaultValue;
    const fallback = typeof preset === "string" ? ` (default: ${preset})` : "";
    return `| ${cell(code(option.flags))} | ${cell(option.description)}${choices}${fallback} |`;
  });
  const examples = examplesOf(command).map(([line, purpose]) => `# ${purpose}\n${line}`);
  return [
    `## ${path}`,
    "",
    command.description(),
    "",
    ...(command.commands.length > 0 && command.parent !== null ? [] : ["```", usage, "```", ""]),
    ...(rows.length > 0 ? ["| Option | Meaning |", "|---|---|", ...rows, ""] : []),
    "```sh",
    examples.join("\n\n"),
    "```",
    "",
    ...command.commands.flatMap(section),
  ];
}

const HEAD = `# The command line

<!-- Generated from src/cli by: npx vitest run test/cli/reference.test.ts -u -->

Options end at \`--\` or at the first word that is not an option: everything after it belongs to the sandboxed command.

| Exit status of run | Meaning |
|---|---|
| N | the command's own |
| 124 | the wall-time limit ended it |
| 125 | the sandbox could not be set up, or arguments or profile are wrong |
| 126 | the command was found and cannot be executed |
| 127 | the command was not found |
| 128+N | signal N ended it |

plan and compile end with 0 or 125; the other commands with 0, with 1 for problems found, and with 2 for wrong use.

Errors are one line each on stderr, and all of them are reported at once. \`NO_COLOR\` and \`FORCE_COLOR\` are honoured.
\`SANDBOX_DEBUG=1\` adds a stack trace to what is a bug of the sandbox itself.
`;

export function renderReference(program: Command): string {
  return [HEAD, ...section(program)].join("\n").trimEnd() + "\n";
}
