/**
 * The text of a Dockerfile → its instructions, each with the line it begins on: parser directives, comments, continuation lines and heredocs
 * as BuildKit reads them (Dockerfile reference, "Format", "Escape", "Here-documents"). Knows no instruction but those that take heredocs.
 * Every character is looked at a fixed number of times. Why no library: docs/decisions.
 */

export interface Heredoc {
  readonly name: string;
  /** Its lines, each with its end. */
  readonly text: string;
}

export interface Piece {
  /** Upper case. */
  readonly keyword: string;
  /** What follows it, trimmed, continuation lines joined, comment lines gone. Without the lines of heredocs. */
  readonly content: string;
  readonly heredocs: readonly Heredoc[];
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export interface Split {
  readonly escape: "\\" | "`";
  readonly pieces: readonly Piece[];
  /** The frontend that `# syntax=` names, which reads the rest in place of the builder's own; null without. */
  readonly syntax: { readonly name: string; readonly line: number } | null;
  /** Why the rest is not understood, or builders differ about it; null when all is. */
  readonly mistake: Mistake | null;
}

export interface Mistake {
  readonly line: number;
  readonly message: string;
  readonly hint?: string;
}

/** What builders, which are written in Go, take for a blank (unicode.IsSpace): not the same as JavaScript's. */
const BLANK = "\\t\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const BLANKS = new RegExp(`^[${BLANK}]+`);
const isBlank = (character: string): boolean => BLANKS.test(character);
const withoutIndent = (line: string): string => line.replace(BLANKS, "");
/** Without the `characters` at its end. (A regular expression would begin at each of them.) */
function withoutEnd(line: string, characters: string): string {
  let end = line.length;
  while (end > 0 && characters.includes(line[end - 1] ?? "")) end--;
  return line.slice(0, end);
}
const isComment = (line: string): boolean => withoutIndent(line).startsWith("#");

const TAKES_HEREDOCS = new Set(["RUN", "COPY", "ADD"]);

export function splitDockerfile(text: string): Split {
  const lines = text.split("\n").map((line) => withoutEnd(line, "\r"));
  const { escape, syntax, mistake } = directivesOf(lines);
  const pieces: Piece[] = [];
  let lastLines: ReadonlyMap<string, number> | null = null;
  const lastLine = (name: string): number => {
    lastLines ??= new Map(lines.map((line, index) => [line, index]));
    return lastLines.get(name) ?? -1;
  };
  const end = (why: Mistake | null): Split => ({ escape, pieces, syntax, mistake: why });
  if (mistake !== null) return end(mistake);
  for (let at = 0; at < lines.length; at++) {
    const first = lines[at] ?? "";
    if (withoutIndent(first) === "" || isComment(first)) continue;
    const begin = at;
    const joined: string[] = [];
    let part = withoutIndent(first);
    for (
      let more = withoutContinuation(part, escape);
      more !== null;
      more = withoutContinuation(part, escape)
    ) {
      joined.push(more);
      // A comment or an empty line between does not end the instruction.
      do at++;
      while (at < lines.length && (isComment(lines[at] ?? "") || withoutIndent(lines[at] ?? "") === ""));
      part = lines[at] ?? "";
      if (at >= lines.length) break;
    }
    joined.push(part);
    const whole = joined.join("").trim();
    const [word = ""] = /^[^\t\v\f\r ]+/.exec(whole) ?? [];
    const content = whole.slice(word.length).trim();
    const heredocs: Heredoc[] = [];
    const begins = heredocsOf(word, content, (name) => lastLine(name) > at);
    if (begins === null) return end({ line: begin + 1, ...UNCLEAR });
    if (begins.length > 0 && isBeforeHeredocs(syntax?.name ?? ""))
      return end({
        line: begin + 1,
        message: `${syntax?.name} reads no heredocs, and takes their lines for instructions`,
        hint: "name a newer one in # syntax=, such as docker/dockerfile:1",
      });
    for (const { name, chomp } of begins) {
      const body: string[] = [];
      const isEnd = (line: string): boolean => (chomp ? line.replace(/^\t+/, "") : line) === name;
      for (at++; at < lines.length && !isEnd(lines[at] ?? ""); at++) body.push(`${lines[at]}\n`);
      if (at >= lines.length) return end({ line: begin + 1, message: "its heredoc has no end" });
      heredocs.push({ name, text: body.join("") });
    }
    const column = first.length - withoutIndent(first).length + 1;
    pieces.push({ keyword: word.toUpperCase(), content, heredocs, line: begin + 1, column });
  }
  return end(null);
}

const DIRECTIVE = new RegExp(`^#[${BLANK}]*([a-zA-Z][a-zA-Z0-9]*)[${BLANK}]*=[${BLANK}]*(\\S.*)$`);
const DIRECTIVES = new Set(["syntax", "escape", "check"]);

/** Directives stand before everything else, comments included. */
function directivesOf(lines: readonly string[]): Pick<Split, "escape" | "syntax" | "mistake"> {
  let escape: Split["escape"] = "\\";
  let syntax: Split["syntax"] = null;
  let stranger: string | null = null;
  const hasShebang = lines[0]?.startsWith("#!") === true;
  for (const [index, line] of lines.entries()) {
    if (index === 0 && hasShebang) continue;
    const [, name = "", rest = ""] = DIRECTIVE.exec(withoutIndent(line)) ?? [];
    if (name === "") break;
    const [value = ""] = rest.trim().split(" ");
    const known = name.toLowerCase();
    if (!DIRECTIVES.has(known)) stranger ??= name;
    // After a shebang or a directive that only some builders know, the next one counts for some and is a comment for others.
    const isDoubtful = stranger !== null || hasShebang;
    if (known === "escape" && value === "`" && isDoubtful)
      return {
        escape,
        syntax,
        mistake: {
          line: index + 1,
          message: "builders differ about whether this directive counts after the line before it",
          hint: "make it the first line",
        },
      };
    if (known === "escape") escape = value === "`" ? "`" : "\\";
    if (known === "syntax") syntax ??= { name: value, line: index + 1 };
  }
  return { escape, syntax, mistake: null };
}

/** docker/dockerfile 1.3 and older, but for the variant in which heredocs were tried. */
const isBeforeHeredocs = (frontend: string): boolean =>
  /:1\.(?:[0-2]|3(?!\.?\d*-labs))(?![0-9])/.test(frontend);

/** The line without the escape character that ends it; null when the instruction ends here. An escaped one is a character. */
function withoutContinuation(line: string, escape: string): string | null {
  const trimmed = withoutEnd(line, "\t ");
  if (!trimmed.endsWith(escape) || trimmed.endsWith(escape + escape)) return null;
  return trimmed.slice(0, -1);
}

interface Begin {
  readonly name: string;
  /** `<<-`: tabs before its lines do not count. */
  readonly chomp: boolean;
}

const UNCLEAR = {
  message: "builders differ about whether a heredoc begins here",
  hint: "write it as <<NAME, without a blank, and take what is unusual out of the rest of the line",
};

/**
 * Words such as `<<NAME`, `<<-NAME`, `3<<"NAME"`, outside of quotes. Null: what builders make of them differs, and `hasLine` says that another
 * reading would have an end.
 */
function heredocsOf(
  word: string,
  content: string,
  hasLine: (name: string) => boolean,
): readonly Begin[] | null {
  const keyword = word.toUpperCase();
  const inner = keyword === "ONBUILD" ? content.replace(/^(\S+)\s*/, "") : content;
  const taker = keyword === "ONBUILD" ? /^\S+/.exec(content)?.[0].toUpperCase() : keyword;
  if (taker === undefined || !TAKES_HEREDOCS.has(taker) || !content.includes("<<")) return [];
  if (jsonWords(splitFlags(inner, "\\").rest) !== null) return [];
  const words = wordsOf(content);
  if (words === null) return null;
  const begins: Begin[] = [];
  for (const [index, one] of words.entries()) {
    const [, dash = "", rest = ""] = /^\d*<<(-?)([^<]*)$/.exec(one) ?? [];
    if (rest !== "") {
      const name = unquoted(rest);
      if (name === null) return null;
      if (name !== "") begins.push({ name, chomp: dash === "-" });
    } else if (/^\d*<<$/.test(one)) {
      // With a blank between: a heredoc for newer builders only.
      const name = unquoted(words[index + 1] ?? "");
      if (name === null || (name !== "" && hasLine(name))) return null;
    }
  }
  return begins;
}

/** What the shell makes of the name after `<<`; null for what only a builder could know. */
function unquoted(word: string): string | null {
  if (word.includes("$")) return null;
  let text = "";
  let quote = "";
  for (let at = 0; at < word.length; at++) {
    const character = word[at] ?? "";
    if (character === quote) quote = "";
    else if (quote === "" && (character === '"' || character === "'")) quote = character;
    else if (character === "\\" && quote !== "'") text += word[++at] ?? "";
    else text += character;
  }
  return text;
}

/** A variable in a form that every builder takes. */
const PLAIN_VARIABLE = /\$\{[A-Za-z_]\w*(?::?[-+][^${}"'\\<]*)?\}/y;

/**
 * Words with their quotes, as builders tell them apart: always with "\" as escape, and none at all when a quote has no end. Null: a variable in a
 * form that some builders refuse, which makes them look for no heredoc.
 */
function wordsOf(text: string): readonly string[] | null {
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (quote === "" && isBlank(character)) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    word += character;
    if (character === "$" && quote !== "'" && text[at + 1] === "{") {
      PLAIN_VARIABLE.lastIndex = at;
      if (!PLAIN_VARIABLE.test(text)) return null;
    } else if (character === "\\" && (quote === "" || (quote === '"' && /["$\\]/.test(text[at + 1] ?? ""))))
      word += text[++at] ?? "";
    else if (quote !== "") {
      if (character === quote) quote = "";
    } else if (character === '"' || character === "'") quote = character;
  }
  if (quote !== "") return [];
  if (word !== "") words.push(word);
  return words;
}

/** Leading `--name=value` words, their quotes taken away, and what follows them. `--` alone ends them. */
export function splitFlags(
  content: string,
  escape: string,
): { readonly flags: readonly string[]; readonly rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < content.length && isBlank(content[at] ?? "")) at++;
    if (!content.startsWith("--", at)) return { flags, rest: content.slice(at) };
    let flag = "";
    let quote = "";
    for (; at < content.length && (quote !== "" || !isBlank(content[at] ?? "")); at++) {
      const character = content[at] ?? "";
      if (character === quote) quote = "";
      else if (quote === "" && (character === '"' || character === "'")) quote = character;
      else if (character === escape) flag += content[++at] ?? "";
      else flag += character;
    }
    if (flag === "--") return { flags, rest: content.slice(at).trim() };
    flags.push(flag);
  }
}

/** The words of the JSON form; null for the shell form, which is anything else: "[" is a command (Dockerfile reference). */
export function jsonWords(text: string): readonly string[] | null {
  if (!text.startsWith("[")) return null;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((word) => typeof word === "string") ? value : null;
  } catch {
    // Not JSON: the shell form.
    return null;
  }
}
