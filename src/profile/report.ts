/** Collects problems of one merged profile and gives each its place. */
import type { Problem, ProblemKind, Provenance } from "../problems.ts";
import { keyOrigin, type Node, nearestNode, toProvenance } from "./tree.ts";

export interface Details {
  readonly expected?: string | undefined;
  readonly suggestion?: string | undefined;
  readonly hint?: string | undefined;
  /** Locate the key of a member instead of its value. */
  readonly key?: boolean;
}

/** More than anyone reads; hostile input must not make megabytes of messages. */
export const MAX_PROBLEMS = 100;

export class Report {
  readonly problems: Problem[] = [];
  readonly #root: Node;

  constructor(root: Node) {
    this.#root = root;
  }

  add(kind: ProblemKind, pointer: string, message: string, details: Details = {}): void {
    if (this.problems.length >= MAX_PROBLEMS) return;
    this.problems.push({
      kind,
      where: this.where(pointer, details.key),
      pointer,
      message: oneLine(message),
      ...(details.expected === undefined ? {} : { expected: details.expected }),
      ...(details.suggestion === undefined ? {} : { suggestion: details.suggestion }),
      ...(details.hint === undefined ? {} : { hint: details.hint }),
    });
  }

  where(pointer: string, key = false): Provenance {
    const origin = key ? keyOrigin(this.#root, pointer) : nearestNode(this.#root, pointer).origin;
    return toProvenance(origin, pointer);
  }
}

/** Control characters escaped: a message is one line, and no profile writes to anyone's terminal. */
function oneLine(message: string): string {
  return message.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** By file in order of first appearance, then by line and column; flags and options after, in their order. */
export function sortProblems(problems: readonly Problem[], files: readonly string[]): readonly Problem[] {
  const rank = (where: Provenance): number =>
    where.kind === "profile" ? files.indexOf(where.file) : Number.MAX_SAFE_INTEGER;
  return problems.toSorted((a, b) => {
    const byFile = rank(a.where) - rank(b.where);
    if (byFile !== 0 || a.where.kind !== "profile" || b.where.kind !== "profile") return byFile;
    return a.where.line - b.where.line || a.where.column - b.where.column;
  });
}
