/**
 * The author's mistakes: every kind of problem a profile, a flag or a host can raise.
 *
 * A problem is pure data, collected and returned, never thrown one by one. Where it is shown, its place comes
 * first (`strict.json:14:9 /resources/memory: ...`). Every kind has a page in docs/problems/KIND.md.
 */

import { printable } from "./printable.ts";

/** Where a value was written: a place in a file, a flag, a library option, or the built-in default. */
export type Provenance =
  | {
      readonly kind: "profile";
      /** File as the author would name it; `builtin:strict` style names are not used: built-ins have real paths. */
      readonly file: string;
      /** JSON pointer (RFC 6901) inside that file. */
      readonly pointer: string;
      /** 1-based; 0 when unknown. */
      readonly line: number;
      /** 1-based, in UTF-16 code units; 0 when unknown. */
      readonly column: number;
    }
  | { readonly kind: "flag"; readonly flag: string }
  | { readonly kind: "option"; readonly option: string }
  | { readonly kind: "default" };

/** A place in an image: `app.tar: layer 3, etc/passwd`. */
export interface ImagePlace {
  readonly kind: "image";
  /** The image as its user named it. */
  readonly image: string;
  /** From the outside in: the layer, then the file in it; empty when it is about the whole. Safe to print. */
  readonly parts: readonly string[];
}

/** One located mistake. `expected` and `suggestion` complete the message: what would be right, what is nearest. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly where: Provenance | ImagePlace;
  /** JSON pointer of the field in the resolved profile, `""` when it is about the whole, or not about a profile. */
  readonly pointer: string;
  /** One sentence, no trailing full stop, no line break. */
  readonly message: string;
  readonly expected?: string;
  readonly suggestion?: string;
  /** What to do about it: a command, a flag or an edit. */
  readonly hint?: string;
}

/** Title of each kind; exhaustive, and the index of docs/problems/. */
export const PROBLEM_TITLES = {
  "profile-not-found": "The profile does not exist",
  "profile-unreadable": "The profile cannot be read",
  "profile-syntax": "The profile is not valid JSON",
  "profile-schema": "A field has the wrong shape",
  "profile-unknown-key": "A field is not known",
  "profile-duplicate-key": "A field is given twice",
  "profile-extends-cycle": "Profiles extend each other in a circle",
  "profile-extends-depth": "Too many profiles extend each other",
  "profile-value": "A value is out of range or makes no sense",
  "profile-contradiction": "Two fields contradict each other",
  "flag-invalid": "A command-line option is wrong",
  "command-missing": "No command was given",
  "path-missing": "A path on the host does not exist",
  "writes-foreign": "The directory for kept writes holds something else",
  "seccomp-unknown-syscall": "A system call or group is not known",
  "seccomp-rule": "A seccomp rule cannot be expressed",
  "filter-invalid": "A file is not a filter that a kernel takes",
  "filter-undecided": "What a filter does cannot be decided",
  "syscall-table-invalid": "A file is not a table of system calls",
  "not-stated": "The document does not say what is asked",
  "seccomp-miscompiled": "The emitted filter does not do what the profile says",
  "host-cannot": "The host cannot enforce what the profile requires",
  "compile-cannot": "A standalone launcher cannot do what the profile asks",
  "audit-unwritable": "The audit log cannot be written",
  "audit-corrupt": "The audit log does not verify",
  "policy-not-found": "The policy does not exist or cannot be read",
  "policy-invalid": "A policy is wrong",
  "waiver-invalid": "A waiver is wrong",
  "baseline-invalid": "A baseline is wrong",
  "profile-test-invalid": "A file of profile tests is wrong",
  "dockerfile-invalid": "The Dockerfile is not understood",
  "structure-test-invalid": "A file of structure tests is wrong",
  "image-not-found": "The image cannot be opened",
  "image-unsupported": "The image is of a kind that is not read",
  "image-malformed": "The image is damaged",
  "image-digest": "The image is not what its digests say",
  "image-hostile": "The image holds what no honest tool writes",
  "image-limit": "The image is larger than the limits allow",
} as const satisfies Record<string, string>;

export type ProblemKind = keyof typeof PROBLEM_TITLES;

/** A value or the complete list of what is wrong with it. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** `strict.json:14:9 /resources/memory` or `--memory`: the place that opens a message. */
export function formatPlace(where: Provenance | ImagePlace): string {
  switch (where.kind) {
    case "profile":
      // A file without lines is named alone.
      if (where.line === 0) return where.pointer === "" ? where.file : `${where.file} ${where.pointer}`;
      return `${where.file}:${where.line}:${where.column} ${where.pointer === "" ? "/" : where.pointer}`;
    case "flag":
      return where.flag;
    case "option":
      return `option ${where.option}`;
    case "default":
      return "default";
    case "image":
      return where.parts.length === 0 ? where.image : `${where.image}: ${where.parts.join(", ")}`;
  }
}

/** One line per problem, place first. */
export function formatProblem(problem: Problem): string {
  const tail = [
    problem.expected === undefined ? "" : `; expected ${problem.expected}`,
    problem.suggestion === undefined ? "" : `; did you mean ${problem.suggestion}?`,
    problem.hint === undefined ? "" : `; ${problem.hint}`,
  ].join("");
  // Paths and names in it are whoever's wrote them.
  return printable(`${formatPlace(problem.where)}: ${problem.message}${tail}`);
}

/** Thrown at the library edge when a sandbox cannot be made: carries every problem, located. */
export class ProfileError extends Error {
  override readonly name = "ProfileError";
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** A broken invariant of our own: never the author's fault, never caught. */
export function bug(message: string): never {
  throw new Error(`bug in sandbox: ${message}; please report it`);
}

/** The value; throws ProfileError with what is wrong instead. */
export function unwrap<T>(checked: Checked<T>): T {
  if (!checked.ok) throw new ProfileError(checked.problems);
  return checked.value;
}
