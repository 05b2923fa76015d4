/**
 * Completion for fish.
 */
import { allNodes, type CommandNode, type Kind, type OptionNode } from "./tree.ts";

/** Single quotes of fish: only backslash and quote are special. */
const quote = (text: string): string => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
const key = (node: CommandNode): string => node.path.join("/");

/**
 * `__sandbox_at PATH` is true while the words before the cursor stand in that command and its own words go on;
 * `__sandbox_in_command_line` once the sandboxed command has begun.
 */
function walk(nodes: readonly CommandNode[]): string {
  const inner = nodes.filter((node) => node.path.length > 0);
  const valued = nodes.flatMap((node) =>
    node.options.flatMap(({ names, value }) =>
      value === null ? [] : names.map((name) => quote(`${key(node)} ${name}`)),
    ),
  );
  const ending = nodes.filter(({ operands }) => operands === "command-line").map((node) => quote(key(node)));
  return `function __sandbox_state
    set -l place ''
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        if string match -q -- '-*' $word; and test "$word" != --
            if contains -- "$place $word" ${valued.join(" ")}
                set skip 1
            end
            continue
        end
        if contains -- "$place" ${ending.join(" ")}
            echo command-line
            return
        end
        switch "$place/$word"
${inner.map((node) => `            case ${quote(`${node.path.slice(0, -1).join("/")}/${node.path.at(-1)}`)}\n                set place ${quote(key(node))}`).join("\n")}
        end
    end
    echo "at:$place"
end

function __sandbox_at
    test (__sandbox_state) = "at:$argv[1]"
end

function __sandbox_in_command_line
    test (__sandbox_state) = command-line
end
`;
}

function valueFlags(kind: Kind | null): string {
  if (kind === null) return "-f";
  if (typeof kind !== "string") return `-x -a ${quote(kind.words.join(" "))}`;
  const values: Readonly<Record<Exclude<Kind, object>, string>> = {
    none: "-x",
    file: "-r -F",
    directory: "-x -a '(__fish_complete_directories)'",
    profile: "-r -F -a '(sandbox profile list --names 2>/dev/null)'",
    "command-line": "-x",
  };
  return values[kind];
}

function optionLine(node: CommandNode, option: OptionNode): string {
  const names = option.names.map((name) =>
    name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  return `complete -c sandbox -n ${quote(`__sandbox_at '${key(node)}'`)} ${names.join(" ")} ${valueFlags(option.value)} -d ${quote(option.description)}`;
}

function operandLines(node: CommandNode): readonly string[] {
  const at = `complete -c sandbox -n ${quote(`__sandbox_at '${key(node)}'`)}`;
  if (node.operands === "command-line") return [`${at} -F -a '(__fish_complete_command)'`];
  if (node.operands === "profile" || node.operands === "file")
    return [`${at} ${valueFlags(node.operands).replace("-r ", "")}`];
  return typeof node.operands === "string" ? [] : [`${at} -f -a ${quote(node.operands.words.join(" "))}`];
}

export function fishScript(tree: CommandNode): string {
  const nodes = allNodes(tree);
  return [
    "# fish completion for sandbox; made by: sandbox completion fish",
    "",
    walk(nodes),
    "complete -c sandbox -f",
    "complete -c sandbox -n __sandbox_in_command_line -F",
    ...nodes.flatMap((node) => [
      ...node.children.map(
        (child) =>
          `complete -c sandbox -n ${quote(`__sandbox_at '${key(node)}'`)} -f -a ${quote(child.path.at(-1) ?? "")} -d ${quote(child.summary)}`,
      ),
      ...node.options.map((option) => optionLine(node, option)),
      ...operandLines(node),
    ]),
    "",
  ].join("\n");
}
