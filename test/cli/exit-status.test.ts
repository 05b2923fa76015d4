import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXPORT_FORMATS } from "../../src/cli/profile-export.ts";
import { EXPORTERS } from "../../src/export.ts";
import { examine } from "../../src/host/doctor.ts";
import { probeHost } from "../../src/host/probe.ts";
import { messages, sandbox } from "./command.ts";

const strict = examine(probeHost()).profiles.strict;
const mustWork = process.env["SANDBOX_MUST_WORK"] === "1";
if (!strict.runs && !mustWork)
  console.warn(`skipped: strict does not run here: ${strict.blockedBy.join(", ")}`);

let directory: string;
let log: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-cli-"));
  log = join(directory, "audit.jsonl");
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
const at = (name: string): string => join(directory, name);
const run = (...args: readonly string[]) => sandbox(["run", "--audit", log, ...args], { cwd: directory });

describe.skipIf(!strict.runs && !mustWork)("the exit status of run", () => {
  it.each<readonly [string, readonly string[], number]>([
    ["the payload's own", ["sh", "-c", "exit 0"], 0],
    ["the payload's own", ["sh", "-c", "exit 7"], 7],
    ["the payload's own, 255", ["sh", "-c", "exit 255"], 255],
    ["128 + SIGTERM", ["sh", "-c", "kill -TERM $$"], 143],
    ["128 + SIGKILL", ["sh", "-c", "kill -KILL $$"], 137],
    ["126 for what is not executable", ["/etc/passwd"], 126],
    ["127 for a name that is not there", ["no-such-program"], 127],
    ["127 for a path that is not there", ["/usr/bin/no-such-program"], 127],
  ])("is %s: %j", async (_what, argv, expected) => {
    const { status, stderr } = await run("--", ...argv);
    expect({ status, stack: stderr.includes("    at ") }).toEqual({ status: expected, stack: false });
  });

  it("is 124 at the wall-time limit, which is told on stderr", async () => {
    const { status, stderr } = await run("--timeout", "200ms", "--", "sleep", "10");
    expect({ status, stderr }).toEqual({
      status: 124,
      stderr: "sandbox: wall-time limit of 200 ms reached\n",
    });
  });

  it("is 124 at the wall-time limit, and --quiet tells nothing", async () => {
    const { status, stderr } = await run("--quiet", "--timeout", "200ms", "--", "sleep", "10");
    expect({ status, stderr }).toEqual({ status: 124, stderr: "" });
  });

  it("comes with the payload's own streams, untouched", async () => {
    const ended = await sandbox(["run", "--audit", log, "--", "sh", "-c", "cat; echo problem >&2"], {
      input: "line\n",
    });
    expect(ended).toEqual({ status: 0, stdout: "line\n", stderr: "problem\n" });
  });

  it("is in the report with the outcome", async () => {
    const { status } = await run("--report", at("report.json"), "--", "sh", "-c", "exit 3");
    expect(status).toBe(3);
    expect(JSON.parse(readFileSync(at("report.json"), "utf8"))).toMatchObject({
      exitStatus: 3,
      exitCode: 3,
      signal: null,
      reason: "exited",
      launchError: null,
    });
  });

  it("leaves options after the command to the command", async () => {
    const { stdout } = await run("echo", "--quiet", "-p", "--", "x");
    expect(stdout).toBe("--quiet -p -- x\n");
  });

  it("passes flags into the sandbox", async () => {
    const { stdout } = await run(
      "-e",
      "COLOUR=deep blue",
      "--hostname",
      "box",
      "--uid",
      "4242",
      "--workdir",
      "/tmp",
      "--",
      "sh",
      "-c",
      'echo "$COLOUR"; uname -n; id -u; pwd',
    );
    expect(stdout).toBe("deep blue\nbox\n4242\n/tmp\n");
  });

  it("of a compiled launcher is the payload's, without Node", async () => {
    const launcher = at("launcher");
    const { status } = await sandbox(["compile", "-q", "-o", launcher, "--", "/bin/sh", "-c"], {
      cwd: directory,
    });
    expect(status).toBe(0);
    const { spawnSync } = await import("node:child_process");
    const ended = spawnSync(launcher, ["echo hello; exit 5"], { env: {}, encoding: "utf8" });
    expect({ status: ended.status, stdout: ended.stdout }).toEqual({ status: 5, stdout: "hello\n" });
  });
});

describe("wrong arguments", () => {
  it.each<readonly [readonly string[], number, readonly string[]]>([
    [["run"], 125, ["sandbox run: no command was given; for example: sandbox run -- /usr/bin/id"]],
    [
      ["run", "--memry", "1", "--", "x"],
      125,
      ["--memry: is not an option here; did you mean --memory?; options of the command itself come after --"],
    ],
    [["run", "--memory"], 125, ["--memory: needs a value; expected SIZE"]],
    [["rnu", "--", "x"], 125, ['sandbox rnu: "rnu" is not a command; did you mean run?']],
    [["profile", "validate"], 2, ["sandbox profile: FILE is missing"]],
    [["compile"], 125, ["--output: is missing; expected -o FILE"]],
  ])("%j end with %i", async (args, expected, lines) => {
    const { status, stdout, stderr } = await sandbox(args);
    expect({ status, stdout, lines: messages(stderr) }).toEqual({ status: expected, stdout: "", lines });
  });

  it("and a wrong profile are reported together, one line each, and run nothing", async () => {
    const { status, stdout, stderr } = await sandbox([
      "run",
      "--memory",
      "lots",
      "--uid",
      "4294967295",
      "--set",
      "/resources/pids=-5",
      "--bind",
      "a:b",
      "--",
      "echo",
      "ran",
    ]);
    expect({ status, stdout }).toEqual({ status: 125, stdout: "" });
    expect(messages(stderr).map((line) => line.split(":")[0])).toEqual([
      "--memory",
      "--uid",
      "--bind",
      "--set",
    ]);
  });

  it("are in the report too", async () => {
    const { status } = await run("--report", at("refused.json"), "--memory", "lots", "--", "true");
    expect(status).toBe(125);
    expect(JSON.parse(readFileSync(at("refused.json"), "utf8"))).toMatchObject({
      exitStatus: 125,
      problems: [{ kind: "flag-invalid", where: { kind: "flag", flag: "--memory" } }],
    });
  });

  it("of commands that run nothing end with 2", async () => {
    for (const name of ["profile", "audit", "doctor", "completion"]) {
      // oxlint-disable-next-line no-await-in-loop -- one at a time is kinder to a small machine
      const { status } = await sandbox([name, "--no-such-option"]);
      expect([name, status]).toEqual([name, 2]);
    }
  });

  it("never let compile replace a directory", async () => {
    const { status, stderr } = await sandbox(["compile", "-o", directory, "--", "true"]);
    expect({ status, kept: existsSync(directory) }).toEqual({ status: 125, kept: true });
    expect(stderr).toBe(
      `--output: ${directory} cannot be written (EISDIR); expected a file in a writable directory\n`,
    );
  });
});

describe.skipIf(!strict.runs && !mustWork)("the audit log of a run", () => {
  it("verifies, shows what failed, and ends with 1 once a line was changed", async () => {
    const own = at("own.jsonl");
    const args = ["run", "--audit", own, "--", "sh", "-c"];
    expect(await sandbox([...args, "exit 3"])).toMatchObject({ status: 3 });
    expect(await sandbox([...args, "exit 0"])).toMatchObject({ status: 0 });
    expect(await sandbox(["audit", "verify", own])).toMatchObject({ status: 0, stderr: "" });

    const failed = await sandbox(["audit", "show", "--failed", own]);
    expect(failed.stdout).toContain('["sh","-c","exit 3"]');
    expect(failed.stdout).not.toContain('["sh","-c","exit 0"]');

    const tail = await sandbox(["audit", "tail", "--no-follow", "--json", "-n", "2", own]);
    const kinds = messages(tail.stdout).map((line) => /"kind":"([^"]*)"/.exec(line)?.[1]);
    expect(kinds).toEqual(["outcome", "run-end"]);

    writeFileSync(own, readFileSync(own, "utf8").replace('"exit 3"', '"exit 4"'));
    const changed = await sandbox(["audit", "verify", own]);
    expect({ status: changed.status, stdout: changed.stdout }).toEqual({ status: 1, stdout: "" });
    expect(changed.stderr.startsWith(`${own}:1: changed: `)).toBe(true);
  });

  it("is not there: 1; asked for wrongly: 2", async () => {
    expect(await sandbox(["audit", "verify", at("none.jsonl")])).toMatchObject({ status: 1 });
    expect(await sandbox(["audit", "tail", "-n", "x"])).toMatchObject({ status: 2 });
  });
});

describe("profile validate", () => {
  it("ends with 0 for what is fine, 1 for problems with a line each, and reads every file", async () => {
    writeFileSync(at("good.json"), JSON.stringify({ extends: "strict" }));
    writeFileSync(
      at("bad.json"),
      '{\n  "extends": "strict",\n  "memry": 1,\n  "resources": { "pids": "many" }\n}\n',
    );
    const good = await sandbox(["profile", "validate", "good.json"], { cwd: directory });
    expect(good).toEqual({ status: 0, stdout: "good.json: fine\n", stderr: "" });
    const both = await sandbox(["profile", "validate", "bad.json", "good.json"], { cwd: directory });
    expect({ status: both.status, stdout: both.stdout }).toEqual({ status: 1, stdout: "good.json: fine\n" });
    expect(messages(both.stderr).map((line) => /^\S*bad\.json:\d+:\d+ \//.test(line))).toEqual([true, true]);
  });
});

describe("profile export", () => {
  it("prints policy of every format, changed by the options that change the profile", {
    timeout: 120_000,
  }, async () => {
    expect([...EXPORT_FORMATS].toSorted()).toEqual(Object.keys(EXPORTERS).toSorted());
    const bind = ["--bind", "/srv/data:/data"];
    for (const format of EXPORT_FORMATS) {
      const plain = await sandbox(["profile", "export", "strict", "--to", format, "--complete"]);
      const changed = await sandbox(["profile", "export", "strict", "--to", format, ...bind, "--quiet"]);
      expect([changed.status, changed.stderr]).toEqual([0, ""]);
      expect(plain.stdout).not.toContain("/srv/data");
      // Only the whole of a profile has mounts.
      expect([format, changed.stdout.includes("/srv/data")]).toEqual([format, format !== "docker-seccomp"]);
      const left = messages(plain.stderr);
      expect(left.filter((line) => !/^not carried: \/[\w/]+: \S/.test(line))).toEqual([]);
      expect([format, plain.status]).toEqual([format, left.length > 0 ? 1 : 0]);
    }
  });

  it("without a known format is wrong use; of a profile that is not there, every problem", async () => {
    for (const args of [["strict"], ["strict", "--to", "prose"]])
      expect(await sandbox(["profile", "export", ...args])).toMatchObject({ status: 2, stdout: "" });
    const wrong = await sandbox(["profile", "export", "strikt", "--to", "selinux", "--memory", "much"]);
    expect({ status: wrong.status, lines: messages(wrong.stderr).length }).toEqual({ status: 1, lines: 2 });
  });
});

describe("output", () => {
  it("has no colour in a pipe, colour when forced, and the same words", async () => {
    const plain = await sandbox(["doctor"]);
    const forced = await sandbox(["doctor"], { env: { FORCE_COLOR: "1" } });
    const none = await sandbox(["doctor"], { env: { NO_COLOR: "1" } });
    expect(stripVTControlCharacters(plain.stdout)).toBe(plain.stdout);
    expect(none.stdout).toBe(plain.stdout);
    expect(forced.stdout).not.toBe(plain.stdout);
    expect(stripVTControlCharacters(forced.stdout)).toBe(plain.stdout);
  });

  it("to a reader that went away ends quietly", async () => {
    const { spawnSync } = await import("node:child_process");
    const { COMMAND } = await import("./command.ts");
    const script = `"$0" "$1" plan -- /bin/true | true; echo "\${PIPESTATUS[0]}"`;
    const ended = spawnSync("bash", ["-c", script, process.execPath, COMMAND], { encoding: "utf8" });
    expect({ stderr: ended.stderr, status: ended.stdout }).toEqual({ stderr: "", status: "141\n" });
  });

  it("of --version is one line", async () => {
    const { status, stdout, stderr } = await sandbox(["--version"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^sandbox \d+\.\d+\.\d+\n$/);
  });

  it("of --help goes to stdout, and to stderr when a command is missing", async () => {
    expect(await sandbox(["run", "--help"])).toMatchObject({ status: 0, stderr: "" });
    expect(await sandbox([])).toMatchObject({ status: 125, stdout: "" });
    expect(await sandbox(["profile"])).toMatchObject({ status: 2, stdout: "" });
  });
});
