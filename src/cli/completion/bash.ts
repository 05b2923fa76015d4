/**
 * Completion for bash, without the bash-completion package.
 */
import { allNodes, type CommandNode, type Kind, type OptionNode } from "./tree.ts";

/** Reads the words before the cursor, then offers what can stand there. */
const WALK = `
_sandbox_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_sandbox_offer() {
    local kind=$1 cur=$2
    case $kind in
        file) _sandbox_files -f "$cur" ;;
        directory) _sandbox_files -d "$cur" ;;
        profile)
            mapfile -t COMPREPLY < <(compgen -W "$(sandbox profile list --names 2>/dev/null)" -- "$cur"; compgen -f -X '!*.json' -- "$cur"; compgen -d -- "$cur")
            compopt -o filenames 2>/dev/null
            ;;
        words:*) mapfile -t COMPREPLY < <(compgen -W "\${kind#words:}" -- "$cur") ;;
    esac
}

_sandbox() {
    local cur=\${COMP_WORDS[COMP_CWORD]} path='' pending='' word operand='' i
    COMPREPLY=()
    for (( i = 1; i < COMP_CWORD; i++ )); do
        word=\${COMP_WORDS[i]}
        if [[ -n $pending ]]; then
            # bash splits --option=value at the equals sign
            [[ $word == '=' ]] || pending=''
            continue
        fi
        _sandbox_operands "$path"
        if [[ $operand == command-line ]] && [[ $word != -* || $word == -- ]]; then
            # the words of the sandboxed command begin here
            [[ $word == -- ]] && (( i++ ))
            if (( i == COMP_CWORD )) && [[ $cur != */* ]]; then
                _sandbox_files -c "$cur"
            else
                _sandbox_files -f "$cur"
            fi
            return
        fi
        if [[ $word == -* ]]; then
            _sandbox_value "$path" "$word"
        else
            _sandbox_child "$path" "$word"
        fi
    done
    if [[ -n $pending ]]; then
        [[ $cur == '=' ]] && cur=''
        _sandbox_offer "$pending" "$cur"
    elif [[ $cur == -* ]]; then
        _sandbox_options "$path" "$cur"
    else
        _sandbox_children "$path" "$cur"
        if (( \${#COMPREPLY[@]} == 0 )); then
            _sandbox_operands "$path"
            if [[ $operand == command-line ]]; then
                if [[ $cur == */* ]]; then _sandbox_files -f "$cur"; else _sandbox_files -c "$cur"; fi
            else
                _sandbox_offer "$operand" "$cur"
            fi
        fi
    fi
}

complete -F _sandbox sandbox
`;

const kindText = (kind: Kind): string => (typeof kind === "string" ? kind : `words:${kind.words.join(" ")}`);
const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
const key = (node: CommandNode): string => node.path.join("/");

function table(name: string, subject: string, rows: readonly string[]): string {
  return [
    `${name}() {`,
    `    case ${subject} in`,
    ...rows.map((row) => `        ${row} ;;`),
    "    esac",
    "}",
    "",
  ].join("\n");
}

const values = (node: CommandNode): readonly string[] =>
  node.options.flatMap(({ names, value }: OptionNode) =>
    value === null
      ? []
      : [
          `${names.map((name) => quote(`${key(node)} ${name}`)).join("|")}) pending=${quote(kindText(value))}`,
        ],
  );

export function bashScript(tree: CommandNode): string {
  const nodes = allNodes(tree);
  const words = (name: string, of: (node: CommandNode) => readonly string[]): string =>
    table(
      name,
      '"$1"',
      nodes.map(
        (node) =>
          `${quote(key(node))}) mapfile -t COMPREPLY < <(compgen -W ${quote(of(node).join(" "))} -- "$2")`,
      ),
    );
  return [
    "# bash completion for sandbox; made by: sandbox completion bash",
    "",
    words("_sandbox_children", (node) => node.children.map((child) => child.path.at(-1) ?? "")),
    words("_sandbox_options", (node) => node.options.flatMap(({ names }) => names)),
    table(
      "_sandbox_child",
      '"$1/$2"',
      nodes
        .filter((node) => node.path.length > 0)
        .map((node) => {
          const parent = node.path.slice(0, -1).join("/");
          return `${quote(`${parent}/${node.path.at(-1)}`)}) path=${quote(key(node))}`;
        }),
    ),
    table("_sandbox_value", '"$1 $2"', nodes.flatMap(values)),
    table(
      "_sandbox_operands",
      '"$1"',
      nodes.map((node) => `${quote(key(node))}) operand=${quote(kindText(node.operands))}`),
    ),
    WALK.trim(),
    "",
  ].join("\n");
}
