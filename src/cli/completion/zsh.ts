/**
 * Completion for zsh: one function per command, on _arguments(1) of zshcompsys.
 */
import { allNodes, type CommandNode, type Kind, type OptionNode } from "./tree.ts";

const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
/** Text inside an _arguments specification: brackets and colons would end it. */
const escape = (text: string): string => text.replaceAll(/[\\[\]:]/g, String.raw`\$&`);
const functionName = (node: CommandNode): string => ["_sandbox", ...node.path].join("_");

function action(kind: Kind): string {
  if (typeof kind !== "string") return `value:(${kind.words.join(" ")})`;
  const actions: Readonly<Record<Exclude<Kind, object>, string>> = {
    none: "value: ",
    file: "file:_files",
    directory: "directory:_files -/",
    profile: "profile:_sandbox_profiles",
    "command-line": "command: _command_names -e",
  };
  return actions[kind];
}

function optionSpec({ names, description, value }: OptionNode): string {
  const rest = `[${escape(description)}]${value === null ? "" : `:${action(value)}`}`;
  return names.map((name) => quote(`*${name}${rest}`)).join(" \\\n        ");
}

function leaf(node: CommandNode): string {
  const operands =
    node.operands === "command-line"
      ? ["'(-):command: _command_names -e'", "'*::argument:_normal'"]
      : node.operands === "none"
        ? []
        : [quote(`*:${action(node.operands)}`)];
  return [
    `${functionName(node)}() {`,
    "    _arguments -s -S \\",
    `        ${[...node.options.map(optionSpec), ...operands].join(" \\\n        ")}`,
    "}",
    "",
  ].join("\n");
}

function branch(node: CommandNode): string {
  const children = node.children.map((child) =>
    quote(`${child.path.at(-1)}:${child.summary.replaceAll(":", String.raw`\:`)}`),
  );
  return [
    `${functionName(node)}() {`,
    "    local curcontext=$curcontext state line",
    "    local -a commands",
    `    commands=(${children.join(" ")})`,
    "    _arguments -C \\",
    `        ${node.options.map(optionSpec).join(" \\\n        ")} \\`,
    "        '1:command:->command' '*::argument:->rest'",
    "    case $state in",
    "        command) _describe command commands ;;",
    "        rest)",
    "            case $line[1] in",
    ...node.children.map((child) => `                ${child.path.at(-1)}) ${functionName(child)} ;;`),
    "            esac",
    "            ;;",
    "    esac",
    "}",
    "",
  ].join("\n");
}

const PROFILES = `_sandbox_profiles() {
    local -a names
    names=(\${(f)"$(sandbox profile list --names 2>/dev/null)"})
    compadd -a names
    _files -g '*.json'
}
`;

export function zshScript(tree: CommandNode): string {
  return [
    "#compdef sandbox",
    "# zsh completion for sandbox; made by: sandbox completion zsh",
    "",
    PROFILES,
    ...allNodes(tree).map((node) => (node.children.length > 0 ? branch(node) : leaf(node))),
    // Autoloaded from fpath the file is the function's body; sourced, it must register itself.
    'if [ "$funcstack[1]" = "_sandbox" ]; then',
    '    _sandbox "$@"',
    "else",
    "    compdef _sandbox sandbox",
    "fi",
    "",
  ].join("\n");
}
