/** Which Landlock there is: asked of the kernel, kept for this boot, and asked again when what is kept cannot be trusted. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { findLandlockAbi } from "../../src/host/landlock.ts";
import { answerOf, askKernel } from "../../src/host/landlock-trial.ts";
import { archOf, probeMachine } from "../../src/host/probe.ts";
import { has, need } from "./needs.ts";

const ARCH = archOf(process.arch);
const base = mkdtempSync(join(tmpdir(), "sandbox-landlock-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let made = 0;
function cacheDirectory(): string {
  const directory = join(base, `${(made += 1)}`);
  mkdirSync(directory, { mode: 0o700 });
  return directory;
}

test("the kernel's answer is that of the system call itself", (context) => {
  need(context, has("/usr/bin/python3"), "python3 is not installed");
  const ask = "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))";
  const answer = Number(execFileSync("python3", ["-c", ask], { encoding: "utf8" }));
  expect(askKernel(ARCH)).toBe(Math.max(0, answer));
});

test("a program that was killed says nothing, but for one that a filter killed for asking", () => {
  expect(answerOf(3, null)).toBe(3);
  expect(answerOf(null, "SIGSYS")).toBe(0);
  expect(answerOf(null, "SIGKILL")).toBe(null);
});

describe("what is kept", () => {
  test("is the answer, in a file that is ours alone", async () => {
    const cache = cacheDirectory();
    expect(await findLandlockAbi(ARCH, { cache })).toBe(askKernel(ARCH));
    const text = readFileSync(join(cache, "landlock-abi"), "utf8");
    expect(text).toMatch(/^sandbox-landlock-1 [0-9a-f-]{36} \S+ \S+ [0-9/]+ \d+\n$/);
  });

  /** Another number in the place of the answer: seen when it was taken from the file. */
  async function withForged(change: (text: string) => string): Promise<number | null> {
    const cache = cacheDirectory();
    await findLandlockAbi(ARCH, { cache });
    const file = join(cache, "landlock-abi");
    writeFileSync(file, change(readFileSync(file, "utf8").replace(/\d+\n$/, "99\n")));
    return findLandlockAbi(ARCH, { cache });
  }

  test("is believed in the same boot, under the same filters", async () => {
    expect(await withForged((text) => text)).toBe(99);
  });

  test.each([
    ["another boot", (text: string) => text.replace(/[0-9a-f]{8}-/, "00000000-")],
    ["another kernel", (text: string) => text.replace(/ \d+\.\d+\S*/, " 1.2.3")],
    ["another filter around us", (text: string) => text.replace(/ (\d+)\//, " 9$1/")],
    ["no number", (text: string) => text.replace("99", "x")],
    ["more than one line", (text: string) => `${text}1\n`],
    ["nothing at all", () => ""],
  ])("of %s is asked again", async (_, change) => {
    expect(await withForged(change)).toBe(askKernel(ARCH));
  });

  test("in a file that others may use is asked again", async () => {
    const cache = cacheDirectory();
    await findLandlockAbi(ARCH, { cache });
    const file = join(cache, "landlock-abi");
    writeFileSync(file, readFileSync(file, "utf8").replace(/\d+\n$/, "99\n"));
    chmodSync(file, 0o644);
    expect(await findLandlockAbi(ARCH, { cache })).toBe(askKernel(ARCH));
  });

  test("is asked again on request, and put right", async () => {
    const cache = cacheDirectory();
    await findLandlockAbi(ARCH, { cache });
    const file = join(cache, "landlock-abi");
    const right = readFileSync(file, "utf8");
    writeFileSync(file, right.replace(/\d+\n$/, "99\n"));
    expect(await findLandlockAbi(ARCH, { cache, renew: true })).toBe(askKernel(ARCH));
    expect(readFileSync(file, "utf8")).toBe(right);
  });
});

describe("around a process of its own", () => {
  const LIBRARY = new URL("../../dist/host/landlock.js", import.meta.url).href;
  const FIND = `import { findLandlockAbi } from ${JSON.stringify(LIBRARY)};
    console.log(await findLandlockAbi(${JSON.stringify(ARCH)}, { cache: process.argv[1] }));`;
  /** Executes the rest of its arguments under one seccomp filter, which answers ENOSYS to the call of that number (0: to none). */
  const FILTERED = `
import ctypes, os, struct, sys
def ins(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
program = ins(0x20, 0, 0, 0) + ins(0x15, 0, 1, int(sys.argv[1]) or 0xffff) + ins(6, 0, 0, 0x00050026) + ins(6, 0, 0, 0x7fff0000)
held = ctypes.create_string_buffer(program)
class Prog(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
prog = Prog(len(program) // 8, ctypes.cast(held, ctypes.c_void_p))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(prog), 0, 0): raise OSError(ctypes.get_errno(), "filter")
os.execvp(sys.argv[2], sys.argv[2:])`;
  const find = (cache: string, ...before: readonly string[]): string => {
    const [program, ...args] = [...before, process.execPath, "--input-type=module", "-e", FIND, cache];
    return execFileSync(program, args, { encoding: "utf8" }).trim();
  };
  const under = (cache: string, refused: number): string =>
    find(cache, "python3", "-c", FILTERED, `${refused}`);

  test("'no Landlock' under a filter is not kept: another filter may let the question through", (context) => {
    need(context, has("/usr/bin/python3"), "python3 is not installed");
    const cache = cacheDirectory();
    expect(under(cache, 444)).toBe("0");
    expect(under(cache, 0)).toBe(`${askKernel(ARCH)}`);
    // Nor believed where it was kept by mistake.
    const file = join(cache, "landlock-abi");
    writeFileSync(file, readFileSync(file, "utf8").replace(/\d+\n$/, "0\n"));
    expect(under(cache, 0)).toBe(`${askKernel(ARCH)}`);
  });

  test("a kernel that cannot be asked has no answer, rather than no Landlock, and nothing is kept", () => {
    const cache = cacheDirectory();
    // No file can be written, so no program can be made.
    expect(find(cache, "/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh")).toBe("null");
    expect(readdirSync(cache)).toEqual([]);
  });
});

test("without a cache every machine is asked", async () => {
  expect((await probeMachine({ cache: null })).landlockAbi).toBe(askKernel(ARCH));
});
