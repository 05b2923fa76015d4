/**
 * The script of a RUN instruction → the commands in it, as words. Enough of the shell's grammar to know which program is started with which
 * plain arguments: quotes, separators, reserved words, assignments, `sh -c '...'`. What only a shell could know (variables, functions)
 * stays as it is written. Never runs anything.
 */

/** One command: its program and arguments, quotes taken away. */
export interface Command {
  readonly words: readonly string[];
  /** Its output is the input of the next one. */
  readonly piped: boolean;
}

/** Words that only stand before a command. */
const BEFORE = new Set("if then else elif while until do ! { (".split(" "));

interface Wrapper {
  /** Letters of options that take the next word. */
  readonly takes: string;
  /** Words of its own before the command. */
  readonly operands: number;
}
const wrapper = (takes = "", operands = 0): Wrapper => ({ takes, operands });
/** Programs that start the command that stands after their options. */
const WRAPPERS: ReadonlyMap<string, Wrapper> = new Map([
  ["time", wrapper("fo")],
  ["exec", wrapper("a")],
  ["command", wrapper()],
  ["builtin", wrapper()],
  ["eval", wrapper()],
  ["nohup", wrapper()],
  ["nice", wrapper("n")],
  ["ionice", wrapper("cn")],
  ["env", wrapper("uCS")],
  ["timeout", wrapper("sk", 1)],
  ["stdbuf", wrapper("ioe")],
  ["setsid", wrapper()],
  ["xargs", wrapper("aEdILnPs")],
  ["chroot", wrapper("", 1)],
  ["fakeroot", wrapper("lsib")],
  ["eatmydata", wrapper()],
  ["busybox", wrapper()],
]);
const PRIVILEGED: ReadonlyMap<string, Wrapper> = new Map([
  ["sudo", wrapper("ugpCrtUDRTh")],
  ["doas", wrapper("uC")],
]);
const baseName = (word: string): string => word.slice(word.lastIndexOf("/") + 1);
const ASSIGNMENT = /^[A-Za-z_]\w*\+?=/;
const SHELLS = /^(?:\/\S*\/)?(?:sh|ash|bash|dash|zsh)$/;
/** `sh -c "sh -c ..."` deeper than this is left alone. */
const DEEPEST = 3;

export function commandsOf(script: string, depth = 0): readonly Command[] {
  const commands: Command[] = [];
  let words: string[] = [];
  let word: string | null = null;
  const endWord = (): void => {
    if (word !== null) words.push(word);
    word = null;
  };
  const endCommand = (piped: boolean): void => {
    endWord();
    const bare = withoutPrefix(words);
    words = [];
    if (bare.length === 0) return;
    commands.push({ words: bare, piped });
    const inner = depth < DEEPEST ? innerScript(bare) : null;
    if (inner !== null) commands.push(...commandsOf(inner, depth + 1));
  };
  for (let at = 0; at < script.length; at++) {
    const character = script[at] ?? "";
    if (character === "'" || character === '"') {
      const { text, end } = quoted(script, at);
      word = (word ?? "") + text;
      at = end;
    } else if (character === "\\") {
      at++;
      if (script[at] !== "\n") word = (word ?? "") + (script[at] ?? "");
    } else if (character === "#" && word === null) {
      const end = script.indexOf("\n", at);
      at = (end < 0 ? script.length : end) - 1;
    } else if (";&|\n()`".includes(character)) {
      const doubled = script[at + 1] === character;
      endCommand(character === "|" && !doubled);
      if (doubled) at++;
    } else if (/\s/.test(character)) endWord();
    else word = (word ?? "") + character;
  }
  endCommand(false);
  return commands;
}

/** The text between quotes and the index of the closing one. */
function quoted(script: string, at: number): { readonly text: string; readonly end: number } {
  const quote = script[at];
  let text = "";
  for (let next = at + 1; next < script.length; next++) {
    const character = script[next] ?? "";
    if (character === quote) return { text, end: next };
    if (character === "\\" && quote === '"' && next + 1 < script.length) text += script[++next] ?? "";
    else text += character;
  }
  return { text, end: script.length };
}

const withoutPrefix = (words: readonly string[]): readonly string[] =>
  words.slice(commandAt(words, WRAPPERS)).filter((word) => word !== "}");

/** Where the command begins, after what only stands before one and after `wrappers` with their options. */
function commandAt(words: readonly string[], wrappers: ReadonlyMap<string, Wrapper>): number {
  let at = 0;
  for (;;) {
    while (BEFORE.has(words[at] ?? "") || ASSIGNMENT.test(words[at] ?? "")) at++;
    const found = wrappers.get(baseName(words[at] ?? ""));
    if (found === undefined) return at;
    let next = at + 1;
    for (; words[next]?.startsWith("-") === true; next++)
      if (found.takes.includes(/^-([A-Za-z])$/.exec(words[next] ?? "")?.[1] ?? "-")) next++;
    while (ASSIGNMENT.test(words[next] ?? "")) next++;
    next += found.operands;
    // Alone it is itself the command: `env`, `busybox --install`.
    if (next >= words.length) return at;
    at = next;
  }
}

function innerScript([program = "", ...rest]: readonly string[]): string | null {
  if (!SHELLS.test(program)) return null;
  const at = rest.findIndex((word) => /^-\w*c$/.test(word));
  return at < 0 ? null : (rest[at + 1] ?? null);
}

const EVERY_WRAPPER: ReadonlyMap<string, Wrapper> = new Map([...WRAPPERS, ...PRIVILEGED]);

/** Without its directory, and without a sudo before it. */
export const programOf = ({ words }: Command): string =>
  baseName(words[commandAt(words, EVERY_WRAPPER)] ?? "");

/** Arguments that are no options: of `apt-get -qq install -y git` install and git. */
export function operandsOf(command: Command): readonly string[] {
  const at = commandAt(command.words, EVERY_WRAPPER);
  return command.words.slice(at + 1).filter((word) => !word.startsWith("-"));
}
