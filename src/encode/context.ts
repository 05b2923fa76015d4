/**
 * What the lowering of every step needs: the machine, where everything is, and how a step fails.
 */
import { bug } from "../problems.ts";
import {
  type ActiveStep,
  type Layout,
  MEMORY_BASE,
  type Operand,
  type Program,
  type Role,
  stepOrder,
} from "../program/program.ts";
import { type SyscallName, syscallNumber } from "../program/syscalls.ts";
import type { Machine, Register } from "./machine.ts";
import type { Rodata } from "./rodata.ts";

export type { ActiveStep };
export type StepOf<K extends ActiveStep["kind"]> = Extract<ActiveStep, { kind: K }>;

/** Exit status when the sandbox could not be set up. */
export const SETUP_FAILED = 125;

/** Results in -4095..-1 are errnos (syscalls(2), all architectures): unsigned at or above this. */
export const LOWEST_ERROR = -4095n;

export class Context {
  readonly program: Program;
  readonly machine: Machine;
  readonly rodata: Rodata;
  /** All steps that do something, in layout order (see stepOrder). */
  readonly order: readonly ActiveStep[];
  readonly #layout: Layout;
  readonly #index: ReadonlyMap<string, number>;
  /** Failure stubs, put behind the code of their role: the straight path stays straight. */
  readonly #stubs: (() => void)[] = [];

  constructor(program: Program, machine: Machine, rodata: Rodata, layout: Layout) {
    this.program = program;
    this.machine = machine;
    this.rodata = rodata;
    this.#layout = layout;
    this.order = stepOrder(program);
    this.#index = new Map(this.order.map((step, index) => [step.id, index]));
  }

  get memorySize(): number {
    return this.#layout.size;
  }

  /** Absolute address of a step's result cell. */
  cell(step: string): number {
    return MEMORY_BASE + (this.#layout.results.get(step) ?? bug(`step ${step} has no cell`));
  }

  /** 1 + index in layout order: what header.failedStep says. */
  stepNumber(step: string): number {
    return 1 + (this.#index.get(step) ?? bug(`step ${step} is not in the program`));
  }

  buffer(name: string): { readonly address: number; readonly size: number } {
    const place = this.#layout.buffers.get(name) ?? bug(`buffer ${name} is not defined`);
    return { address: MEMORY_BASE + place.offset, size: place.size };
  }

  /** Load an operand; touches no other virtual register. */
  operand(to: Register, operand: Operand): void {
    const m = this.machine;
    switch (operand.kind) {
      case "value":
        return m.immediate(to, operand.value);
      case "data":
        return m.immediate(to, BigInt(this.rodata.addressOf(operand.name)));
      case "buffer":
        return m.immediate(to, BigInt(this.buffer(operand.name).address + operand.offset));
      case "result":
        return m.loadAt(to, 8, this.cell(operand.step));
      case "load":
        return m.loadAt(to, operand.width, this.buffer(operand.name).address + operand.offset);
      default:
        return operand satisfies never;
    }
  }

  /** Make a system call whose arguments are in place. */
  syscall(name: SyscallName): void {
    this.machine.syscall(syscallNumber(this.program.arch, name));
  }

  exit(status: number): void {
    this.machine.immediate("a0", BigInt(status));
    this.syscall("exit_group");
  }

  /** Label of a step label in a role. */
  label(role: Role, name: string): string {
    return `${role}:${name}`;
  }

  entry(role: Role): string {
    return `${role}.entry`;
  }

  /**
   * A label to jump to with a negative errno in `r`: records this step's failure and leaves by the role's failure
   * path, or, when that has been entered (`final`), exits.
   */
  failure(role: Role, step: string, final: boolean): string {
    const m = this.machine;
    const stub = m.fresh();
    this.#stubs.push(() => {
      m.label(stub);
      m.immediate("a1", BigInt(this.stepNumber(step)));
      m.jump(failRoutine(role, final));
    });
    return stub;
  }

  /** Emit code out of line. */
  later(emit: () => void): void {
    this.#stubs.push(emit);
  }

  flushStubs(): void {
    for (const stub of this.#stubs) stub();
    this.#stubs.length = 0;
  }
}

/** Where a failing step of a role goes, `r` the negative errno, `a1` the step number. */
export function failRoutine(role: Role, final: boolean): string {
  return final ? "fail.exit" : `fail.${role}`;
}
