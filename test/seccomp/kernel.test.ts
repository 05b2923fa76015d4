/**
 * The running kernel as the judge: filters are installed in a throw-away process, calls are made, and what came back is compared
 * with what our evaluator says. The calls are ones without an implementation, so that an allowed one does nothing but ENOSYS.
 */
import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AUDIT_ARCH } from "../../src/compile/seccomp/abi.ts";
import { type Backend, OWN_BACKEND } from "../../src/compile/seccomp/compile.ts";
import { decode } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call, ENOSYS, RET } from "../../src/compile/seccomp/ir.ts";
import { compileFilter } from "../../src/kernel/filter.ts";
import { libseccompBackend } from "../../src/kernel/libseccomp.ts";
import { DRIVER, perform, skip } from "./driver.ts";
import { callsNear, policies } from "./policies.ts";
import { shipped, skipUnless, target, valueOf } from "./support.ts";

const native = process.arch === "x64";
const library = native ? libseccompBackend() : null;
const backends: readonly Backend[] = library === null ? [OWN_BACKEND] : [OWN_BACKEND, library];

describe.skipIf(skip)("the kernel answers as the evaluator says", () => {
  test.each(backends)("random filters of $name", (backend) => {
    const cases = policies
      .filter(({ fallback }) => fallback === RET.allow)
      .chain((policy) =>
        fc.tuple(fc.constant(policy), fc.array(callsNear(policy), { minLength: 200, maxLength: 200 })),
      );
    fc.assert(
      fc.property(cases, ([policy, plain]) => {
        const bytes = backend.emit(policy);
        if (!(bytes instanceof Uint8Array)) return;
        const decoded = decode(bytes);
        if (!decoded.ok) throw new Error(decoded.reason);
        const calls = plain.filter(({ nr }) => nr >= 180 && nr <= 185);
        const result = perform(
          bytes,
          calls.map(({ nr, args }) => [nr, ...args] as const),
        );
        expect(result.stderr).toBe("");
        const expected = calls.map(({ nr, args }) => {
          const verdict = evaluate(decoded.bpf, call(AUDIT_ARCH.x86_64, nr, args));
          return (verdict & 0xffff0000) >>> 0 === RET.errno ? verdict & 0xffff : ENOSYS;
        });
        expect(result.stdout.trim().split(" ").map(Number)).toEqual(expected);
      }),
      { numRuns: 12, seed: 4 },
    );
  });
});

/** One way in that needs no libc: machine code in executable memory. */
const INT80 = String.raw`
import ctypes, mmap
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))  # mov eax, 20 (getpid of i386); int 0x80; ret
enter = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
`;

describe.skipIf(skip)("strict in the kernel", () => {
  const compiled = compileFilter(shipped("strict"), target(), { cache: null });
  const under = async (code: string, before = "") => {
    const filter = valueOf(await compiled);
    const driver = DRIVER.replace('print(" ".join(out))', code).replace(
      "import ctypes, sys",
      `import ctypes, sys\n${before}`,
    );
    return spawnSync("python3", ["-c", driver], {
      input: `${Buffer.from(filter.bytes).toString("hex")}\n`,
      encoding: "utf8",
      timeout: 10_000,
    });
  };
  const CALL = (nr: number, ...args: readonly (number | string)[]) =>
    `libc.syscall(${[nr, ...args, 0, 0, 0, 0, 0, 0].slice(0, 7).join(", ")}); print(ctypes.get_errno())`;

  test.each([
    ["unshare(CLONE_NEWUSER)", CALL(272, 0x10000000), 1],
    ["clone(CLONE_NEWUSER | SIGCHLD)", CALL(56, 0x10000011), 1],
    ["clone3", CALL(435, 0, 0), 38],
    ["mount", CALL(165), 1],
    ["bpf", CALL(321), 1],
    ["io_uring_setup", CALL(425), 1],
    ["keyctl", CALL(250), 1],
    ["socket(AF_ALG)", CALL(41, 38, 5, 0), 97],
    ["socket(AF_NETLINK)", CALL(41, 16, 3, 0), 97],
    ["socket(AF_PACKET)", CALL(41, 17, 3, 0), 97],
    ["ioctl(TIOCSTI)", CALL(16, 0, 0x5412), 1],
    ["ioctl(TIOCSTI + 2^32)", CALL(16, 0, "0x100005412"), 1],
    ["ioctl(TIOCLINUX)", CALL(16, 0, 0x541c), 1],
    ["personality(ADDR_NO_RANDOMIZE)", CALL(135, 0x40000), 1],
    ["ptrace(PTRACE_TRACEME)", CALL(101, 0), 1],
    ["a call newer than known", CALL(480), 38],
    ["a number from the far end", CALL(0x3fffffff), 38],
    ["getpid", CALL(39), 0],
  ])("%s", async (_, code, expected) => {
    const result = await under(code);
    expect(result.stderr).toBe("");
    expect(result.stdout.trim()).toBe(String(expected));
  });

  test("an x32 call kills", async () => {
    const result = await under(CALL(0x40000000 + 39));
    expect(result.signal).toBe("SIGSYS");
  });

  const i386 = spawnSync("python3", ["-c", `${INT80}\nprint(enter())`], { encoding: "utf8" });
  test.skipIf(skipUnless(Number(i386.stdout) > 0, "this kernel serves no i386 calls"))(
    "an i386 call through int 0x80 kills",
    async () => {
      const result = await under("enter()", INT80);
      expect(result.stderr).toBe("");
      expect(result.signal).toBe("SIGSYS");
    },
  );
});
