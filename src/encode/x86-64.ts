/**
 * The virtual machine on x86-64 (Intel SDM volume 2). Always the long branch forms: the code is a few kilobytes, and
 * one form per operation is easier to read in a disassembly than the best one.
 * rcx and r11 are scratch: the syscall instruction destroys both.
 */
import { bug } from "../problems.ts";
import { Code, type Condition, type Machine, type Register, type Width } from "./machine.ts";

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;

/** System V kernel convention: number in rax, arguments in rdi rsi rdx r10 r8 r9. */
const NUMBER: Readonly<Record<Register, number>> = {
  r: RAX,
  a0: 7, // rdi
  a1: 6, // rsi
  a2: RDX,
  a3: 10,
  a4: 8,
  a5: 9,
  s0: 3, // rbx
  s1: 5, // rbp
  s2: 12,
  s3: 13,
  s4: 14,
  base: 15,
};

/** Second opcode byte of jcc rel32. */
const JUMP_IF: Readonly<Record<Condition, number>> = {
  equal: 0x84, // je
  notEqual: 0x85, // jne
  less: 0x8c, // jl
  greaterEqual: 0x8d, // jge
  below: 0x82, // jb
  aboveEqual: 0x83, // jae
};

const fits = (value: number, bits: 8 | 32): boolean =>
  value >= -(2 ** (bits - 1)) && value < 2 ** (bits - 1) && Number.isInteger(value);

export class X86 extends Code implements Machine {
  protected patch(at: number, target: number): void {
    this.set32(at, target - (at + 4));
  }

  #relative(label: string): void {
    this.fixup(label, "rel32");
    this.word32(0);
  }

  /** REX: W 64-bit operand, R extends modrm.reg, B extends modrm.rm or the base. `force` makes byte registers sil, dil possible. */
  #rex(wide: boolean, reg: number, rm: number, force = false): void {
    const rex = 0x40 | (wide ? 8 : 0) | (reg & 8 ? 4 : 0) | (rm & 8 ? 1 : 0);
    if (rex !== 0x40 || force) this.byte(rex);
  }

  /** op r/m64, r64 with both registers. */
  #registers(opcode: number, reg: number, rm: number, wide = true): void {
    this.#rex(wide, reg, rm);
    this.byte(opcode);
    this.byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
  }

  /** modrm and displacement of [base + offset]; rsp and r12 as base need a SIB byte. */
  #at(reg: number, base: number, offset: number): void {
    if (!fits(offset, 32)) bug(`offset ${offset} does not fit`);
    const short = fits(offset, 8);
    this.byte((short ? 0x40 : 0x80) | ((reg & 7) << 3) | (base & 7));
    if ((base & 7) === RSP) this.byte(0x24);
    if (short) this.byte(offset & 0xff);
    else this.word32(offset);
  }

  /** modrm of [disp32] without a base: SIB with neither base nor index, because plain modrm 00-101 is rip-relative. */
  #absolute(reg: number, address: number): void {
    if (!fits(address, 32) || address < 0) bug(`address ${address} is out of reach`);
    this.byte(0x04 | ((reg & 7) << 3));
    this.byte(0x25);
    this.word32(address);
  }

  #loadOpcode(width: Width, reg: number, base: number): void {
    this.#rex(width === 8, reg, base);
    if (width === 1 || width === 2) {
      this.byte(0x0f); // movzx r32, m8 | m16
      this.byte(width === 1 ? 0xb6 : 0xb7);
    } else this.byte(0x8b); // mov r32 | r64, m
  }

  #storeOpcode(width: Width, reg: number, base: number): void {
    if (width === 2) this.byte(0x66); // operand size prefix goes before REX
    this.#rex(width === 8, reg, base, width === 1);
    this.byte(width === 1 ? 0x88 : 0x89); // mov m, r
  }

  /** One of the eight arithmetic operations with a sign-extended immediate: /0 add, /4 and, /5 sub, /7 cmp. */
  #arithmetic(operation: number, rm: number, value: number): void {
    const short = fits(value, 8);
    this.#rex(true, 0, rm);
    this.byte(short ? 0x83 : 0x81);
    this.byte(0xc0 | (operation << 3) | (rm & 7));
    if (short) this.byte(value & 0xff);
    else this.word32(value);
  }

  #immediate(reg: number, value: bigint): void {
    const v = BigInt.asIntN(64, value);
    if (v === 0n) {
      this.#registers(0x31, reg, reg, false); // xor r32, r32
    } else if (v > 0n && v < 1n << 32n) {
      this.#rex(false, 0, reg); // mov r32, imm32: upper half becomes zero
      this.byte(0xb8 | (reg & 7));
      this.word32(Number(BigInt.asIntN(32, v)));
    } else if (v < 0n && v >= -(1n << 31n)) {
      this.#rex(true, 0, reg); // mov r64, simm32
      this.byte(0xc7);
      this.byte(0xc0 | (reg & 7));
      this.word32(Number(v));
    } else {
      this.#rex(true, 0, reg); // movabs r64, imm64
      this.byte(0xb8 | (reg & 7));
      this.word32(Number(BigInt.asIntN(32, v)));
      this.word32(Number(BigInt.asIntN(32, v >> 32n)));
    }
  }

  move(to: Register, from: Register): void {
    this.#registers(0x89, NUMBER[from], NUMBER[to]); // mov r64, r64
  }

  immediate(to: Register, value: bigint): void {
    this.#immediate(NUMBER[to], value);
  }

  load(to: Register, width: Width, base: Register, offset: number): void {
    this.#loadOpcode(width, NUMBER[to], NUMBER[base]);
    this.#at(NUMBER[to], NUMBER[base], offset);
  }

  store(width: Width, base: Register, offset: number, from: Register): void {
    this.#storeOpcode(width, NUMBER[from], NUMBER[base]);
    this.#at(NUMBER[from], NUMBER[base], offset);
  }

  loadAt(to: Register, width: Width, address: number): void {
    this.#loadOpcode(width, NUMBER[to], 0);
    this.#absolute(NUMBER[to], address);
  }

  storeAt(width: Width, address: number, from: Register): void {
    this.#storeOpcode(width, NUMBER[from], 0);
    this.#absolute(NUMBER[from], address);
  }

  add(to: Register, from: Register): void {
    this.#registers(0x01, NUMBER[from], NUMBER[to]); // add r64, r64
  }

  addImmediate(to: Register, value: number): void {
    this.#arithmetic(0, NUMBER[to], value); // add r64, imm
  }

  subtract(to: Register, from: Register): void {
    this.#registers(0x29, NUMBER[from], NUMBER[to]); // sub r64, r64
  }

  and(to: Register, from: Register): void {
    this.#registers(0x21, NUMBER[from], NUMBER[to]); // and r64, r64
  }

  shiftLeft(to: Register, bits: number): void {
    this.#registers(0xc1, 4, NUMBER[to]); // shl r64, imm8
    this.byte(bits);
  }

  shiftRight(to: Register, bits: number): void {
    this.#registers(0xc1, 5, NUMBER[to]); // shr r64, imm8
    this.byte(bits);
  }

  divideByTen(): void {
    this.#immediate(RCX, 10n);
    this.#immediate(RDX, 0n);
    this.#registers(0xf7, 6, RCX); // div rcx: rdx:rax / rcx → rax, remainder rdx
  }

  jump(label: string): void {
    this.byte(0xe9); // jmp rel32
    this.#relative(label);
  }

  #jumpIf(condition: Condition, label: string): void {
    this.byte(0x0f); // jcc rel32
    this.byte(JUMP_IF[condition]);
    this.#relative(label);
  }

  branch(condition: Condition, left: Register, right: Register, label: string): void {
    this.#registers(0x39, NUMBER[right], NUMBER[left]); // cmp left, right
    this.#jumpIf(condition, label);
  }

  branchImmediate(condition: Condition, left: Register, value: bigint, label: string): void {
    const v = BigInt.asIntN(64, value);
    if (v === BigInt.asIntN(32, v)) {
      this.#arithmetic(7, NUMBER[left], Number(v)); // cmp left, imm
    } else {
      this.#immediate(RCX, v);
      this.#registers(0x39, RCX, NUMBER[left]); // cmp left, rcx
    }
    this.#jumpIf(condition, label);
  }

  call(label: string): void {
    this.byte(0xe8); // call rel32
    this.#relative(label);
  }

  enter(label: string): void {
    this.label(label);
  }

  leave(): void {
    this.byte(0xc3); // ret
  }

  syscall(number: number): void {
    this.#immediate(RAX, BigInt(number));
    this.byte(0x0f); // syscall
    this.byte(0x05);
  }

  reserve(bytes: number): void {
    this.#arithmetic(5, RSP, bytes); // sub rsp, imm
  }

  release(bytes: number): void {
    this.#arithmetic(0, RSP, bytes); // add rsp, imm
  }

  stackTo(to: Register): void {
    this.#registers(0x89, RSP, NUMBER[to]); // mov r64, rsp
  }

  stackFrom(from: Register): void {
    this.#registers(0x89, NUMBER[from], RSP); // mov rsp, r64
  }

  atomicOr(address: number, bits: number): void {
    this.byte(0xf0); // lock or dword [disp32], imm32
    this.byte(0x81);
    this.#absolute(1, address);
    this.word32(bits);
  }

  storeIfZero(address: number, from: Register): void {
    this.#immediate(RAX, 0n);
    this.byte(0xf0); // lock cmpxchg [disp32], r64: stores when the memory equals rax
    this.#rex(true, NUMBER[from], 0);
    this.byte(0x0f);
    this.byte(0xb1);
    this.#absolute(NUMBER[from], address);
  }
}
