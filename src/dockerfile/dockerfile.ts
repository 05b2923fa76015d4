/**
 * A Dockerfile as data: stages, and in each the instructions with the lines they stand on. Types only.
 */
import type { Place } from "../gate/rule.ts";

/** Every instruction there is (Dockerfile reference); anything else in a file means that it was not understood. */
export const KEYWORDS = [
  "ADD",
  "ARG",
  "CMD",
  "COPY",
  "ENTRYPOINT",
  "ENV",
  "EXPOSE",
  "FROM",
  "HEALTHCHECK",
  "LABEL",
  "MAINTAINER",
  "ONBUILD",
  "RUN",
  "SHELL",
  "STOPSIGNAL",
  "USER",
  "VOLUME",
  "WORKDIR",
] as const;
export type Keyword = (typeof KEYWORDS)[number];

export const isKeyword = (word: string): word is Keyword => (KEYWORDS as readonly string[]).includes(word);

/** A text in which some parts are known only when it is built; `null` stands for such a part. */
export type Expanded = readonly (string | null)[];

export interface Instruction {
  readonly keyword: Keyword;
  /** `--from=build`, as written. */
  readonly flags: readonly string[];
  /** Everything after keyword and flags: lines joined, comments gone, nothing expanded. Of a heredoc, its lines too. */
  readonly text: string;
  /** The content alone, when the text is nothing but one heredoc. */
  readonly heredoc: string | null;
  /** In JSON form: its words; null in shell form. */
  readonly words: readonly string[] | null;
  /** What a builder may write of it into the history, in the forms that differ; variables expanded as far as they are known. */
  readonly expected: readonly Expanded[];
  readonly place: Place;
}

export interface Stage {
  /** Lower case, as builders compare names; null without AS. */
  readonly name: string | null;
  /** What it begins with, expanded; null when that depends on a build argument without a default. */
  readonly base: string | null;
  /** The stage that it begins with; null when it begins with an image. */
  readonly parent: number | null;
  readonly place: Place;
  /** Without FROM. */
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  readonly file: string;
  readonly stages: readonly Stage[];
  /** The image that reads the file in place of the builder, when `# syntax=` names one of another registry than Docker's. */
  readonly frontend: { readonly name: string; readonly place: Place } | null;
}

/** From the first stage that begins with an image to `stage`: what runs, one after the other. Stages begin with earlier ones only. */
export function chainOf({ stages }: Dockerfile, stage: number): readonly Stage[] {
  const chain: Stage[] = [];
  for (let at: number | null = stage; at !== null; at = chain[0]?.parent ?? null) {
    const next: Stage | undefined = stages[at];
    if (next === undefined) break;
    chain.unshift(next);
  }
  return chain;
}

/** What --target can be: names, and numbers of those without. */
export const stageNames = ({ stages }: Dockerfile): readonly string[] =>
  stages.map(({ name }, index) => name ?? String(index));
