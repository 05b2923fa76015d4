/** One call, asked: the verdict is the kernel's, and the trace is the way to it. And programs, printed. */
import { describe, expect, test } from "vitest";
import { ABIS, type Abi } from "../../src/compile/seccomp/abi.ts";
import { OP, X } from "../../src/compile/seccomp/decode.ts";
import { formatVerdict, RET } from "../../src/compile/seccomp/ir.ts";
import { formatProblem } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { disassemble, formatLines } from "../../src/prove/disassemble.ts";
import { type Simulation, simulate } from "../../src/simulate.ts";
import { assemble, program } from "../prove/programs.ts";
import { valueOf } from "../seccomp/support.ts";
import { AS_WRITTEN, filesWith } from "./files.ts";

const question = (
  call: string,
  args: readonly bigint[] = [],
  abis: readonly Abi[] = ["x86_64"],
  name = "strict",
): Simulation => ({
  ...AS_WRITTEN,
  name,
  call,
  args,
  ip: 0n,
  abis,
});
const verdicts = (simulation: Simulation, files = profileFiles()) =>
  valueOf(simulate(simulation, files)).map(({ abi, verdict }) => `${abi} ${formatVerdict(verdict)}`);

describe("the verdict", () => {
  test.each([
    ["openat", [0xffffff9cn, 0n, 0n], "x86_64 allow"],
    ["openat", [0xffffff9cn, 0n, 0x241n, 0o4755n], "x86_64 errno(1)"],
    ["257", [0xffffff9cn, 0n, 0n], "x86_64 allow"],
    ["0x101", [], "x86_64 allow"],
    ["999", [], "x86_64 errno(38)"],
    ["0x40000000", [], "x86_64 kill-process"],
  ] as const)("of %s(%s)", (name, args, expected) => {
    expect(verdicts(question(name, args))).toEqual([expected]);
  });

  test("through every ABI that has the call", () => {
    expect(verdicts(question("keyctl", [], ABIS))).toEqual([
      "x86_64 errno(1)",
      "x32 kill-process",
      "i386 kill-process",
      "aarch64 errno(1)",
      "arm kill-process",
    ]);
    expect(verdicts(question("socketcall", [], ABIS))).toEqual(["i386 kill-process"]);
  });

  test("of a filter that looks at where the call is made", () => {
    const bytes = assemble([
      { code: OP.ld, k: 12 },
      { code: OP.jeq, k: 0x7f00, jt: 0, jf: 1 },
      { code: OP.ret, k: RET.allow },
      { code: OP.ret, k: RET.killThread },
    ]);
    const files = filesWith({ "/ip.bpf": bytes });
    const from = (ip: bigint) => verdicts({ ...question("read", [], ["x86_64"], "/ip.bpf"), ip }, files);
    expect([from(0x7f00_0000_1234n), from(0x7e00_0000_1234n)]).toEqual([
      ["x86_64 allow"],
      ["x86_64 kill-thread"],
    ]);
  });

  test.each([
    [
      "raed",
      "CALL: raed is not a call of x86_64; expected a name, or a number of 32 bits; did you mean read?",
    ],
    ["socketcall", "CALL: socketcall is not a call of x86_64; expected a name, or a number of 32 bits"],
    ["0x100000000", "CALL: 0x100000000 is not a call of x86_64; expected a name, or a number of 32 bits"],
  ])("of %s is a mistake", (name, message) => {
    const asked = simulate(question(name), profileFiles());
    expect(asked.ok ? [] : asked.problems.map(formatProblem)).toEqual([message]);
  });
});

test("the trace begins at the start, follows the jumps, shows what is loaded and ends at the verdict", () => {
  const [asked] = valueOf(simulate(question("openat", [0n, 0n, 0x241n, 0o4755n]), profileFiles()));
  const trace = asked?.trace ?? [];
  expect(trace[0]).toMatchObject({ pc: 0, text: "A = arch", comment: "0xc000003e" });
  expect(trace.map(({ text, comment }) => `${text} ${comment}`)).toContain("A = arg2.low 0x241");
  expect(trace.at(-1)?.text).toBe("return errno(1)");
});

test("a program is printed with labels, words and names", () => {
  const bpf = program([
    { code: OP.ld, k: 4 },
    { code: OP.jeq, k: 0xc000003e, jt: 1, jf: 0 },
    { code: OP.ret, k: RET.killProcess },
    { code: OP.ld, k: 0 },
    { code: OP.jeq, k: 257, jt: 0, jf: 9 },
    { code: OP.ld, k: 36 },
    { code: OP.and, k: 0xff },
    { code: OP.st, k: 3 },
    { code: OP.tax },
    { code: OP.ldMem, k: 3 },
    { code: OP.add | X },
    { code: OP.jset | X, jt: 1, jf: 0 },
    { code: OP.ja, k: 1 },
    { code: OP.ret, k: RET.trace | 7 },
    { code: OP.ret, k: RET.errno | 13 },
  ]);
  expect(formatLines(disassemble(bpf)).split("\n")).toEqual([
    "   0        A = arch",
    "   1        if A == 0xc000003e goto L1  ; SCMP_ARCH_X86_64, SCMP_ARCH_X32",
    "   2        return kill-process",
    "   3  L1:   A = nr",
    "   4        if not A == 0x101 goto L3   ; openat",
    "   5        A = arg2.high",
    "   6        A = A & 0xff",
    "   7        M[3] = A",
    "   8        X = A",
    "   9        A = M[3]",
    "  10        A = A + X",
    "  11        if A & X goto L2",
    "  12        goto L3",
    "  13  L2:   return trace(7)",
    "  14  L3:   return errno(13)",
  ]);
});

test("a number has no name before the program has asked for the architecture", () => {
  const bpf = program([
    { code: OP.ld, k: 0 },
    { code: OP.jeq, k: 257, jt: 0, jf: 0 },
    { code: OP.ret, k: RET.allow },
  ]);
  expect(disassemble(bpf)[1]?.comment).toBe("");
});
