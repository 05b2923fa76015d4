/** Callers and hosts that are not as one expects: what can work works, the rest is refused in words that help; nothing weakens. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { needRoot } from "../host/needs.ts";
import { as, cli, environment, finish, giveTo, sandbox, scratch, start, tool, USERS } from "./harness.ts";

/** What would retitle a terminal, colour it, and look like a message of its own. */
const ESCAPES = "\u001B]0;owned\u0007\u001B[31m\u009B1m\nsandbox: all is well\u202E";

/** Control characters but line breaks. */
const CONTROLS = /[^\P{Cc}\n]|\u202E/u;

it("a user whom nobody knows, without HOME, is told where a log can be", async (context) => {
  needRoot(context);
  const nobody = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--"];
  const run = async (...args: readonly string[]) => {
    const argv = [...nobody, "env", "-u", "HOME", "XDG_STATE_HOME=", process.execPath, cli("user"), ...args];
    return finish(start(argv, { directory: "/" }));
  };
  const refused = await run("run", "--", "/bin/true");
  expect(refused.code).toBe(125);
  expect(refused.stderr).toMatch(/^default: the audit log has no place: .*; set HOME .*--audit FILE\n$/);
  expect((await run("audit", "verify")).stderr).toBe(refused.stderr);
  expect(await run("run", "--audit", "-", "--", "/bin/echo", "fine")).toMatchObject({
    code: 0,
    stdout: "fine\n",
  });
});

describe.each(USERS)("run by %s", (user) => {
  /** A shell command line before the tool's, which is its `$@`. */
  const after = async (
    shell: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) => {
    const directory = scratch(user);
    const argv = as(user, [
      "/bin/sh",
      "-c",
      `${shell}; exec "$@"`,
      "sh",
      process.execPath,
      cli(user),
      ...args,
    ]);
    return { ...(await finish(start(argv, { directory, env }))), directory };
  };
  const echo = ["run", "--", "/bin/echo", "fine"];

  it("a umask that takes everything away takes nothing that is needed, and gives nothing to others", async () => {
    const ran = await after("umask 777", ["run", "--audit", "log", "--", "/bin/sh", "-c", "umask"]);
    expect(ran).toMatchObject({ code: 0, stdout: "0022\n", stderr: "" });
    expect(statSync(join(ran.directory, "log")).mode & 0o7777).toBe(0o600);
  });

  it.runIf(user === "user")("nor from the directories of its own", async () => {
    const state = await after('umask 777; export XDG_CACHE_HOME="$HOME/cache"', echo);
    expect(state).toMatchObject({ code: 0, stdout: "fine\n", stderr: "" });
    for (const path of ["state", "state/sandbox", "cache", "cache/sandbox"])
      expect(statSync(join(state.directory, path)).mode & 0o7777).toBe(0o700);
  });

  it("its own files never lie below the working directory because HOME is empty or relative", async () => {
    for (const home of ["", "relative"]) {
      const directory = scratch(user);
      const argv = as(user, [process.execPath, cli(user), "run", "--audit", "-", "--", "/bin/echo", "fine"]);
      const env = {
        HOME: home,
        XDG_STATE_HOME: "",
        XDG_CACHE_HOME: "state",
        XDG_RUNTIME_DIR: "",
        TMPDIR: "/tmp",
      };
      const ran = await finish(start(argv, { directory, env }));
      expect(ran).toMatchObject({ code: 0, stdout: "fine\n" });
      expect(readdirSync(directory)).toEqual([]);
    }
  });

  it("where nothing may be executed it says what must be executable", async (context) => {
    needRoot(context);
    const directory = scratch(user);
    const hide = ["/dev/shm", "/run", "/tmp", "/var/tmp"].map(
      (at) => `mount --bind ${at} ${at}; mount -o remount,bind,noexec ${at}`,
    );
    const command = as(user, [process.execPath, cli(user), "run", "--audit", "-", "--", "/bin/true"]);
    const argv = [
      "unshare",
      "--mount",
      "/bin/sh",
      "-ec",
      `${hide.join("; ")}; cd /; exec "$@"`,
      "sh",
      ...command,
    ];
    const ran = await finish(
      start(argv, { directory, env: { TMPDIR: "/tmp", XDG_RUNTIME_DIR: "", XDG_CACHE_HOME: "/tmp" } }),
    );
    expect(ran.code).toBe(125);
    expect(ran.stderr).toMatch(
      /no directory takes the launcher: .*\/tmp.* \(mounted noexec\?\); (point XDG_RUNTIME_DIR|remount)/,
    );
  });

  it("closed standard descriptors are never the payload's way to something else", async () => {
    for (const closed of ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]) {
      const list = ["run", "--audit", "log", "--", "/bin/sh", "-c", "exec /bin/ls /proc/self/fd/ 2>&1"];
      const ran = await after(`exec ${closed}`, list);
      expect(ran.hung).toBe(false);
      // 3 is the directory that ls reads.
      expect(ran.stdout.split("\n").filter((name) => Number(name) > 3)).toEqual([]);
    }
  });

  it("what others wrote reaches no terminal as a command to it, and forges no line", async () => {
    const directory = scratch(user);
    const odd = join(directory, ESCAPES.replace("/", ""));
    mkdirSync(odd);
    chmodSync(odd, 0o755);
    giveTo(user, odd);
    const lines = async (...args: readonly string[]) => (await tool(user, args, { cwd: directory })).stderr;
    const wrong = [
      await lines("run", "--audit", "log", "--", `/${ESCAPES}`),
      await lines("run", "--audit", "log", "--", ESCAPES),
      await lines("run", "--profile", ESCAPES, "--", "/bin/true"),
      await lines("run", "--profile", `./${ESCAPES}`, "--", "/bin/true"),
      await lines("run", "--bind", `/nothing${ESCAPES.replace(":", "")}:/x`, "--", "/bin/true"),
      await lines("run", "--audit", `/nothing/${ESCAPES}`, "--", "/bin/true"),
      await lines("run", "--write", odd.replace("\u202E", "x"), "--", "/bin/true"),
      await lines(`--${ESCAPES}`),
      await lines(ESCAPES),
      await lines("audit", "show", `/nothing/${ESCAPES}`),
      await lines("profile", "show", ESCAPES),
    ];
    for (const text of wrong) {
      expect(text).toMatch(/./);
      expect(text).not.toMatch(CONTROLS);
      expect(text).not.toMatch(/^sandbox: all is well/m);
    }
    const plan = await tool(user, ["plan", "--tmpfs", `/x${ESCAPES.replace(":", "")}`, "--", "/bin/true"]);
    expect(plan.stdout).toContain("owned");
    expect(plan.stdout).not.toMatch(CONTROLS);
    expect(plan.stdout).not.toMatch(/^sandbox all is well/m);
  });

  it("a compiled launcher names a command that is not there without its escapes", async () => {
    const directory = scratch(user);
    const compiled = await tool(user, ["compile", "-q", "-o", "launcher"], { cwd: directory });
    expect(compiled.code).toBe(0);
    const [program = "", ...rest] = as(user, [join(directory, "launcher"), `/${ESCAPES}`]);
    const ran = spawnSync(program, rest, { encoding: "utf8", env: environment(directory), cwd: directory });
    expect(ran.status).toBe(127);
    expect(ran.stderr).toMatch(/^sandbox: \/\?\]0;owned\?\?\[31m.*: not found \(ENOENT\)\n$/);
  });

  it("arguments that are not UTF-8 arrive as they are, or not at all", async () => {
    const directory = scratch(user);
    const bytes = String.raw`$(printf '\377\376')`;
    const through = (args: string) => {
      const [program = "", ...rest] = as(user, [
        "/bin/sh",
        "-c",
        `exec ${args} /usr/bin/printf %s "${bytes}" x`,
      ]);
      return spawnSync(program, rest, { env: environment(directory), cwd: directory });
    };
    const refused = through(`'${process.execPath}' '${cli(user)}' run --`);
    expect(refused.status).toBe(125);
    expect(refused.stdout.length).toBe(0);
    expect(refused.stderr.toString()).toMatch(/^argument 5: .* not UTF-8.*compile -o FILE/);
    expect((await tool(user, ["compile", "-q", "-o", "launcher"], { cwd: directory })).code).toBe(0);
    expect(through("./launcher").stdout).toEqual(Buffer.from([0xff, 0xfe, 0x78]));
    // The replacement character itself is text like any other.
    expect((await sandbox(user, ["/usr/bin/printf", "%s", "\uFFFD"])).stdout).toBe("\uFFFD");
  });
});

describe.each(USERS)("what is the tool's own, run by %s", (user) => {
  const forge = [
    "/bin/sh",
    "-c",
    'for file in "$0"/*; do echo forged > "$file" && echo "$file"; done',
    "/data",
  ];

  it("a payload cannot forge the launchers of later runs: a bind that could is refused, and only that", async () => {
    const home = scratch(user);
    const env = { HOME: home, XDG_CACHE_HOME: "", XDG_STATE_HOME: join(scratch(user), "state") };
    const run = async (flags: readonly string[], more: Readonly<Record<string, string>> = {}) =>
      tool(user, ["run", "-p", "standard", ...flags, "--", ...forge], {
        cwd: home,
        env: { ...env, ...more },
      });
    const cache = user === "root" ? "/var/cache/sandbox" : join(home, ".cache/sandbox");
    expect((await tool(user, ["run", "--", "/bin/true"], { cwd: home, env })).code).toBe(0);
    expect(readdirSync(cache).some((name) => name.startsWith("launch-"))).toBe(true);

    for (const source of [cache, dirname(cache), dirname(dirname(cache))]) {
      const ran = await run(["--bind", `${source}:/data:rw`]);
      expect(ran).toMatchObject({ code: 125, stdout: "" });
      expect(ran.stderr).toMatch(
        /^--bind: .* would be writable inside, and with it .*\/sandbox, .*XDG_CACHE_HOME\)\n$/,
      );
    }
    if (user === "root") return;
    // The same program, where that cache is nobody's any more: this is what was at stake.
    const harmless = await run(["--bind", `${cache}:/data:rw`], { XDG_CACHE_HOME: scratch(user) });
    expect(harmless.code).toBe(0);
    expect(harmless.stdout).toContain("/data/launch-");
  });
});
