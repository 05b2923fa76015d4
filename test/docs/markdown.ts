/**
 * The project's documents as the tests see them: fenced blocks, links, headings. Knows only the Markdown that they use.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const PROJECT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** Every document, relative to the project. */
export function documents(): readonly string[] {
  const below = (directory: string): readonly string[] =>
    readdirSync(join(PROJECT, directory), { withFileTypes: true }).flatMap((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? below(path) : path.endsWith(".md") ? [path] : [];
    });
  const top = readdirSync(PROJECT).filter((name) => name.endsWith(".md"));
  return [...top, ...below("docs")].toSorted();
}

export function read(document: string): string {
  return readFileSync(join(PROJECT, document), "utf8");
}

export interface Block {
  /** "sh", "text output", ...: all that follows the backticks. */
  readonly info: string;
  readonly text: string;
  /** 1-based line of the opening fence. */
  readonly line: number;
}

/** Fenced blocks in order. */
export function blocks(text: string): readonly Block[] {
  const found: Block[] = [];
  let open: { info: string; line: number; lines: string[] } | null = null;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === null) open = { info: fence[1]?.trim() ?? "", line: index + 1, lines: [] };
    else {
      found.push({ info: open.info, line: open.line, text: open.lines.map((each) => `${each}\n`).join("") });
      open = null;
    }
  }
  if (open !== null) throw new Error(`the block of line ${open.line} has no end`);
  return found;
}

/** The text without blocks, comments and inline code: what links are looked for in. */
export function prose(text: string): string {
  return text
    .replace(/^```[\s\S]*?^```$/gm, "")
    .replace(/<!--[\s\S]*?-->/g, "")
    .replace(/`[^`\n]*`/g, "code");
}

/** Targets of `[text](target)`. */
export function links(text: string): readonly string[] {
  return [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
}

/** The anchors that GitHub makes of headings. */
export function anchors(text: string): readonly string[] {
  return [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.*)$/gm)].map((match) =>
    (match[1] ?? "")
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** An example with the output that the document promises: what stands in the `text output` block right after it. */
export interface Example {
  readonly line: number;
  readonly text: string;
  readonly output: string | null;
}

export function examples(text: string, isExample: (info: string) => boolean): readonly Example[] {
  const all = blocks(text);
  return all.flatMap((block, index) => {
    if (!isExample(block.info)) return [];
    const next = all[index + 1];
    return [
      {
        line: block.line,
        text: block.text,
        output: next?.info === "text output" ? next.text : null,
      },
    ];
  });
}

/** What a promised output matches: itself, with `…` for any text within a line. */
export function pattern(output: string): RegExp {
  const escaped = output.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("…", "[^\\n]*")}$`);
}
