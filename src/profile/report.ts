/** Collects problems of one merged profile and gives each its place. */
import { printable } from "../printable.ts";
import type { Problem, ProblemKind, Provenance } from "../problems.ts";
import { nearest } from "./nearest.ts";
import { keyOrigin, type Node, nearestNode, toProvenance } from "./tree.ts";

export interface Details {
  readonly expected?: string | undefined;
  readonly suggestion?: string | undefined;
  readonly hint?: string | undefined;
  /** Other fields that are part of the mistake: the one written last is where the message points. */
  readonly others?: readonly string[];
  /** Locate the key of a member instead of its value. */
  readonly key?: boolean;
}

/** More than anyone reads; hostile input must not make megabytes of messages. */
export const MAX_PROBLEMS = 100;

export class Report {
  readonly problems: Problem[] = [];
  readonly #root: Node;
  readonly #files: readonly string[];

  /** `files`: base first. */
  constructor(root: Node, files: readonly string[]) {
    this.#root = root;
    this.#files = files;
  }

  /** Nothing more will be kept: whoever looks for further problems may stop. */
  get full(): boolean {
    return this.problems.length >= MAX_PROBLEMS;
  }

  /** The nearest known word, in quotes. Not searched for once nobody would see it. */
  nearest(word: string, known: Iterable<string>): string | undefined {
    const found = this.full ? undefined : nearest(word, known);
    return found === undefined ? undefined : JSON.stringify(found);
  }

  add(kind: ProblemKind, at: string, message: string, details: Details = {}): void {
    if (this.full) return;
    let pointer = at;
    for (const other of details.others ?? []) if (this.#age(other) > this.#age(pointer)) pointer = other;
    this.problems.push({
      kind,
      where: this.#where(pointer, details.key),
      pointer: shortPointer(pointer),
      message: printable(message),
      ...(details.expected === undefined ? {} : { expected: details.expected }),
      ...(details.suggestion === undefined ? {} : { suggestion: details.suggestion }),
      ...(details.hint === undefined ? {} : { hint: details.hint }),
    });
  }

  /** Later layers have higher numbers; the depth of a file in the chain is its order of loading, base first. */
  #age(pointer: string): number {
    const { origin } = nearestNode(this.#root, pointer);
    if (origin.kind === "file") return 1 + this.#files.indexOf(origin.file);
    return origin.source.kind === "default" ? 0 : Number.MAX_SAFE_INTEGER;
  }

  #where(pointer: string, key = false): Provenance {
    const origin = key ? keyOrigin(this.#root, pointer) : nearestNode(this.#root, pointer).origin;
    return toProvenance(origin, shortPointer(pointer));
  }
}

/** A hostile key may be as long as the file. */
export function shortPointer(pointer: string): string {
  return pointer.length > 400 ? `${pointer.slice(0, 397)}...` : pointer;
}

/** By file in order of first appearance, then by line and column; flags and options after, in their order. */
export function sortProblems(problems: readonly Problem[], files: readonly string[]): readonly Problem[] {
  const rank = (where: Problem["where"]): number =>
    where.kind === "profile" ? files.indexOf(where.file) : Number.MAX_SAFE_INTEGER;
  return problems.toSorted((a, b) => {
    const byFile = rank(a.where) - rank(b.where);
    if (byFile !== 0 || a.where.kind !== "profile" || b.where.kind !== "profile") return byFile;
    return a.where.line - b.where.line || a.where.column - b.where.column;
  });
}
