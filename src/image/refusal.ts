/**
 * Why reading an image stopped. Thrown where it is found, deep in a stream; caught once, at the edge (read-image.ts), where it becomes
 * a Problem. What is between adds the place.
 */

import { printable } from "../printable.ts";
import type { Problem, ProblemKind } from "../problems.ts";

export type ImageProblemKind = Extract<ProblemKind, `image-${string}`>;

export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly kind: ImageProblemKind;
  readonly hint: string;
  /** From the outside in. */
  parts: readonly string[] = [];

  constructor(kind: ImageProblemKind, message: string, hint: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
    this.hint = hint;
  }

  problem(image: string): Problem {
    return {
      kind: this.kind,
      where: { kind: "image", image: printable(image), parts: this.parts.map(printable) },
      pointer: "",
      message: printable(this.message),
      hint: this.hint,
    };
  }
}

const REBUILD = "build or pull the image again";

/** Not what its format says. */
export const malformed = (message: string, hint = REBUILD): Refusal =>
  new Refusal("image-malformed", message, hint);

/** Nothing that an honest tool writes: readers would disagree about it, or it aims at the one who unpacks it. */
export const hostile = (message: string): Refusal =>
  new Refusal(
    "image-hostile",
    message,
    "do not unpack or run this image; build it again with a tool that you trust",
  );

export const tooLarge = (message: string, limit: string): Refusal =>
  new Refusal(
    "image-limit",
    message,
    `if the image is meant to be like that, raise the limit: --limit ${limit}=...`,
  );

export const unsupported = (message: string, hint: string): Refusal =>
  new Refusal("image-unsupported", message, hint);

/** Runs `read`; a refusal that comes out of it happened at `part`. */
export function at<T>(part: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw located(part, error);
  }
}

export async function atAsync<T>(part: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw located(part, error);
  }
}

function located(part: string, error: unknown): unknown {
  if (error instanceof Refusal) error.parts = [part, ...error.parts];
  return error;
}
