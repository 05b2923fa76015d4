/**
 * The virtual machine on aarch64 (Arm ARM, A64 base instruction set; nothing newer than ARMv8.0).
 * x16 and x17 are scratch. x0 is both the first argument and the result of a system call, so the result is moved to
 * x9 (`r`) after each, and `a0` is undefined by contract.
 */
import { bug } from "../problems.ts";
import { Code, type Condition, type Machine, type Register, type Width } from "./machine.ts";

/** Kernel convention: number in x8, arguments in x0..x5. */
const NUMBER: Readonly<Record<Register, number>> = {
  r: 9,
  a0: 0,
  a1: 1,
  a2: 2,
  a3: 3,
  a4: 4,
  a5: 5,
  s0: 19,
  s1: 20,
  s2: 21,
  s3: 22,
  s4: 23,
  base: 28,
};
const CALL_NUMBER = 8;
const SCRATCH = 16;
const SCRATCH2 = 17;
/** Register 31 is the stack pointer in add, sub and addresses, and zero elsewhere. */
const SP = 31;
const ZERO = 31;

/** Condition field of b.cond. */
const CONDITION: Readonly<Record<Condition, number>> = {
  equal: 0, // eq
  notEqual: 1, // ne
  less: 11, // lt
  greaterEqual: 10, // ge
  below: 3, // lo
  aboveEqual: 2, // hs
};

const SCALE: Readonly<Record<Width, number>> = { 1: 0, 2: 1, 4: 2, 8: 3 };

export class Aarch64 extends Code implements Machine {
  protected patch(at: number, target: number, kind: string): void {
    const words = (target - at) / 4;
    if (kind === "imm26") {
      this.set32(at, this.get32(at) | (words & 0x3ff_ffff)); // b, bl: 128 MiB either way
    } else {
      if (words < -(2 ** 18) || words >= 2 ** 18) bug("the text is larger than a conditional branch reaches");
      this.set32(at, this.get32(at) | ((words & 0x7_ffff) << 5)); // b.cond: 1 MiB either way
    }
  }

  #immediate(reg: number, value: bigint): void {
    const v = BigInt.asUintN(64, value);
    const low = Number(v & 0xffff_ffffn);
    const high = Number(v >> 32n);
    const halves = [low & 0xffff, low >>> 16, high & 0xffff, high >>> 16] as const;
    let balance = 0;
    for (const half of halves) balance += half === 0xffff ? 1 : half === 0 ? -1 : 0;
    // Start from all zeros (movz) or all ones (movn), whichever leaves fewer halves to set by movk.
    const inverted = balance > 0;
    const skip = inverted ? 0xffff : 0;
    let first = true;
    for (let index = 0; index < 4; index += 1) {
      const half = halves[index] ?? 0;
      if (half === skip) continue;
      const position = (index << 21) | reg;
      if (!first)
        this.word32(0xf2800000 | (half << 5) | position); // movk xd, #imm16, lsl #n
      else if (inverted)
        this.word32(0x92800000 | ((half ^ 0xffff) << 5) | position); // movn xd, #imm16, lsl #n
      else this.word32(0xd2800000 | (half << 5) | position); // movz xd, #imm16, lsl #n
      first = false;
    }
    if (first) this.word32((inverted ? 0x92800000 : 0xd2800000) | reg);
  }

  /** ldr/str of `width` at [base, #offset]; ldur/stur where the offset is negative or unaligned. */
  #memory(isLoad: boolean, width: Width, reg: number, base: number, offset: number): void {
    const size = SCALE[width];
    const opcode = (size << 30) | (isLoad ? 0x0040_0000 : 0);
    const scaled = offset / width;
    if (Number.isInteger(scaled) && scaled >= 0 && scaled < 4096)
      this.word32(0x3900_0000 | opcode | (scaled << 10) | (base << 5) | reg); // ldr | str, unsigned offset
    else if (offset >= -256 && offset < 256)
      this.word32(0x3800_0000 | opcode | ((offset & 0x1ff) << 12) | (base << 5) | reg); // ldur | stur
    else bug(`offset ${offset} does not fit`);
  }

  /** add/sub xd, xn, #imm, in one or two instructions of twelve bits each. */
  #addSubtract(to: number, from: number, value: number): void {
    const opcode = value < 0 ? 0xd100_0000 : 0x9100_0000;
    const size = Math.abs(value);
    if (size >= 2 ** 24) bug(`${value} does not fit`);
    const low = size & 0xfff;
    const high = size >> 12;
    if (high !== 0) this.word32(opcode | 0x40_0000 | (high << 10) | (from << 5) | to); // lsl #12
    if (low !== 0 || high === 0) this.word32(opcode | (low << 10) | ((high === 0 ? from : to) << 5) | to);
  }

  move(to: Register, from: Register): void {
    this.#move(NUMBER[to], NUMBER[from]);
  }

  #move(to: number, from: number): void {
    this.word32(0xaa00_03e0 | (from << 16) | to); // mov xd, xm (orr xd, xzr, xm)
  }

  immediate(to: Register, value: bigint): void {
    this.#immediate(NUMBER[to], value);
  }

  load(to: Register, width: Width, base: Register, offset: number): void {
    this.#memory(true, width, NUMBER[to], NUMBER[base], offset);
  }

  store(width: Width, base: Register, offset: number, from: Register): void {
    this.#memory(false, width, NUMBER[from], NUMBER[base], offset);
  }

  loadAt(to: Register, width: Width, address: number): void {
    this.#immediate(SCRATCH, BigInt(address));
    this.#memory(true, width, NUMBER[to], SCRATCH, 0);
  }

  storeAt(width: Width, address: number, from: Register): void {
    this.#immediate(SCRATCH, BigInt(address));
    this.#memory(false, width, NUMBER[from], SCRATCH, 0);
  }

  #three(opcode: number, to: number, left: number, right: number): void {
    this.word32(opcode | (right << 16) | (left << 5) | to);
  }

  add(to: Register, from: Register): void {
    this.#three(0x8b00_0000, NUMBER[to], NUMBER[to], NUMBER[from]); // add xd, xd, xm
  }

  addImmediate(to: Register, value: number): void {
    this.#addSubtract(NUMBER[to], NUMBER[to], value);
  }

  subtract(to: Register, from: Register): void {
    this.#three(0xcb00_0000, NUMBER[to], NUMBER[to], NUMBER[from]); // sub xd, xd, xm
  }

  and(to: Register, from: Register): void {
    this.#three(0x8a00_0000, NUMBER[to], NUMBER[to], NUMBER[from]); // and xd, xd, xm
  }

  shiftLeft(to: Register, bits: number): void {
    const reg = NUMBER[to]; // lsl xd, xd, #bits (ubfm xd, xd, #(64 - bits), #(63 - bits))
    this.word32(0xd340_0000 | ((64 - bits) << 16) | ((63 - bits) << 10) | (reg << 5) | reg);
  }

  shiftRight(to: Register, bits: number): void {
    const reg = NUMBER[to]; // lsr xd, xd, #bits (ubfm xd, xd, #bits, #63)
    this.word32(0xd340_fc00 | (bits << 16) | (reg << 5) | reg);
  }

  divideByTen(): void {
    this.#immediate(SCRATCH, 10n);
    this.#three(0x9ac0_0800, SCRATCH2, NUMBER.r, SCRATCH); // udiv x17, x9, x16
    this.word32(0x9b00_8000 | (SCRATCH << 16) | (NUMBER.r << 10) | (SCRATCH2 << 5) | NUMBER.a2); // msub x2, x17, x16, x9
    this.#move(NUMBER.r, SCRATCH2);
  }

  jump(label: string): void {
    this.fixup(label, "imm26");
    this.word32(0x1400_0000); // b
  }

  #branchIf(condition: Condition, label: string): void {
    this.fixup(label, "imm19");
    this.word32(0x5400_0000 | CONDITION[condition]); // b.cond
  }

  branch(condition: Condition, left: Register, right: Register, label: string): void {
    this.#three(0xeb00_0000, ZERO, NUMBER[left], NUMBER[right]); // cmp xn, xm
    this.#branchIf(condition, label);
  }

  branchImmediate(condition: Condition, left: Register, value: bigint, label: string): void {
    const v = BigInt.asIntN(64, value);
    if (v >= 0n && v < 4096n)
      this.word32(0xf100_001f | (Number(v) << 10) | (NUMBER[left] << 5)); // cmp xn, #imm12
    else if (v < 0n && v > -4096n)
      this.word32(0xb100_001f | (Number(-v) << 10) | (NUMBER[left] << 5)); // cmn xn, #imm12
    else {
      this.#immediate(SCRATCH, v);
      this.#three(0xeb00_0000, ZERO, NUMBER[left], SCRATCH); // cmp xn, x16
    }
    this.#branchIf(condition, label);
  }

  call(label: string): void {
    this.fixup(label, "imm26");
    this.word32(0x9400_0000); // bl
  }

  enter(label: string): void {
    this.label(label);
    this.word32(0xf81f_0ffe); // str x30, [sp, #-16]!
  }

  leave(): void {
    this.word32(0xf841_07fe); // ldr x30, [sp], #16
    this.word32(0xd65f_03c0); // ret
  }

  syscall(number: number): void {
    this.#immediate(CALL_NUMBER, BigInt(number));
    this.word32(0xd400_0001); // svc #0
    this.#move(NUMBER.r, NUMBER.a0);
  }

  reserve(bytes: number): void {
    this.#addSubtract(SP, SP, -bytes);
  }

  release(bytes: number): void {
    this.#addSubtract(SP, SP, bytes);
  }

  stackTo(to: Register): void {
    this.#addSubtract(NUMBER[to], SP, 0); // mov xd, sp
  }

  stackFrom(from: Register): void {
    this.#addSubtract(SP, NUMBER[from], 0); // mov sp, xn
  }

  atomicOr(address: number, bits: number): void {
    const again = this.fresh();
    this.#immediate(SCRATCH, BigInt(address));
    this.#immediate(NUMBER.a0, BigInt(bits));
    this.label(again);
    this.word32(0x885f_fc00 | (SCRATCH << 5) | SCRATCH2); // ldaxr w17, [x16]
    this.#three(0x2a00_0000, SCRATCH2, SCRATCH2, NUMBER.a0); // orr w17, w17, w0
    this.word32(0x8800_fc00 | (NUMBER.r << 16) | (SCRATCH << 5) | SCRATCH2); // stlxr w9, w17, [x16]
    this.fixup(again, "imm19");
    this.word32(0x3500_0000 | NUMBER.r); // cbnz w9, again
  }

  storeIfZero(address: number, from: Register): void {
    const again = this.fresh();
    const done = this.fresh();
    this.#immediate(SCRATCH, BigInt(address));
    this.label(again);
    this.word32(0xc85f_fc00 | (SCRATCH << 5) | SCRATCH2); // ldaxr x17, [x16]
    this.fixup(done, "imm19");
    this.word32(0xb500_0000 | SCRATCH2); // cbnz x17, done
    this.word32(0xc800_fc00 | (NUMBER.r << 16) | (SCRATCH << 5) | NUMBER[from]); // stlxr w9, xn, [x16]
    this.fixup(again, "imm19");
    this.word32(0x3500_0000 | NUMBER.r); // cbnz w9, again
    this.label(done);
  }
}
