/**
 * What the documents tell people to type works, and prints what they say: as root and as an ordinary user.
 *
 * The `sh` blocks of a document run one after the other in one directory, under the built command. `npm` does nothing there:
 * the tests themselves run after it. docs/cli.md is left out, because test/cli parses its examples where they are written.
 */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { as, cli, environment, need, scratch, USERS, type User } from "../live/harness.ts";
import { documents, examples, pattern, read } from "./markdown.ts";

const SHELL = documents()
  .filter((document) => document !== "docs/cli.md")
  .map((document) => ({ document, run: examples(read(document), (info) => info === "sh") }))
  .filter(({ run }) => run.length > 0);

/** sandbox, npx and npm as the reader has them. */
function commands(user: User, directory: string): string {
  const bin = join(directory, "bin");
  mkdirSync(bin);
  const write = (name: string, text: string): void => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  write("sandbox", `exec '${process.execPath}' '${cli(user)}' "$@"`);
  write("npx", 'exec "$@"');
  write("npm", "exit 0");
  return bin;
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function type(user: User, argv: readonly string[], directory: string, bin: string): Promise<Ended> {
  const plain = environment(directory);
  const [program = "", ...args] = as(user, argv);
  const child = spawn(program, args, {
    cwd: join(directory, "work"),
    env: { ...plain, PATH: `${bin}:${dirname(process.execPath)}:${plain["PATH"]}` },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 15_000,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { status, stdout, stderr };
}

function workIn(user: User): { readonly directory: string; readonly bin: string } {
  const directory = scratch(user);
  const bin = commands(user, directory);
  const work = join(directory, "work");
  mkdirSync(work);
  if (process.getuid?.() === 0 && user === "user") execFileSync("chown", ["-R", "65534:65534", directory]);
  return { directory, bin };
}

describe.each(USERS)("typed by %s", (user) => {
  it.for(SHELL)("the examples of $document", { timeout: 60_000 }, async ({ document, run }, context) => {
    need(context, existsSync("/usr/bin/python3"), "python3 is not installed");
    const { directory, bin } = workIn(user);
    for (const { line, text, output } of run) {
      const ended = await type(
        user,
        ["bash", "-euo", "pipefail", "-c", `exec 2>&1\n${text}`],
        directory,
        bin,
      );
      const where = `${document}:${line}`;
      const printed = ended.stdout;
      const promised = output === null || pattern(output).test(printed) ? printed : output;
      expect({ where, status: ended.status, printed }).toEqual({ where, status: 0, printed: promised });
    }
  });
});

const PROGRAMS = documents().flatMap((document) =>
  examples(read(document), (info) => info === "js run").map((example) => ({ document, ...example })),
);

describe.each(USERS)("run by %s", (user) => {
  it.for(PROGRAMS)("the program at $document:$line", async ({ line, text, output }, context) => {
    need(context, existsSync("/usr/bin/python3"), "python3 is not installed");
    const { directory, bin } = workIn(user);
    const library = join(dirname(dirname(cli(user))), "index.js");
    const file = join(directory, "work", `line-${line}.mjs`);
    // The package is not installed anywhere: its name stands for the built library.
    writeFileSync(file, text.replaceAll('"sandbox-runner"', JSON.stringify(library)));
    chmodSync(file, 0o644);
    const ended = await type(user, [process.execPath, file], directory, bin);
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 0, stderr: "" });
    expect(output).not.toBeNull();
    expect(ended.stdout).toMatch(pattern(output ?? ""));
  });
});
