/**
 * Runs a decoded filter on one call, as the kernel's classic BPF machine does (bpf_prog_run, 32-bit unsigned arithmetic). Shares
 * nothing with what emits filters: it is the independent witness.
 */
import { type Bpf, OP, X } from "./decode.ts";
import type { Call, Verdict } from "./ir.ts";

const scratch = new Uint32Array(16);

/** What the filter answers. `seen`, when given, gets a 1 for every instruction that ran. */
export function evaluate(bpf: Bpf, words: Call, seen?: Uint8Array): Verdict {
  const { code, jt, jf, k } = bpf;
  let a = 0;
  let x = 0;
  scratch.fill(0);
  for (let pc = 0; pc < bpf.length; pc++) {
    if (seen !== undefined) seen[pc] = 1;
    const operation = code[pc] as number;
    const immediate = k[pc] as number;
    switch (operation) {
      case OP.ld:
        a = words[immediate >>> 2] as number;
        continue;
      case OP.ret:
        return immediate;
      case OP.retA:
        return a;
      case OP.ja:
        pc += immediate;
        continue;
      case OP.ldImm:
        a = immediate;
        continue;
      case OP.ldxImm:
        x = immediate;
        continue;
      case OP.ldLen:
        a = 64;
        continue;
      case OP.ldxLen:
        x = 64;
        continue;
      case OP.ldMem:
        a = scratch[immediate] as number;
        continue;
      case OP.ldxMem:
        x = scratch[immediate] as number;
        continue;
      case OP.st:
        scratch[immediate] = a;
        continue;
      case OP.stx:
        scratch[immediate] = x;
        continue;
      case OP.tax:
        x = a;
        continue;
      case OP.txa:
        a = x;
        continue;
      case OP.neg:
        a = -a >>> 0;
        continue;
    }
    const operand = (operation & X) === 0 ? immediate : x;
    switch (operation & ~X) {
      case OP.jeq:
        pc += (a === operand ? jt[pc] : jf[pc]) as number;
        continue;
      case OP.jgt:
        pc += (a > operand ? jt[pc] : jf[pc]) as number;
        continue;
      case OP.jge:
        pc += (a >= operand ? jt[pc] : jf[pc]) as number;
        continue;
      case OP.jset:
        pc += ((a & operand) !== 0 ? jt[pc] : jf[pc]) as number;
        continue;
      case OP.add:
        a = (a + operand) >>> 0;
        continue;
      case OP.sub:
        a = (a - operand) >>> 0;
        continue;
      case OP.mul:
        a = Math.imul(a, operand) >>> 0;
        continue;
      case OP.div:
        // By zero the program ends with 0, which seccomp reads as kill.
        if (operand === 0) return 0;
        a = Math.floor(a / operand);
        continue;
      case OP.and:
        a = (a & operand) >>> 0;
        continue;
      case OP.or:
        a = (a | operand) >>> 0;
        continue;
      case OP.xor:
        a = (a ^ operand) >>> 0;
        continue;
      case OP.lsh:
        a = (a << (operand & 31)) >>> 0;
        continue;
      case OP.rsh:
        a >>>= operand & 31;
        continue;
    }
  }
  // decode() has shown that every path returns.
  return 0;
}
