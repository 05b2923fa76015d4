/** The toolkit needs Node and nothing else: in a process that is not on Linux every command of it works, and a run says in one line what it needs. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXPORT_FORMATS } from "../../src/cli/profile-export.ts";
import { COMMAND } from "../cli/command.ts";

const ELSEWHERE = fileURLToPath(new URL("elsewhere.cjs", import.meta.url));
const TOOLKIT = new URL("../../dist/toolkit.js", import.meta.url).href;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-elsewhere-"));
  const engine = {
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW" }],
  };
  const config = {
    ociVersion: "1.0.2",
    root: { path: "rootfs" },
    linux: { namespaces: ["mount", "pid"].map((type) => ({ type })), seccomp: engine },
  };
  const tests = { profile: "strict", tests: [{ call: "bpf", expect: "deny" }] };
  for (const [name, document] of Object.entries({ engine, config, tests }))
    writeFileSync(join(directory, `${name}.json`), JSON.stringify(document));
});
afterAll(() => rmSync(directory, { recursive: true }));

const node = (...args: readonly string[]) => {
  const env = { PATH: "/nowhere", HOME: directory };
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--require", ELSEWHERE, ...args], {
    cwd: directory,
    env,
    encoding: "utf8",
    timeout: 30_000,
  });
  return { status, stdout, stderr };
};

describe("elsewhere than on Linux", { timeout: 60_000 }, () => {
  test.each<readonly [status: number, ...args: readonly string[]]>([
    [0, "profile", "list"],
    [0, "profile", "show", "strict", "--resolved"],
    [0, "profile", "explain", "standard"],
    [0, "profile", "explain", "config.json", "--format", "markdown"],
    [0, "profile", "explain", "strict", "--syscall", "openat"],
    [0, "profile", "simulate", "strict", "openat", "0xffffff9c", "--all", "--trace"],
    [0, "profile", "disasm", "engine.json"],
    [0, "profile", "diff", "strict", "standard"],
    [0, "profile", "prove", "strict", "--at-most", "standard"],
    [0, "profile", "divergence", "engine.json"],
    [1, "profile", "kernels", "engine.json", "--from", "6.1", "--to", "6.12"],
    [0, "profile", "test", "tests.json"],
    [0, "profile", "import", "config.json"],
    [0, "check", "profile", "strict", "--format", "sarif"],
    [1, "check", "profile", "build"],
    [0, "check", "rules"],
    [3, "check", "profile", "engine.json"],
    [0, "profile", "export", "strict", "--to", "systemd"],
  ])("status %i of sandbox %s %s %s", (status, ...args) => {
    const ended = node(COMMAND, ...(args as string[]));
    expect([ended.status, ended.stderr.match(/ELSEWHERE.*|bug in.*/)?.[0]]).toEqual([status, undefined]);
    expect(ended.stdout).not.toBe("");
  });

  test("the library loads, proves and exports to every format", () => {
    const program = `
      import { exportProfile, profileFiles, provePolicies } from ${JSON.stringify(TOOLKIT)};
      const question = { cwd: "/", capabilities: null, kernel: { major: 6, minor: 1 }, machines: ["x86_64"] };
      const proof = provePolicies({ ...question, first: "strict", second: "standard" }, "at-most", profileFiles());
      console.log(proof.value.calls[0].result.kind);
      for (const format of ${JSON.stringify(EXPORT_FORMATS)})
        console.log(exportProfile({ profile: "strict", overrides: [], cwd: "/" }, format).ok);`;
    const ended = node("--input-type=module", "--eval", program);
    expect([ended.status, ended.stdout, ended.stderr]).toEqual([
      0,
      ["proved", ...EXPORT_FORMATS.map(() => "true"), ""].join("\n"),
      "",
    ]);
  });

  test.each(["run", "plan"])(
    "sandbox %s says that it needs Linux, in one line, and touches nothing",
    (command) => {
      const ended = node(COMMAND, command, "--", "true");
      expect([ended.status, ended.stdout, ended.stderr]).toEqual([
        125,
        "",
        "sandbox: a sandbox needs a Linux kernel, and this is darwin; here sandbox profile, check and image work\n",
      ]);
    },
  );

  test("the guard itself works: what loads native code or looks at the kernel is caught", () => {
    const koffi = pathToFileURL(fileURLToPath(import.meta.resolve("koffi"))).href;
    expect(node("--input-type=module", "--eval", `import ${JSON.stringify(koffi)}`).status).not.toBe(0);
    expect(node("--eval", 'require("node:fs").readFileSync("/proc/self/status")').status).toBe(99);
    expect(node("--eval", 'require("node:child_process").spawn("true")').status).toBe(99);
  });
});
