/**
 * The encoder: a launch program in, a static ELF launcher out. Pure; the same program gives the same bytes.
 */
import { layoutMemory, type Program } from "../program/program.ts";
import { Aarch64 } from "./aarch64.ts";
import { Context } from "./context.ts";
import { writeElf } from "./elf.ts";
import { lower } from "./lower.ts";
import { Rodata } from "./rodata.ts";
import { validate } from "./validate.ts";
import { X86 } from "./x86-64.ts";

/**
 * The launcher of a program: a static, non-PIE executable of the program's architecture, without libc or relocations.
 * A malformed program (unknown label, buffer or constant, backward jump, ...) is a bug().
 */
export function encodeProgram(program: Program): Uint8Array<ArrayBuffer> {
  validate(program);
  const machine = program.arch === "x86_64" ? new X86() : new Aarch64();
  const rodata = new Rodata(program.data);
  lower(new Context(program, machine, rodata, layoutMemory(program)));
  return writeElf(program.arch, rodata.finish(), machine.finish());
}
