/**
 * What completion needs to know of the command tree, as data.
 */
import type { Command, Option } from "commander";

/** What a word can be. */
export type Kind =
  | "none"
  | "file"
  | "directory"
  | "profile"
  | { readonly words: readonly string[] }
  /** The sandboxed command and its arguments: options of ours end here. */
  | "command-line";

export interface OptionNode {
  /** "--memory", and "-p" too where there is one. */
  readonly names: readonly string[];
  readonly description: string;
  /** What its value can be; null: it takes none. */
  readonly value: Kind | null;
}

export interface CommandNode {
  /** [] for sandbox itself, ["profile", "list"]. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly options: readonly OptionNode[];
  readonly operands: Kind;
  readonly children: readonly CommandNode[];
}

/** Kinds by the placeholder that names them in the help: DIR, FILE, NAME|FILE. */
function kindOf(placeholder: string): Kind {
  if (placeholder.startsWith("NAME|FILE") || placeholder === "PROFILE") return "profile";
  if (placeholder.startsWith("DIR") || placeholder === "WHERE") return "directory";
  return placeholder.startsWith("FILE") ||
    placeholder === "IMAGE" ||
    placeholder === "NEW" ||
    placeholder.startsWith("SRC")
    ? "file"
    : "none";
}

function describeOption(option: Option): OptionNode {
  const placeholder = /[<[](.*)[>\]]/.exec(option.flags)?.[1];
  const names = [option.long, option.short].filter((name) => name !== undefined && name !== null);
  const value =
    placeholder === undefined
      ? null
      : option.argChoices === undefined
        ? kindOf(placeholder)
        : { words: option.argChoices };
  return { names, description: option.description, value };
}

function describe(command: Command, path: readonly string[]): CommandNode {
  const help: OptionNode = { names: ["--help", "-h"], description: "print this help", value: null };
  const [operand] = command.registeredArguments;
  const operands: Kind =
    operand === undefined
      ? "none"
      : operand.name() === "CMD"
        ? "command-line"
        : operand.argChoices === undefined
          ? kindOf(operand.name())
          : { words: operand.argChoices };
  return {
    path,
    summary: command.summary() || command.description(),
    options: [...command.options.map(describeOption), help],
    operands,
    children: command.commands.map((child) => describe(child, [...path, child.name()])),
  };
}

export function describeTree(program: Command): CommandNode {
  return describe(program, []);
}

/** A node and all below it, parents first. */
export function allNodes(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.children.flatMap(allNodes)];
}
