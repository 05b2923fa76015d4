/**
 * Bytes of a seccomp filter -> instructions. Takes exactly what the kernel would (seccomp_check_filter and bpf_check_classic in
 * kernel/seccomp.c and net/core/filter.c): a program it refuses is refused here, so nothing later meets an undefined case.
 */

/** struct sock_filter: u16 code, u8 jt, u8 jf, u32 k; here one array per field. */
export interface Bpf {
  readonly length: number;
  readonly code: Uint16Array;
  readonly jt: Uint8Array;
  readonly jf: Uint8Array;
  readonly k: Uint32Array;
}

/** BPF_MAXINSNS, linux/bpf_common.h. */
export const MAX_INSTRUCTIONS = 4096;
export const INSTRUCTION_BYTES = 8;

// Class, size, mode and source bits of linux/bpf_common.h, combined.
export const OP = {
  ld: 0x20, // BPF_LD | BPF_W | BPF_ABS
  ldLen: 0x80, // BPF_LD | BPF_W | BPF_LEN
  ldImm: 0x00,
  ldMem: 0x60,
  ldxImm: 0x01,
  ldxMem: 0x61,
  ldxLen: 0x81,
  st: 0x02,
  stx: 0x03,
  add: 0x04,
  sub: 0x14,
  mul: 0x24,
  div: 0x34,
  or: 0x44,
  and: 0x54,
  lsh: 0x64,
  rsh: 0x74,
  neg: 0x84,
  xor: 0xa4,
  ja: 0x05,
  jeq: 0x15,
  jgt: 0x25,
  jge: 0x35,
  jset: 0x45,
  ret: 0x06,
  retA: 0x16,
  tax: 0x07,
  txa: 0x87,
} as const;

/** BPF_X: the second operand is the index register instead of k. */
export const X = 0x08;

const WITH_X = [
  OP.add,
  OP.sub,
  OP.mul,
  OP.div,
  OP.or,
  OP.and,
  OP.lsh,
  OP.rsh,
  OP.xor,
  OP.jeq,
  OP.jgt,
  OP.jge,
  OP.jset,
];
// The kernel's list for seccomp; no packet loads but aligned words of seccomp_data, no modulo.
const ALLOWED = new Set<number>([...Object.values(OP), ...WITH_X.map((code) => code | X)]);
const JUMPS = new Set<number>([OP.jeq, OP.jgt, OP.jge, OP.jset].flatMap((code) => [code, code | X]));
const SCRATCH = new Set<number>([OP.st, OP.stx, OP.ldMem, OP.ldxMem]);
const SECCOMP_DATA_BYTES = 64;

export function isJump(code: number): boolean {
  return JUMPS.has(code);
}

export type Decoded =
  | { readonly ok: true; readonly bpf: Bpf }
  | { readonly ok: false; readonly instruction: number; readonly reason: string };

/** Little-endian bytes to instructions, or the first instruction that the kernel would refuse and why. */
export function decode(bytes: Uint8Array): Decoded {
  const length = bytes.length / INSTRUCTION_BYTES;
  if (!Number.isInteger(length)) return refuse(Math.floor(length), "the last instruction is cut off");
  if (length === 0) return refuse(0, "the program is empty");
  if (length > MAX_INSTRUCTIONS)
    return refuse(MAX_INSTRUCTIONS, `more than ${MAX_INSTRUCTIONS} instructions`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bpf = {
    length,
    code: new Uint16Array(length),
    jt: new Uint8Array(length),
    jf: new Uint8Array(length),
    k: new Uint32Array(length),
  };
  for (let i = 0; i < length; i++) {
    bpf.code[i] = view.getUint16(8 * i, true);
    bpf.jt[i] = view.getUint8(8 * i + 2);
    bpf.jf[i] = view.getUint8(8 * i + 3);
    bpf.k[i] = view.getUint32(8 * i + 4, true);
  }
  for (let i = 0; i < length; i++) {
    const reason = whyRefused(bpf, i);
    if (reason !== null) return refuse(i, reason);
  }
  const last = bpf.code[length - 1];
  if (last !== OP.ret && last !== OP.retA) return refuse(length - 1, "the last instruction does not return");
  return { ok: true, bpf };
}

function refuse(instruction: number, reason: string): Decoded {
  return { ok: false, instruction, reason };
}

function whyRefused(bpf: Bpf, i: number): string | null {
  const code = bpf.code[i] as number;
  const k = bpf.k[i] as number;
  if (!ALLOWED.has(code)) return `operation 0x${code.toString(16)} is not allowed in a seccomp filter`;
  if (code === OP.ld && (k >= SECCOMP_DATA_BYTES || k % 4 !== 0))
    return `loads from ${k}, not a word of the call`;
  if (code === OP.div && k === 0) return "divides by zero";
  if ((code === OP.lsh || code === OP.rsh) && k >= 32) return `shifts by ${k}`;
  if (SCRATCH.has(code) && k >= 16) return `scratch word ${k} does not exist`;
  if (code === OP.ja && k >= bpf.length - i - 1) return "jumps past the end";
  if (isJump(code)) {
    const furthest = i + 1 + Math.max(bpf.jt[i] as number, bpf.jf[i] as number);
    if (furthest >= bpf.length) return "jumps past the end";
  }
  return null;
}
