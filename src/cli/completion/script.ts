/**
 * The command tree → a completion script.
 */
import type { Command } from "commander";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { describeTree } from "./tree.ts";
import { zshScript } from "./zsh.ts";

const WRITERS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export function completionScript(shell: keyof typeof WRITERS, program: Command): string {
  return WRITERS[shell](describeTree(program));
}
