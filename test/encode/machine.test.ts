/** Every machine operation is the instruction that it claims to be: golden bytes, and what binutils reads in them. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Aarch64 } from "../../src/encode/aarch64.ts";
import { type Machine, REGISTERS, type Width } from "../../src/encode/machine.ts";
import { X86 } from "../../src/encode/x86-64.ts";
import { available, scratch, which } from "./harness.ts";

type Row = readonly [
  name: string,
  emit: (m: Machine) => void,
  x86: readonly string[],
  aarch64: readonly string[],
];

const ROWS: readonly Row[] = [
  ["move", (m) => m.move("s2", "a0"), ["mov r12,rdi"], ["mov x21, x0"]],
  ["immediate 0", (m) => m.immediate("a4", 0n), ["xor r8d,r8d"], ["mov x4, #0x0"]],
  ["immediate 7", (m) => m.immediate("a0", 7n), ["mov edi,0x7"], ["mov x0, #0x7"]],
  [
    "immediate -100",
    (m) => m.immediate("a0", -100n),
    ["mov rdi,0xffffffffffffff9c"],
    ["mov x0, #0xffffffffffffff9c"],
  ],
  [
    "immediate -1",
    (m) => m.immediate("r", -1n),
    ["mov rax,0xffffffffffffffff"],
    ["mov x9, #0xffffffffffffffff"],
  ],
  [
    "immediate u32",
    (m) => m.immediate("a1", 0xfedcba98n),
    ["mov esi,0xfedcba98"],
    ["mov x1, #0xba98", "movk x1, #0xfedc, lsl #16"],
  ],
  [
    "immediate u64",
    (m) => m.immediate("a5", 0x123456789abcdef0n),
    ["movabs r9,0x123456789abcdef0"],
    [
      "mov x5, #0xdef0",
      "movk x5, #0x9abc, lsl #16",
      "movk x5, #0x5678, lsl #32",
      "movk x5, #0x1234, lsl #48",
    ],
  ],
  [
    "immediate mostly ones",
    (m) => m.immediate("a0", 0xffff_1234_ffff_ffffn),
    ["movabs rdi,0xffff1234ffffffff"],
    ["mov x0, #0xffff1234ffffffff"],
  ],
  ["load 1", (m) => m.load("a2", 1, "s1", 5), ["movzx edx,BYTE PTR [rbp+0x5]"], ["ldrb w2, [x20, #5]"]],
  ["load 2", (m) => m.load("a3", 2, "s2", 6), ["movzx r10d,WORD PTR [r12+0x6]"], ["ldrh w3, [x21, #6]"]],
  ["load 4", (m) => m.load("s0", 4, "a0", 0x200), ["mov ebx,DWORD PTR [rdi+0x200]"], ["ldr w19, [x0, #512]"]],
  ["load 8", (m) => m.load("r", 8, "s3", -8), ["mov rax,QWORD PTR [r13-0x8]"], ["ldur x9, [x22, #-8]"]],
  [
    "load 8 from base",
    (m) => m.load("a0", 8, "base", 16),
    ["mov rdi,QWORD PTR [r15+0x10]"],
    ["ldr x0, [x28, #16]"],
  ],
  ["store 1", (m) => m.store(1, "a0", 0, "a1"), ["mov BYTE PTR [rdi+0x0],sil"], ["strb w1, [x0]"]],
  ["store 2", (m) => m.store(2, "a0", 1, "a4"), ["mov WORD PTR [rdi+0x1],r8w"], ["sturh w4, [x0, #1]"]],
  ["store 4", (m) => m.store(4, "s4", 4, "s0"), ["mov DWORD PTR [r14+0x4],ebx"], ["str w19, [x23, #4]"]],
  ["store 8", (m) => m.store(8, "s2", 8, "s1"), ["mov QWORD PTR [r12+0x8],rbp"], ["str x20, [x21, #8]"]],
  [
    "load at",
    (m) => m.loadAt("a3", 8, 0x1000_0140),
    ["mov r10,QWORD PTR ds:0x10000140"],
    ["mov x16, #0x140", "movk x16, #0x1000, lsl #16", "ldr x3, [x16]"],
  ],
  [
    "store at",
    (m) => m.storeAt(1, 0x1000_0000, "a0"),
    ["mov BYTE PTR ds:0x10000000,dil"],
    ["mov x16, #0x10000000", "strb w0, [x16]"],
  ],
  ["add", (m) => m.add("a0", "s4"), ["add rdi,r14"], ["add x0, x0, x23"]],
  ["add immediate", (m) => m.addImmediate("s1", 1), ["add rbp,0x1"], ["add x20, x20, #0x1"]],
  ["add negative", (m) => m.addImmediate("a0", -1), ["add rdi,0xffffffffffffffff"], ["sub x0, x0, #0x1"]],
  [
    "add large",
    (m) => m.addImmediate("a0", 0x1234),
    ["add rdi,0x1234"],
    ["add x0, x0, #0x1, lsl #12", "add x0, x0, #0x234"],
  ],
  ["subtract", (m) => m.subtract("s0", "a1"), ["sub rbx,rsi"], ["sub x19, x19, x1"]],
  ["and", (m) => m.and("r", "a5"), ["and rax,r9"], ["and x9, x9, x5"]],
  ["shift left", (m) => m.shiftLeft("s3", 3), ["shl r13,0x3"], ["lsl x22, x22, #3"]],
  ["shift right", (m) => m.shiftRight("a2", 63), ["shr rdx,0x3f"], ["lsr x2, x2, #63"]],
  [
    "divide by ten",
    (m) => m.divideByTen(),
    ["mov ecx,0xa", "xor edx,edx", "div rcx"],
    ["mov x16, #0xa", "udiv x17, x9, x16", "msub x2, x17, x16, x9", "mov x9, x17"],
  ],
  ["leave", (m) => m.leave(), ["ret"], ["ldr x30, [sp], #16", "ret"]],
  ["enter", (m) => m.enter("f"), [], ["str x30, [sp, #-16]!"]],
  [
    "syscall",
    (m) => m.syscall(231),
    ["mov eax,0xe7", "syscall"],
    ["mov x8, #0xe7", "svc #0x0", "mov x9, x0"],
  ],
  ["reserve", (m) => m.reserve(32), ["sub rsp,0x20"], ["sub sp, sp, #0x20"]],
  ["release", (m) => m.release(304), ["add rsp,0x130"], ["add sp, sp, #0x130"]],
  ["stack to", (m) => m.stackTo("a0"), ["mov rdi,rsp"], ["mov x0, sp"]],
  ["stack from", (m) => m.stackFrom("s0"), ["mov rsp,rbx"], ["mov sp, x19"]],
  [
    "atomic or",
    (m) => m.atomicOr(0x1000_0008, 16),
    ["lock or DWORD PTR ds:0x10000008,0x10"],
    [
      "mov x16, #0x8",
      "movk x16, #0x1000, lsl #16",
      "mov x0, #0x10",
      "ldaxr w17, [x16]",
      "orr w17, w17, w0",
      "stlxr w9, w17, [x16]",
      "cbnz w9, 0xc",
    ],
  ],
  [
    "store if zero",
    (m) => m.storeIfZero(0x1000_0000, "a0"),
    ["xor eax,eax", "lock cmpxchg QWORD PTR ds:0x10000000,rdi"],
    ["mov x16, #0x10000000", "ldaxr x17, [x16]", "cbnz x17, 0x14", "stlxr w9, x0, [x16]", "cbnz w9, 0x4"],
  ],
  ...(
    [
      ["equal", "je", "eq"],
      ["notEqual", "jne", "ne"],
      ["less", "jl", "lt"],
      ["greaterEqual", "jge", "ge"],
      ["below", "jb", "cc"],
      ["aboveEqual", "jae", "cs"],
    ] as const
  ).map(
    ([condition, x86, arm]): Row => [
      `branch ${condition}`,
      (m) => {
        m.label("back");
        m.branch(condition, "r", "s2", "back");
        m.branchImmediate(condition, "r", -4095n, "ahead");
        m.branchImmediate(condition, "a0", 0x100000000n, "back");
        m.label("ahead");
      },
      [
        "cmp rax,r12",
        `${x86} 0x0`,
        "cmp rax,0xfffffffffffff001",
        `${x86} 0x29`,
        "movabs rcx,0x100000000",
        "cmp rdi,rcx",
        `${x86} 0x0`,
      ],
      [
        "cmp x9, x21",
        `b.${arm} 0x0`,
        "cmn x9, #0xfff",
        `b.${arm} 0x1c`,
        "mov x16, #0x100000000",
        "cmp x0, x16",
        `b.${arm} 0x0`,
      ],
    ],
  ),
  [
    "jump and call",
    (m) => {
      m.label("top");
      m.jump("end");
      m.call("top");
      m.label("end");
    },
    ["jmp 0xa", "call 0x0"],
    ["b 0x8", "bl 0x0"],
  ],
];

function disassemble(tool: string, architecture: readonly string[], code: Uint8Array): string[] {
  if (code.length === 0) return []; // objdump refuses an empty file
  const file = scratch("code");
  writeFileSync(file, code);
  const { stdout, status, stderr } = spawnSync(tool, ["-D", "-w", "-b", "binary", ...architecture, file], {
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return [...stdout.matchAll(/^ *[0-9a-f]+:\t[^\t]+\t(.*)$/gm)].map(([, line]) =>
    (line ?? "")
      .replace(/\s*(?:\/\/|#(?= 0x)).*$/, "")
      .replace(/ +<.*>$/, "")
      .replaceAll("\t", " ")
      .replaceAll(/ +/g, " ")
      .replace(/ b\.(?:lo|ul)\b/, " b.cc")
      .trim(),
  );
}

const emitted = (machine: X86 | Aarch64, emit: (m: Machine) => void): Uint8Array => {
  emit(machine);
  return machine.finish();
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const X86_OBJDUMP = process.arch === "x64" ? which("objdump") : which("x86_64-linux-gnu-objdump");
const ARM_OBJDUMP = process.arch === "arm64" ? which("objdump") : which("aarch64-linux-gnu-objdump");

describe.runIf(
  available("objdump for x86-64 (Debian: binutils) is not installed", X86_OBJDUMP !== undefined),
)("x86-64", () => {
  test.each(ROWS)("%s", (_, emit, x86) => {
    expect(
      disassemble(X86_OBJDUMP ?? "", ["-m", "i386:x86-64", "-M", "intel"], emitted(new X86(), emit)),
    ).toEqual(x86);
  });
});

describe.runIf(
  available(
    "objdump for aarch64 (Debian: binutils-aarch64-linux-gnu) is not installed",
    ARM_OBJDUMP !== undefined,
  ),
)("aarch64", () => {
  test.each(ROWS)("%s", (_, emit, _x86, aarch64) => {
    expect(disassemble(ARM_OBJDUMP ?? "", ["-m", "aarch64"], emitted(new Aarch64(), emit))).toEqual(aarch64);
  });
});

/** Every register in every memory form. */
const all = (m: Machine) => {
  for (const register of REGISTERS) {
    m.immediate(register, 0x1234n);
    for (const width of [1, 2, 4, 8] as const satisfies readonly Width[]) {
      m.load(register, width, register, 8);
      m.store(width, register, 8, register);
    }
  }
};

describe("golden bytes", () => {
  test("a few by hand", () => {
    expect(hex(emitted(new X86(), (m) => m.syscall(60)))).toBe("b83c0000000f05");
    expect(hex(emitted(new X86(), (m) => m.load("r", 8, "s2", 0)))).toBe("498b442400");
    expect(hex(emitted(new Aarch64(), (m) => m.syscall(93)))).toBe("a80b80d2010000d4e90300aa");
    expect(hex(emitted(new Aarch64(), (m) => m.load("r", 8, "s2", 0)))).toBe("a90240f9");
  });

  test("every register in every memory form is distinct and of the right length", () => {
    expect(emitted(new Aarch64(), all).length).toBe(REGISTERS.length * 9 * 4);
    expect(emitted(new X86(), all).length).toBeGreaterThan(REGISTERS.length * 9 * 3);
  });

  test("a label that is missing or defined twice is a bug", () => {
    expect(() => emitted(new X86(), (m) => m.jump("nowhere"))).toThrow("label nowhere is not defined");
    expect(() =>
      emitted(new Aarch64(), (m) => {
        m.label("here");
        m.label("here");
      }),
    ).toThrow("label here is defined twice");
  });
});
