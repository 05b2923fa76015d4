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
  /** Line of an instruction whose heredoc has no end; null when all have one. */
  readonly open: number | null;
}

const TAKES_HEREDOCS = new Set(["RUN", "COPY", "ADD"]);
const DIRECTIVE = /^#[ \t]*([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(\S+)[ \t]*$/;
const isComment = (line: string): boolean => /^[ \t]*#/.test(line);

export function splitDockerfile(text: string): Split {
  const lines = text.split(/\r?\n/);
  const escape = escapeOf(lines);
  const pieces: Piece[] = [];
  for (let at = 0; at < lines.length; at++) {
    const first = lines[at] ?? "";
    if (first.trim() === "" || isComment(first)) continue;
    const begin = at;
    const joined: string[] = [];
    let part = first.trimStart();
    for (
      let more = withoutContinuation(part, escape);
      more !== null;
      more = withoutContinuation(part, escape)
    ) {
      joined.push(more);
      // A comment or an empty line between does not end the instruction.
      do at++;
      while (at < lines.length && (isComment(lines[at] ?? "") || (lines[at] ?? "").trim() === ""));
      part = lines[at] ?? "";
      if (at >= lines.length) break;
    }
    joined.push(part);
    const whole = joined.join("").trim();
    const [word = ""] = /^\S+/.exec(whole) ?? [];
    const content = whole.slice(word.length).trim();
    const heredocs: Heredoc[] = [];
    for (const { name, chomp } of heredocsOf(word, content)) {
      const body: string[] = [];
      const isEnd = (line: string): boolean => (chomp ? line.replace(/^\t+/, "") : line) === name;
      for (at++; at < lines.length && !isEnd(lines[at] ?? ""); at++) body.push(`${lines[at]}\n`);
      if (at >= lines.length) return { escape, pieces, open: begin + 1 };
      heredocs.push({ name, text: body.join("") });
    }
    const column = first.length - first.trimStart().length + 1;
    pieces.push({ keyword: word.toUpperCase(), content, heredocs, line: begin + 1, column });
  }
  return { escape, pieces, open: null };
}

/** Directives stand before everything else, comments included. */
function escapeOf(lines: readonly string[]): Split["escape"] {
  for (const line of lines) {
    const [, name, value] = DIRECTIVE.exec(line) ?? [];
    if (name === undefined) break;
    if (name.toLowerCase() === "escape") return value === "`" ? "`" : "\\";
  }
  return "\\";
}

/** The line without the escape character that ends it; null when the instruction ends here. An escaped one is a character. */
function withoutContinuation(line: string, escape: string): string | null {
  const trimmed = line.trimEnd();
  if (!trimmed.endsWith(escape) || trimmed.endsWith(escape + escape)) return null;
  return trimmed.slice(0, -1);
}

interface Begin {
  readonly name: string;
  /** `<<-`: tabs before its lines do not count. */
  readonly chomp: boolean;
}

/** Words `<<NAME`, `<<-NAME`, `3<<"NAME"`, outside of quotes. */
function heredocsOf(word: string, content: string): readonly Begin[] {
  const keyword = word.toUpperCase();
  const inner = keyword === "ONBUILD" ? /^\S+/.exec(content)?.[0].toUpperCase() : keyword;
  if (inner === undefined || !TAKES_HEREDOCS.has(inner) || !content.includes("<<")) return [];
  return wordsOf(content).flatMap((one) => {
    const [, dash, , name] = /^\d{0,9}<<(-?)(["']?)([A-Za-z0-9_.]+)\2$/.exec(one) ?? [];
    return name === undefined ? [] : [{ name, chomp: dash === "-" }];
  });
}

/** Words with their quotes. */
function wordsOf(text: string): readonly string[] {
  const words: string[] = [];
  let quote = "";
  let from = 0;
  for (let at = 0; at <= text.length; at++) {
    const character = text[at] ?? " ";
    if (quote !== "") {
      if (character === quote) quote = "";
      if (at < text.length) continue;
    } else if (character === '"' || character === "'") {
      quote = character;
      continue;
    } else if (!/\s/.test(character)) continue;
    if (at > from) words.push(text.slice(from, at));
    from = at + 1;
  }
  return words;
}
