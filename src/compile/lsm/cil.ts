/**
 * Text of a module in SELinux's Common Intermediate Language. Takes statements as they stand; gives indented lines, each group of
 * them under a comment that says what it is for and which line of the profile asked. Pure; knows no rule.
 */
import { printable } from "../../printable.ts";

/** Statements that belong together, and why they are there. */
export interface CilGroup {
  readonly comment: string;
  readonly statements: readonly string[];
}

/** `(allow source target (class (permissions)))`, one statement per class. */
export function allow(
  source: string,
  target: string,
  permissions: Readonly<Record<string, string>>,
): readonly string[] {
  return Object.entries(permissions).map(
    ([kind, names]) => `(allow ${source} ${target} (${kind} (${names})))`,
  );
}

/** A statement that holds only where everything it names is known to the base policy. Names are unique in a block. */
export function optional(name: string, ...statements: readonly string[]): string {
  return `(optional ${name}\n${statements.map((statement) => `    ${statement}`).join("\n")})`;
}

/** A block: every name declared in it is prefixed by the block's. */
export function block(name: string, groups: readonly CilGroup[]): string {
  const body = groups.map(
    ({ comment, statements }) => `${indent(note(comment))}\n${statements.map(indent).join("\n")}\n`,
  );
  return `(block ${name}\n\n${body.join("\n")})\n`;
}

/** One line, whatever is in it: a path of a profile may hold a line break, and what follows that would be a statement. */
export function note(comment: string): string {
  return `; ${printable(comment)}`;
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");
}

/** What is left of a module when its comments are taken out: two texts that differ in nothing else are the same policy. */
export function withoutComments(text: string): string {
  return text
    .split("\n")
    .filter((line) => !line.trimStart().startsWith(";"))
    .join("\n");
}
