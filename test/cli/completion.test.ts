import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { completionScript } from "../../src/cli/completion/script.ts";
import { createProgram } from "../../src/cli/program.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
const script = (shell: (typeof SHELLS)[number]): string =>
  completionScript(
    shell,
    createProgram(() => undefined),
  );
const present = (shell: string): boolean => spawnSync(shell, ["-c", "exit 0"]).status === 0;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-completion-"));
  for (const shell of SHELLS) writeFileSync(join(directory, shell), script(shell));
  writeFileSync(join(directory, "own.json"), "{}");
  writeFileSync(join(directory, "data.txt"), "");
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe("a completion script", () => {
  for (const shell of SHELLS) {
    const missing = process.env["SANDBOX_MUST_WORK"] !== "1" && !present(shell);
    if (missing) console.warn(`skipped: ${shell} is not installed, its completion is not checked`);
    it.skipIf(missing)(`is valid ${shell}`, () => {
      const { status, stderr } = spawnSync(shell, ["-n", join(directory, shell)], { encoding: "utf8" });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    });
  }

  it.each(SHELLS)("for %s knows every command and every long option", (shell) => {
    const text = script(shell);
    for (const command of createProgram(() => undefined).commands) {
      expect(text).toContain(command.name());
      for (const { long } of command.options) expect(text).toContain(long?.slice(2));
    }
  });
});

/** What bash would offer for the last word. */
const complete = (...words: readonly string[]): readonly string[] => {
  const code = `
    sandbox() { printf 'strict\\nstandard\\n'; }
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
    _sandbox
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync(
    "bash",
    ["-c", code, "bash", join(directory, "bash"), "sandbox", ...words],
    {
      encoding: "utf8",
      cwd: directory,
    },
  );
  return stderr === "" ? stdout.split("\n").filter((word) => word !== "") : [stderr];
};

describe("completion in bash", () => {
  it.each<readonly [string, readonly string[], readonly string[]]>([
    ["commands", ["pro"], ["profile"]],
    [
      "commands of a command",
      ["profile", ""],
      [
        "list",
        "show",
        "validate",
        "export",
        "explain",
        "simulate",
        "disasm",
        "diff",
        "prove",
        "divergence",
        "kernels",
        "test",
        "import",
      ],
    ],
    ["options", ["run", "--mem"], ["--memory"]],
    ["options after options with values", ["run", "--memory", "1G", "--pi"], ["--pids"]],
    ["choices", ["run", "--net", ""], ["none", "host"]],
    ["choices after =", ["run", "--net", "=", "h"], ["host"]],
    ["profile names", ["run", "-p", "stri"], ["strict"]],
    ["profile files", ["run", "--profile", "o"], ["own.json"]],
    ["files to validate", ["profile", "validate", "ow"], ["own.json"]],
    ["files after the sandboxed command", ["run", "--", "cat", "da"], ["data.txt"]],
    ["files after the sandboxed command without --", ["run", "cat", "da"], ["data.txt"]],
    ["shells", ["completion", "z"], ["zsh"]],
  ])("offers %s: %j", (_what, words, expected) => {
    expect(complete(...words)).toEqual(expected);
  });

  it("offers programs for the sandboxed command, and none of our options after it", () => {
    expect(complete("run", "--", "bas")).toContain("bash");
    expect(complete("run", "bas")).toContain("bash");
    expect(complete("run", "cat", "--mem")).toEqual([]);
  });
});
