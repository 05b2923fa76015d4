import { describe, expect, test } from "vitest";
import { decode, OP, X } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call } from "../../src/compile/seccomp/ir.ts";

type Row = readonly [code: number, jt: number, jf: number, k: number];

function assemble(rows: readonly Row[]): Uint8Array {
  const bytes = new Uint8Array(8 * rows.length);
  const view = new DataView(bytes.buffer);
  for (const [i, [code, jt, jf, k]] of rows.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, jt);
    view.setUint8(8 * i + 3, jf);
    view.setUint32(8 * i + 4, k, true);
  }
  return bytes;
}

const ret = (k: number): Row => [OP.ret, 0, 0, k];
const op = (code: number, k = 0): Row => [code, 0, 0, k];

describe("what the kernel would refuse is refused", () => {
  test.each<[string, readonly Row[], RegExp]>([
    ["nothing", [], /empty/],
    ["no return", [op(OP.ld, 0)], /does not return/],
    ["a jump past the end", [[OP.jeq, 0, 1, 0], ret(0)], /past the end/],
    ["a long jump past the end", [op(OP.ja, 1), ret(0)], /past the end/],
    ["a long jump that wraps around", [op(OP.ja, 0xffffffff), ret(0)], /past the end/],
    ["a load outside the call", [op(OP.ld, 64), ret(0)], /not a word of the call/],
    ["a load across words", [op(OP.ld, 2), ret(0)], /not a word of the call/],
    ["a byte load", [op(0x30), ret(0)], /not allowed/],
    ["a packet load", [op(0x40), ret(0)], /not allowed/],
    ["modulo", [op(0x94, 2), ret(0)], /not allowed/],
    ["division by zero", [op(OP.div, 0), ret(0)], /zero/],
    ["a shift by the width", [op(OP.lsh, 32), ret(0)], /shifts/],
    ["a scratch word too far", [op(OP.st, 16), ret(0)], /scratch/],
    ["too much", Array.from({ length: 4097 }, () => ret(0)), /4096/],
  ])("%s", (_, rows, reason) => {
    const decoded = decode(assemble(rows));
    expect(decoded).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });

  test("a cut instruction", () => {
    expect(decode(assemble([ret(0)]).subarray(0, 7)).ok).toBe(false);
  });
});

describe("arithmetic is unsigned and 32 bits wide", () => {
  const run = (rows: readonly Row[], args: readonly bigint[] = []) => {
    const decoded = decode(assemble(rows));
    if (!decoded.ok) throw new Error(decoded.reason);
    return evaluate(decoded.bpf, call(0xc000003e, 7, args, 0x1_0000_0002n));
  };
  test.each<[string, readonly Row[], number]>([
    ["nr", [op(OP.ld, 0), op(OP.retA)], 7],
    ["arch", [op(OP.ld, 4), op(OP.retA)], 0xc000003e],
    ["ip low", [op(OP.ld, 8), op(OP.retA)], 2],
    ["ip high", [op(OP.ld, 12), op(OP.retA)], 1],
    ["length", [op(OP.ldLen), op(OP.retA)], 64],
    ["add wraps", [op(OP.ldImm, 0xffffffff), op(OP.add, 2), op(OP.retA)], 1],
    ["sub wraps", [op(OP.ldImm, 0), op(OP.sub, 1), op(OP.retA)], 0xffffffff],
    ["mul keeps the low word", [op(OP.ldImm, 0xffffffff), op(OP.mul, 0xffffffff), op(OP.retA)], 1],
    ["div is unsigned", [op(OP.ldImm, 0xffffffff), op(OP.div, 2), op(OP.retA)], 0x7fffffff],
    ["neg", [op(OP.ldImm, 1), op(OP.neg), op(OP.retA)], 0xffffffff],
    [
      "and or xor",
      [op(OP.ldImm, 0xff), op(OP.and, 0xf0), op(OP.or, 1), op(OP.xor, 0x80000000), op(OP.retA)],
      0x800000f1,
    ],
    ["shifts", [op(OP.ldImm, 1), op(OP.lsh, 31), op(OP.rsh, 30), op(OP.retA)], 2],
    [
      "index register",
      [op(OP.ldxImm, 5), op(OP.ldImm, 6), op(OP.add | X), op(OP.tax), op(OP.txa), op(OP.retA)],
      11,
    ],
    ["scratch", [op(OP.ldImm, 9), op(OP.st, 3), op(OP.ldImm, 0), op(OP.ldMem, 3), op(OP.retA)], 9],
    ["division by an empty register ends with kill", [op(OP.ldImm, 9), op(OP.div | X), ret(1)], 0],
    ["jgt is unsigned", [op(OP.ldImm, 0x80000000), [OP.jgt, 0, 1, 1], ret(1), ret(2)], 1],
    ["jge", [op(OP.ldImm, 5), [OP.jge, 0, 1, 5], ret(1), ret(2)], 1],
    ["jset", [op(OP.ldImm, 6), [OP.jset, 0, 1, 1], ret(1), ret(2)], 2],
    ["ja", [op(OP.ja, 1), ret(1), ret(2)], 2],
  ])("%s", (_, rows, expected) => {
    expect(run(rows)).toBe(expected);
  });

  test("arguments come low word first", () => {
    const args = [0n, 0n, 0n, 0n, 0n, 0x1122334455667788n];
    expect(run([op(OP.ld, 56), op(OP.retA)], args)).toBe(0x55667788);
    expect(run([op(OP.ld, 60), op(OP.retA)], args)).toBe(0x11223344);
  });
});
