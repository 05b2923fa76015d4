/**
 * Building blocks for launch programs: short constructors for operands, little-endian encoders for kernel structures,
 * and `Listing`, an ordered list of steps that all belong to one decision. Pure.
 */
import type { OnError, Operand, Step, TextPart } from "./program.ts";
import type { SyscallName } from "./syscalls.ts";

export const value = (number: bigint | number): Operand => ({ kind: "value", value: BigInt(number) });
export const data = (name: string): Operand => ({ kind: "data", name });
export const buffer = (name: string, offset = 0): Operand => ({ kind: "buffer", name, offset });
export const result = (step: string): Operand => ({ kind: "result", step });
export const load = (name: string, offset: number, width: 1 | 2 | 4 | 8): Operand => ({
  kind: "load",
  name,
  offset,
  width,
});

/** Little-endian hex of integers of given byte widths, in order: a kernel structure as a constant. */
export function packed(
  ...fields: readonly (readonly [value: bigint | number, width: 1 | 2 | 4 | 8])[]
): string {
  return fields
    .map(([number, width]) =>
      BigInt.asUintN(width * 8, BigInt(number))
        .toString(16)
        .padStart(width * 2, "0")
        .replace(/../g, (pair) => `${pair} `)
        .trim()
        .split(" ")
        .toReversed()
        .join(""),
    )
    .join("");
}

/** What an argument may be written as: an operand, a plain number, or the name of a constant (text made on the fly). */
export type Argument = Operand | bigint | number;

export interface CallOptions {
  readonly onError?: OnError;
  /** What the call acts on, for messages. */
  readonly target?: string;
}

/** Steps of one decision, appended in the order the kernel will see them. */
export class Listing {
  readonly steps: Step[];
  readonly #decision: string;

  constructor(steps: Step[], decision: string) {
    this.steps = steps;
    this.#decision = decision;
  }

  /** A system call; gives its result as an operand. */
  call(
    id: string,
    why: string,
    call: SyscallName,
    args: readonly Argument[],
    options: CallOptions = {},
  ): Operand {
    this.steps.push({
      kind: "call",
      id,
      decision: this.#decision,
      why,
      call,
      args: args.map((argument) => (typeof argument === "object" ? argument : value(argument))),
      onError: options.onError ?? "fail",
      ...(options.target === undefined ? {} : { target: options.target }),
    });
    return result(id);
  }

  format(id: string, why: string, into: string, parts: readonly TextPart[]): Operand {
    this.steps.push({ kind: "format", id, decision: this.#decision, why, into, parts });
    return result(id);
  }

  store(id: string, why: string, into: string, offset: number, width: 1 | 2 | 4 | 8, from: Operand): void {
    this.steps.push({ kind: "store", id, decision: this.#decision, why, into, offset, width, value: from });
  }

  expect(
    id: string,
    why: string,
    subject: Operand,
    equals: Argument,
    errno: string,
    options: { mask?: bigint; target?: string } = {},
  ): void {
    this.steps.push({
      kind: "expect",
      id,
      decision: this.#decision,
      why,
      value: subject,
      mask: options.mask ?? 0xffff_ffff_ffff_ffffn,
      equals: typeof equals === "object" ? equals : value(equals),
      errno,
      ...(options.target === undefined ? {} : { target: options.target }),
    });
  }

  branch(
    id: string,
    why: string,
    subject: Operand,
    equals: Argument,
    to: string,
    mask = 0xffff_ffff_ffff_ffffn,
  ): void {
    this.steps.push({
      kind: "branch",
      id,
      decision: this.#decision,
      why,
      value: subject,
      mask,
      equals: typeof equals === "object" ? equals : value(equals),
      to,
    });
  }

  label(name: string): void {
    this.steps.push({ kind: "label", name });
  }

  /** Any other step; id, why and decision are filled in. */
  step(step: StepBody, id: string, why: string): Operand {
    this.steps.push({ ...step, id, why, decision: this.#decision });
    return result(id);
  }
}

type Special = Extract<
  Step,
  { kind: "spawn" | "run" | "supervise" | "environment" | "exec" | "report" | "exit" }
>;
/** A special step without the fields that `Listing.step` fills in. */
export type StepBody = Special extends infer S
  ? S extends Special
    ? Omit<S, "id" | "why" | "decision">
    : never
  : never;
