/** The gate as continuous integration calls it: exit statuses, several reports, baselines and waivers, and nothing native loaded. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { messages, sandbox } from "./command.ts";

let cwd = "";
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "sandbox-check-"));
  write("good.json", { extends: "strict", name: "good", description: "strict under another name" });
  write("bad.json", {
    extends: "strict",
    name: "bad",
    description: "strict with a capability",
    capabilities: { bounding: ["CAP_SYS_PTRACE"] },
  });
  write("broken.json", { extends: "strict", name: "broken", description: "broken", recources: {} });
});
afterAll(() => rmSync(cwd, { recursive: true }));

const write = (name: string, value: unknown): void =>
  writeFileSync(join(cwd, name), `${JSON.stringify(value, null, 2)}\n`);
const check = (...args: readonly string[]) => sandbox(["check", "profile", ...args], { cwd });

describe("exit status", () => {
  it("is 0 for what is clean", async () => {
    const { status, stdout, stderr } = await check("strict", "good.json", "judge");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("policy hardened: clean");
  });

  it("is 1 for a violation, found at its line in the file that has it", async () => {
    const { status, stdout } = await check("./bad.json");
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^bad\.json: 1 found\n {2}exposure \d\.\d of 10 \(low\)\n {2}error {3}CAP_SYS_PTRACE is in the bounding set {2}capabilities\n {10}at bad\.json:7:7\n/,
    );
  });

  it.each<readonly [string, readonly string[], RegExp]>([
    ["no profile", [], /profile is missing|NAME\|FILE is missing/],
    [
      "a policy that does not exist",
      ["strict", "--policy", "hardend"],
      /^--policy: .*did you mean "hardened"/,
    ],
    [
      "a format that does not exist",
      ["strict", "--format", "xml"],
      /^--format: "xml" is not a format; expected one of/,
    ],
    ["a file without a format", ["strict", "--output", "x"], /^--output: "x" has no format/],
    [
      "two reports on stdout",
      ["strict", "--format", "json", "--format", "sarif"],
      /^--format: json and sarif cannot both go to stdout/,
    ],
    ["a day that is none", ["strict", "--today", "2026-13-01"], /^--today: "2026-13-01" is not a day/],
    [
      "a missing baseline",
      ["strict", "--baseline", "none.json"],
      /^--baseline: there is no file "none.json"; --update-baseline makes it/,
    ],
    ["missing waivers", ["strict", "--waivers", "none.json"], /^--waivers: there is no file "none.json"/],
    [
      "--update-baseline alone",
      ["strict", "--update-baseline"],
      /^--update-baseline: there is no baseline to update/,
    ],
  ])("is 2 for %s", async (_what, args, expected) => {
    const { status, stdout, stderr } = await check(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(messages(stderr)).toHaveLength(1);
    expect(stderr).toMatch(expected);
  });

  it("is 3 when a profile could not be analysed, though others are clean or bad", async () => {
    for (const args of [
      ["broken.json"],
      ["strict", "broken.json"],
      ["bad.json", "broken.json"],
      ["none.json"],
      ["/dev/zero"],
    ]) {
      const { status, stdout } = await check(...args);
      expect([args, status]).toEqual([args, 3]);
      expect(stdout).toContain("could not be analysed");
    }
  });
});

describe("reports", () => {
  it("are several in one run, with a line on stderr when all go to files", async () => {
    const { status, stdout, stderr } = await check(
      ..."bad.json --format sarif --output out.sarif --format junit --output out.xml --format github".split(
        " ",
      ),
    );
    expect(status).toBe(1);
    expect(stdout).toMatch(/^::error file=bad\.json,line=7,col=7,/);
    expect(stderr).toBe("");
    expect(JSON.parse(readFileSync(join(cwd, "out.sarif"), "utf8"))).toMatchObject({ version: "2.1.0" });
    expect(readFileSync(join(cwd, "out.xml"), "utf8")).toMatch(/^<\?xml/);
    const quiet = await check("bad.json", "--format", "gitlab", "--output", "out.json");
    expect([quiet.stdout, quiet.stderr]).toEqual(["", "policy hardened: 1 error\n"]);
  });

  it("show an inherited finding at the line of the checked file that inherits it", async () => {
    write("mine.json", { extends: "build", name: "mine", description: "build as it is" });
    const { stdout } = await check("mine.json", "--format", "gitlab");
    const issues = JSON.parse(stdout) as { location: { path: string; lines: { begin: number } } }[];
    expect(issues.length).toBeGreaterThan(5);
    for (const { location } of issues) expect(location.path).toBe("mine.json");
    expect(issues.some(({ location }) => location.lines.begin === 2)).toBe(true);
  });
});

describe("exceptions", () => {
  it("a baseline is made, covers, and afterwards only shrinks", async () => {
    const made = await check("bad.json", "--baseline", "known.json", "--update-baseline");
    expect(made.status).toBe(0);
    const text = readFileSync(join(cwd, "known.json"), "utf8");
    expect(text).toContain("CAP_SYS_PTRACE");
    expect((await check("bad.json", "--baseline", "known.json")).status).toBe(0);
    write("worse.json", {
      extends: "./bad.json",
      name: "worse",
      description: "more",
      identity: { uid: 0, allowRoot: true },
    });
    const other = await check("worse.json", "--baseline", "known.json", "--update-baseline");
    expect(other.status).toBe(1);
    expect(readFileSync(join(cwd, "known.json"), "utf8")).toBe(text);
    write("fixed.json", JSON.parse(text.replaceAll("bad.json", "good.json")));
    const stale = await check("good.json", "--baseline", "fixed.json", "--fail-on", "warning");
    expect([stale.status, stale.stdout.includes("baseline-stale")]).toEqual([1, true]);
    expect(
      (await check("good.json", "--baseline", "fixed.json", "--update-baseline", "--fail-on", "note")).status,
    ).toBe(0);
    expect(JSON.parse(readFileSync(join(cwd, "fixed.json"), "utf8"))).toEqual({ findings: [] });
  });

  it("a waiver holds until its day", async () => {
    write("waivers.json", {
      waivers: [
        {
          rule: "capabilities",
          subject: "bad.json",
          object: "CAP_SYS_PTRACE",
          reason: "a debugger runs inside",
          owner: "tools@example.org",
          expires: "2026-12-31",
        },
      ],
    });
    const held = await check("bad.json", "--waivers", "waivers.json", "--today", "2026-12-31");
    expect([held.status, held.stdout.includes("a debugger runs inside")]).toEqual([0, true]);
    const over = await check("bad.json", "--waivers", "waivers.json", "--today", "2027-01-01");
    expect([over.status, over.stdout.includes("waiver-expired")]).toEqual([1, true]);
  });
});

describe("the rules", () => {
  it("are listed and explained", async () => {
    const list = await sandbox(["check", "rules"]);
    expect(list.stdout).toMatch(
      /^own-user-namespace +The user namespace is its own\n +cis-docker-5 error, hardened error\n/,
    );
    const one = await sandbox(["check", "rules", "no-af-alg"]);
    expect(one.stdout).toContain("**What to do.**");
    const none = await sandbox(["check", "rules", "no-af-agl"]);
    expect([none.status, none.stderr]).toEqual([
      2,
      'sandbox check rules: there is no rule "no-af-agl"; did you mean "no-af-alg"?\n',
    ]);
  });
});

describe("checking", () => {
  it("loads nothing native: it works where koffi and libseccomp do not exist", async () => {
    const hook = join(cwd, "hook.cjs");
    const asked = join(cwd, "asked");
    writeFileSync(
      hook,
      `const { appendFileSync } = require("node:fs"); const { Module } = require("node:module");
const refuse = (what) => { appendFileSync(${JSON.stringify(asked)}, what + "\\n"); throw new Error(what + " is not here"); };
process.dlopen = (_, file) => refuse(file);
const resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) => (name === "koffi" ? refuse(name) : resolve(name, ...rest));`,
    );
    // An empty cache: no filter is there already.
    const env = { NODE_OPTIONS: `--require ${hook}`, XDG_CACHE_HOME: join(cwd, "cache") };
    const checked = await sandbox(["check", "profile", "standard"], { cwd, env });
    expect([checked.status, checked.stderr]).toEqual([1, ""]);
    expect(existsSync(asked)).toBe(false);
    // The guard works: compiling a filter that nobody compiled before asks for libseccomp. Root's cache is the machine's.
    const fresh = `/seccomp/defaultErrnoRet=${100 + (process.pid % 3900)}`;
    await sandbox(["plan", "--set", fresh, "--", "/bin/true"], { cwd, env });
    expect(readFileSync(asked, "utf8")).toContain("koffi");
  });
});
