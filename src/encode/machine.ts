/**
 * The virtual machine that launch programs are lowered to: thirteen registers, a handful of operations, both
 * architectures behind one interface, so that the lowering of each step is written once.
 *
 * Takes operations, gives position-independent machine code (text refers to itself by relative branches only; data and
 * shared memory have fixed absolute addresses). Never does I/O, never allocates at run time.
 */
import { bug } from "../problems.ts";

/**
 * `r` result and scratch · `a0`..`a5` system call arguments · `s0`..`s4` kept across system calls and
 * ours to use · `base` the initial stack pointer (argc, argv, envp), set once at start.
 * After `syscall`: `r` is the result, `a0` is undefined, all others are kept by the kernel on both architectures.
 */
export const REGISTERS = [
  "r",
  "a0",
  "a1",
  "a2",
  "a3",
  "a4",
  "a5",
  "s0",
  "s1",
  "s2",
  "s3",
  "s4",
  "base",
] as const;
export type Register = (typeof REGISTERS)[number];

/** Bytes moved by a load (zero-extended) or a store. */
export type Width = 1 | 2 | 4 | 8;

/** `less`, `greaterEqual` signed; `below`, `aboveEqual` unsigned; all 64 bits wide. */
export type Condition = "equal" | "notEqual" | "less" | "greaterEqual" | "below" | "aboveEqual";

export interface Machine {
  /** A label name that nothing else uses. */
  fresh(): string;
  /** Here is `label`. Each label once. */
  label(label: string): void;
  /** Bytes emitted so far. */
  readonly size: number;
  /** The code with every branch resolved. */
  finish(): Uint8Array;

  move(to: Register, from: Register): void;
  /** 64-bit constant, two's complement. */
  immediate(to: Register, value: bigint): void;
  load(to: Register, width: Width, base: Register, offset: number): void;
  store(width: Width, base: Register, offset: number, from: Register): void;
  /** At a fixed address below 2 GiB. */
  loadAt(to: Register, width: Width, address: number): void;
  storeAt(width: Width, address: number, from: Register): void;
  add(to: Register, from: Register): void;
  /** Less than 2^24 either way. */
  addImmediate(to: Register, value: number): void;
  subtract(to: Register, from: Register): void;
  and(to: Register, from: Register): void;
  /** 1 to 63 bits. */
  shiftLeft(to: Register, bits: number): void;
  /** Logical; 1 to 63 bits. */
  shiftRight(to: Register, bits: number): void;
  /** `r` = `r` / 10 and `a2` = `r` % 10, unsigned. */
  divideByTen(): void;

  jump(label: string): void;
  branch(condition: Condition, left: Register, right: Register, label: string): void;
  branchImmediate(condition: Condition, left: Register, value: bigint, label: string): void;
  /** To a routine begun by `enter` and ended by `leave`. */
  call(label: string): void;
  enter(label: string): void;
  leave(): void;
  syscall(number: number): void;

  /** Make room for `bytes` (a multiple of 16) on the stack, or give it back. */
  reserve(bytes: number): void;
  release(bytes: number): void;
  stackTo(to: Register): void;
  /** `from` must be a multiple of 16. */
  stackFrom(from: Register): void;

  /** Set bits of a u32 in memory that other processes change too; `r` and `a0` are undefined after. */
  atomicOr(address: number, bits: number): void;
  /** Store a non-zero 64-bit value if the memory is zero, as one atomic act; `r` is undefined after. */
  storeIfZero(address: number, from: Register): void;
}

interface Fixup {
  /** Offset of the instruction or field to patch. */
  readonly at: number;
  readonly label: string;
  readonly kind: string;
}

/** Growing code with labels; what both architectures share. */
export abstract class Code {
  protected bytes = new Uint8Array(16384);
  protected length = 0;
  readonly #labels = new Map<string, number>();
  readonly #fixups: Fixup[] = [];
  #fresh = 0;

  get size(): number {
    return this.length;
  }

  fresh(): string {
    this.#fresh += 1;
    return `.${this.#fresh}`;
  }

  label(label: string): void {
    if (this.#labels.has(label)) bug(`label ${label} is defined twice`);
    this.#labels.set(label, this.length);
  }

  /** Offset of a label, for the ELF entry point and for tests. */
  offsetOf(label: string): number {
    return this.#labels.get(label) ?? bug(`label ${label} is not defined`);
  }

  finish(): Uint8Array {
    for (const fixup of this.#fixups) this.patch(fixup.at, this.offsetOf(fixup.label), fixup.kind);
    this.#fixups.length = 0;
    return this.bytes.slice(0, this.length);
  }

  /** Make the branch at `at` go to `target`. */
  protected abstract patch(at: number, target: number, kind: string): void;

  protected fixup(label: string, kind: string): void {
    this.#fixups.push({ at: this.length, label, kind });
  }

  protected byte(value: number): void {
    if (this.length === this.bytes.length) {
      const larger = new Uint8Array(this.bytes.length * 2);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes[this.length] = value;
    this.length += 1;
  }

  protected word32(value: number): void {
    this.byte(value & 0xff);
    this.byte((value >> 8) & 0xff);
    this.byte((value >> 16) & 0xff);
    this.byte((value >> 24) & 0xff);
  }

  protected set32(at: number, value: number): void {
    this.bytes[at] = value & 0xff;
    this.bytes[at + 1] = (value >> 8) & 0xff;
    this.bytes[at + 2] = (value >> 16) & 0xff;
    this.bytes[at + 3] = (value >> 24) & 0xff;
  }

  protected get32(at: number): number {
    return (
      (this.bytes[at] ?? 0) |
      ((this.bytes[at + 1] ?? 0) << 8) |
      ((this.bytes[at + 2] ?? 0) << 16) |
      ((this.bytes[at + 3] ?? 0) << 24)
    );
  }
}
