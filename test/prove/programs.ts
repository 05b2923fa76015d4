/** Random filters small enough to be tried on every call that they can tell apart. */
import fc from "fast-check";
import { type Bpf, decode, OP, X } from "../../src/compile/seccomp/decode.ts";
import { CALL_WORDS, type Call, RET, WORD } from "../../src/compile/seccomp/ir.ts";

export interface Instruction {
  readonly code: number;
  readonly jt?: number;
  readonly jf?: number;
  readonly k?: number;
}

/** struct sock_filter[], little-endian. */
export function assemble(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(8 * instructions.length);
  const view = new DataView(bytes.buffer);
  for (const [i, { code, jt = 0, jf = 0, k = 0 }] of instructions.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, jt);
    view.setUint8(8 * i + 3, jf);
    view.setUint32(8 * i + 4, k, true);
  }
  return bytes;
}

export function program(source: readonly Instruction[] | Uint8Array): Bpf {
  const decoded = decode(source instanceof Uint8Array ? source : assemble(source));
  if (!decoded.ok) throw new Error(`${decoded.instruction}: ${decoded.reason}`);
  return decoded.bpf;
}

/** The words that random filters look at; every other one is never loaded. */
const LOOKED_AT = [WORD.nr, WORD.args, WORD.args + 3];
/** Bits of them that may be 1 in the calls that are tried. */
const BITS = 3;

/** Every call that differs in those bits: 512. */
export const CALLS: readonly Call[] = Array.from({ length: 2 ** (BITS * LOOKED_AT.length) }, (_, n) => {
  const words = new Uint32Array(CALL_WORDS);
  for (const [i, word] of LOOKED_AT.entries()) words[word] = (n >>> (BITS * i)) & (2 ** BITS - 1);
  return words;
});

const load = fc.constantFrom(...LOOKED_AT).map((word) => ({ code: OP.ld, k: 4 * word }));
const small = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(0x80000000, 0xffffffff, 0xfffffffe));
const scratch = fc.integer({ min: 0, max: 2 });
const returns = fc
  .constantFrom(
    RET.allow,
    RET.errno | 1,
    RET.errno | 5000,
    RET.log,
    RET.killProcess,
    RET.killThread,
    RET.trap | 3,
    0x12340007,
  )
  .map((k) => ({ code: OP.ret, k }));

/** What compilers emit: loads, masks and comparisons. */
const plain = (left: number) =>
  fc.oneof(
    { weight: 3, arbitrary: load },
    { weight: 1, arbitrary: small.map((k) => ({ code: OP.and, k })) },
    { weight: 6, arbitrary: jump(left, [OP.jeq, OP.jgt, OP.jge, OP.jset]) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: left }).map((k) => ({ code: OP.ja, k })) },
    { weight: 1, arbitrary: returns },
  );

/** Everything that the kernel takes. */
const exotic = (left: number) =>
  fc.oneof(
    { weight: 4, arbitrary: plain(left) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom(OP.add, OP.sub, OP.or, OP.xor, OP.and), fc.constantFrom(0, X), small)
        .map(([code, x, k]) => ({ code: code | x, k })),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(OP.mul, OP.div, OP.lsh, OP.rsh), fc.integer({ min: 1, max: 9 }))
        .map(([code, k]) => ({ code, k })),
    },
    { weight: 1, arbitrary: jump(left, [OP.jeq | X, OP.jgt | X, OP.jge | X, OP.jset | X]) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom(OP.st, OP.stx, OP.ldMem, OP.ldxMem), scratch)
        .map(([code, k]) => ({ code, k })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(OP.tax, OP.txa, OP.neg, OP.ldLen, OP.ldxLen).map((code) => ({ code })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constantFrom(OP.ldImm, OP.ldxImm), small).map(([code, k]) => ({ code, k })),
    },
  );

function jump(left: number, codes: readonly number[]): fc.Arbitrary<Instruction> {
  const reach = fc.integer({ min: 0, max: Math.min(left, 255) });
  return fc
    .tuple(fc.constantFrom(...codes), reach, reach, small)
    .map(([code, jt, jf, k]) => ({ code, jt, jf, k }));
}

const sequence = (each: (left: number) => fc.Arbitrary<Instruction>, most: number) =>
  fc
    .integer({ min: 1, max: most })
    .chain((length) => fc.tuple(load, ...Array.from({ length }, (_, i) => each(length - 1 - i)), returns))
    .map((instructions): readonly Instruction[] => instructions);

export const plainPrograms = sequence(plain, 12);
export const exoticPrograms = sequence(exotic, 14);
