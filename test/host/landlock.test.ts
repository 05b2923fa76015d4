/** Which Landlock there is: asked of the kernel, kept for this boot, and asked again when what is kept cannot be trusted. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  async function withForged(change: (text: string) => string): Promise<number> {
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

test("without a cache every machine is asked", async () => {
  expect((await probeMachine({ cache: null })).landlockAbi).toBe(askKernel(ARCH));
});
