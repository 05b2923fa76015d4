import { describe, expect, it } from "vitest";
import { messages, sandbox } from "./command.ts";

const explain = (...args: readonly string[]) => sandbox(["profile", "explain", ...args]);

describe("sandbox profile explain", () => {
  it("explains a whole profile as text, Markdown and JSON", async () => {
    const text = await explain("strict");
    expect([text.status, text.stderr]).toEqual([0, ""]);
    expect(text.stdout).toMatch(/^strict: For a binary/);
    expect((await explain("strict", "--format", "markdown")).stdout).toMatch(/^# strict\n/);
    expect(JSON.parse((await explain("strict", "--json")).stdout)).toMatchObject({
      name: "strict",
      exposure: { band: "low" },
    });
  });

  it("answers one question, and takes the options that change a profile", async () => {
    const refused = await explain("strict", "--path", "/data/x");
    expect(refused.stdout).toMatch(/^\/data\/x: not there/);
    const bound = await explain("strict", "--bind", "/srv:/data:rw", "--path", "/data/x");
    expect(bound.stdout).toMatch(
      /^\/data\/x: \/srv of the host {2}\(.*\)\n {2}can be read, written, and kept on the host/,
    );
    expect((await explain("strict", "--capability", "sys_admin")).stdout).toMatch(
      /^CAP_SYS_ADMIN can not be had/,
    );
    expect(JSON.parse((await explain("strict", "--syscall", "bpf", "--json")).stdout)).toMatchObject([
      { verdict: "errno(1)" },
      {},
    ]);
  });

  it.each<readonly [readonly string[], RegExp]>([
    [["strict", "--syscall", "opennat"], /^--syscall: "opennat" is not known; did you mean "openat"\?/],
    [
      ["strict", "--capability", "SYS_ADMINN"],
      /^--capability: "CAP_SYS_ADMINN" is not known; did you mean "CAP_SYS_ADMIN"\?/,
    ],
    [["strict", "--path", "tmp"], /^--path: "tmp" is not an absolute path/],
    [["strict", "--path", "/", "--syscall", "read"], /^--syscall: one question at a time/],
    [["strict", "--path", "/", "--format", "markdown"], /^--format: an answer is text or JSON/],
  ])("%j is wrong use", async (args, expected) => {
    const { status, stdout, stderr } = await explain(...args);
    expect([status, stdout, messages(stderr).length]).toEqual([2, "", 1]);
    expect(stderr).toMatch(expected);
  });
});
