/**
 * The README's comparison says what these programs really do: each column is measured where the program is installed in the
 * version that the table names. Peers judge nothing of ours, so a missing one is skipped also where everything must work.
 */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cli, environment, scratch } from "../live/harness.ts";
import { read } from "./markdown.ts";

const LOOK = `
test -e /proc/self/fd/9 && echo descriptor=open || echo descriptor=closed
test -n "$CALLERS" && echo variable=passed || echo variable="not passed"
for name in user time; do echo "$name=$(readlink /proc/self/ns/$name)"; done
read -r _ host _ < /proc/self/uid_map; echo "host=$host"
if cat /etc/shadow > /dev/null 2>&1; then echo shadow=readable; elif test -e /etc/shadow; then echo shadow=closed; else echo shadow="not there"; fi
while read -r key value; do test "$key" = Seccomp: && echo "seccomp=$value"; done < /proc/self/status
unshare --user true 2> /dev/null && echo nested=made || echo nested=refused
test -e /proc/kallsyms && test -e /proc/meminfo && echo facts=there || echo facts="not there"
python3 -c 'import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 1, 0)
print("uring=" + ("refused" if ctypes.get_errno() == 1 else "reached"))'
`;

/** What the rows of the table are called, and how each is told from the answers. */
const ROWS: readonly (readonly [label: string, cell: (answers: ReadonlyMap<string, string>) => string])[] = [
  ["an open descriptor 9 of the caller", (answers) => answers.get("descriptor") ?? ""],
  ["an environment variable of the caller", (answers) => answers.get("variable") ?? ""],
  ["user namespace", (answers) => own(answers, "user")],
  ["time namespace", (answers) => own(answers, "time")],
  [
    "run by root, the payload's uid on the host",
    (answers) =>
      Number(answers.get("host")) > 65536 ? "an id that owns nothing" : (answers.get("host") ?? ""),
  ],
  ["run by root, `/etc/shadow`", (answers) => answers.get("shadow") ?? ""],
  ["seccomp filter", (answers) => (answers.get("seccomp") === "2" ? "on" : "off")],
  ["a nested user namespace", (answers) => answers.get("nested") ?? ""],
  ["`io_uring_setup`", (answers) => answers.get("uring") ?? ""],
  ["`/proc/kallsyms`, `/proc/meminfo`", (answers) => answers.get("facts") ?? ""],
];

function own(answers: ReadonlyMap<string, string>, name: string): string {
  return answers.get(name) === readlinkSync(`/proc/self/ns/${name}`) ? "shared" : "own";
}

/** The flags below the table, as an argument vector without CMD. */
function flags(program: string): readonly string[] {
  const line = read("README.md")
    .split("\n")
    .find((each) => each.startsWith(`${program} `) && each.endsWith(" CMD"));
  return (line ?? "").split(" ").slice(1, -1);
}

function table(): ReadonlyMap<string, readonly string[]> {
  const [, text = ""] = /<!-- peers -->\n([\s\S]*?)<!-- end of peers -->/.exec(read("README.md")) ?? [];
  return new Map(
    text
      .trim()
      .split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()))
      .map(([, label = "", ...cells]) => [label, cells.slice(0, -1)]),
  );
}

const PEERS = [
  { column: 0, title: "Sandbox, strict", program: null, version: null },
  { column: 1, title: "bubblewrap 0.8.0", program: "bwrap", version: "bubblewrap 0.8.0" },
  { column: 2, title: "firejail 0.9.72", program: "firejail", version: "firejail version 0.9.72" },
] as const;

function installedVersion(program: string): string | null {
  try {
    return (
      execFileSync(program, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split(
        "\n",
      )[0] ?? ""
    );
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

describe("the comparison of the README", () => {
  it.for(PEERS)("says what $title does", async ({ column, title, program, version }, context) => {
    if (process.getuid?.() !== 0) context.skip("two rows are about root, and this is not root");
    if (process.arch !== "x64") context.skip("the number of io_uring_setup is that of x86-64");
    if (program !== null && installedVersion(program) !== version)
      context.skip(`${program} is not installed in the version of the table`);
    const directory = scratch("root");
    const prefix =
      program === null
        ? [process.execPath, cli("root"), "run", "--audit", join(directory, "audit.jsonl"), "--"]
        : [program, ...flags(program)];
    const [command, ...args] = [...prefix, "sh", "-c", LOOK];
    const leaked = openSync("/etc/hostname", "r");
    const stdio = [
      "ignore",
      "pipe",
      "pipe",
      ...Array.from({ length: 6 }, () => "ignore" as const),
      leaked,
    ] as const;
    const child = spawn(command, args, {
      cwd: "/",
      env: { ...environment(directory), CALLERS: "secret" },
      stdio: [...stdio],
      timeout: 15_000,
      killSignal: "SIGKILL",
    });
    closeSync(leaked);
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    child.stderr?.resume();
    await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const answers = new Map(
      text.split("\n").map((line) => {
        const [name = "", value = ""] = line.split("=");
        return [name, value] as const;
      }),
    );
    expect(answers.size).toBeGreaterThan(ROWS.length);
    const rows = table();
    expect(rows.get("")?.[column]).toBe(title);
    expect(ROWS.map(([label]) => `${label}: ${rows.get(label)?.[column]}`)).toEqual(
      ROWS.map(([label, cell]) => `${label}: ${cell(answers)}`),
    );
  });
});
