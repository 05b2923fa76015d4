import { describe, expect, it } from "vitest";
import { type GivenFlag, readOverrides, splitColons } from "../../src/cli/overrides.ts";
import { formatProblem } from "../../src/problems.ts";

const CWD = "/home/ann/work";
const given = (flag: string, value: string): GivenFlag => ({ flag, value });

/** The changes of one flag, or its message. A result that mixes the two, or says another source, shows as an error text. */
function read(flag: string, value: string): readonly (readonly [string, unknown])[] | string {
  const { overrides, problems } = readOverrides([given(flag, value)], CWD);
  const [problem] = problems;
  if (problem === undefined) {
    const strange = overrides.find(({ source }) => source.kind !== "flag" || source.flag !== flag);
    return strange === undefined
      ? overrides.map(({ pointer, value: set }) => [pointer, set] as const)
      : `${strange.pointer} has another source`;
  }
  if (problems.length > 1 || overrides.length > 0) return "more than one problem, or overrides beside it";
  return problem.kind === "flag-invalid" ? formatProblem(problem) : `a ${problem.kind}`;
}

const bind = (source: string, target: string, mode: string) =>
  [["/filesystem/mounts/-", { type: "bind", source, target, options: [mode] }]] as const;

describe("a flag changes the field of the profile that it names", () => {
  it.each<readonly [string, string, readonly (readonly [string, unknown])[]]>([
    ["--rootfs", "/srv/root", [["/filesystem/root", { type: "directory", path: "/srv/root" }]]],
    ["--rootfs", "root fs", [["/filesystem/root", { type: "directory", path: "/home/ann/work/root fs" }]]],
    ["--write", "none", [["/filesystem/write", "none"]]],
    ["--write", "ephemeral", [["/filesystem/write", "ephemeral"]]],
    ["--write", "./none", [["/filesystem/write", { directory: "/home/ann/work/none" }]]],
    ["--write", "../kept", [["/filesystem/write", { directory: "/home/ann/kept" }]]],
    ["--bind", "/data", bind("/data", "/data", "ro")],
    ["--bind", "data", bind("/home/ann/work/data", "/home/ann/work/data", "ro")],
    ["--bind", ".", bind(CWD, CWD, "ro")],
    ["--bind", "/data:rw", bind("/data", "/data", "rw")],
    ["--bind", "/data:/in", bind("/data", "/in", "ro")],
    ["--bind", "my data:/in:rw", bind("/home/ann/work/my data", "/in", "rw")],
    ["--bind", "/data:/in:ro", bind("/data", "/in", "ro")],
    ["--bind", "/data:/in/../out/", bind("/data", "/out", "ro")],
    ["--bind", String.raw`/a\:b:/c\:d:rw`, bind("/a:b", "/c:d", "rw")],
    ["--bind", String.raw`/a\\:/c`, bind("/a\\", "/c", "ro")],
    ["--bind", String.raw`/a\b`, bind(String.raw`/a\b`, String.raw`/a\b`, "ro")],
    ["--bind", "ro", bind("/home/ann/work/ro", "/home/ann/work/ro", "ro")],
    ["--tmpfs", "/scratch", [["/filesystem/mounts/-", { type: "tmpfs", target: "/scratch" }]]],
    [
      "--tmpfs",
      "/scratch:64M",
      [["/filesystem/mounts/-", { type: "tmpfs", target: "/scratch", size: "64M" }]],
    ],
    ["--env", "LANG", [["/environment/pass/-", "LANG"]]],
    ["--env", "A=b=c", [["/environment/set/A", "b=c"]]],
    ["--env", "A=", [["/environment/set/A", ""]]],
    ["--env", "a/b~c=1", [["/environment/set/a~1b~0c", "1"]]],
    ["--workdir", "/tmp", [["/process/workdir", "/tmp"]]],
    ["--workdir", "sub", [["/process/workdir", "/home/ann/work/sub"]]],
    ["--hostname", "box", [["/identity/hostname", "box"]]],
    ["--uid", "0", [["/identity/uid", 0]]],
    ["--uid", "4294967294", [["/identity/uid", 4_294_967_294]]],
    ["--gid", "1000", [["/identity/gid", 1000]]],
    [
      "--net",
      "none",
      [
        ["/network/mode", "none"],
        ["/namespaces/network", true],
      ],
    ],
    [
      "--net",
      "host",
      [
        ["/network/mode", "host"],
        ["/namespaces/network", false],
      ],
    ],
    ["--memory", "256M", [["/resources/memory", "256M"]]],
    [
      "--memory",
      "none",
      [
        ["/resources/memory", null],
        ["/resources/swap", null],
      ],
    ],
    ["--cpus", "0.5", [["/resources/cpus", 0.5]]],
    ["--pids", "64", [["/resources/pids", 64]]],
    ["--timeout", "10s", [["/resources/wallTime", "10s"]]],
    ["--timeout", "500ms", [["/resources/wallTime", "500ms"]]],
    ["--tty", "never", [["/process/terminal", "never"]]],
    ["--set", "/resources/openFiles=64", [["/resources/openFiles", 64]]],
    ["--set", '/identity/hostname="a=b"', [["/identity/hostname", "a=b"]]],
    ["--set", '/environment/set/a~1b="x"', [["/environment/set/a~1b", "x"]]],
    ["--set", "/seccomp=null", [["/seccomp", null]]],
  ])("%s %s", (flag, value, expected) => {
    expect(read(flag, value)).toEqual(expected);
  });
});

describe("a wrong value is a message that opens with the flag and says what would be right", () => {
  it.each([
    ["--rootfs", "", "--rootfs: the path is empty; expected a directory"],
    ["--write", "", "--write: the path is empty; expected none, ephemeral, or a directory"],
    ["--bind", "", '--bind: "" has no source; expected SRC[:DST][:ro|rw]'],
    ["--bind", ":/x", '--bind: ":/x" has no source; expected SRC[:DST][:ro|rw]'],
    ["--bind", "/a:", '--bind: "/a:" has an empty destination; expected SRC[:DST][:ro|rw]'],
    [
      "--bind",
      "/a:b",
      '--bind: the destination "b" is not absolute; expected a path inside the sandbox such as /data',
    ],
    [
      "--bind",
      "/a:/b:wr",
      String.raw`--bind: "wr" is not a mode; expected ro or rw; a colon in a path is written \:`,
    ],
    [
      "--bind",
      "/a:/b:/c:rw",
      String.raw`--bind: "/a:/b:/c:rw" has too many parts; expected SRC[:DST][:ro|rw]; a colon in a path is written \:`,
    ],
    [
      "--tmpfs",
      "x",
      '--tmpfs: the destination "x" is not absolute; expected a path inside the sandbox such as /scratch',
    ],
    ["--tmpfs", "/x:big", '--tmpfs: "big" is not a size; expected a number of bytes such as 64M'],
    [
      "--tmpfs",
      "/x:1M:2",
      String.raw`--tmpfs: "/x:1M:2" has too many parts; expected DST[:SIZE]; a colon in a path is written \:`,
    ],
    ["--env", "=x", '--env: "=x" names no variable; expected NAME=VALUE, or NAME to pass it through'],
    ["--hostname", "", "--hostname: the host name is empty; expected a name such as sandbox"],
    ["--net", "bridge", '--net: "bridge" is not a choice; expected none, host'],
    ["--tty", "yes", '--tty: "yes" is not a choice; expected auto, always, never'],
    ["--set", "/a", '--set: "/a" has no "="; expected JSON-POINTER=JSON, for example /resources/pids=64'],
    ["--set", "a=1", '--set: "a" is not a JSON pointer; expected a path of fields such as /resources/memory'],
    [
      "--set",
      "/a~2=1",
      '--set: "/a~2" is not a JSON pointer; expected a path of fields such as /resources/memory',
    ],
    ["--set", "=1", '--set: "" is not a JSON pointer; expected a path of fields such as /resources/memory'],
    [
      "--set",
      "/name=box",
      `--set: "box" is not JSON; expected a JSON value; a text needs its own quotes: --set '/name="box"'`,
    ],
  ])("%s %j", (flag, value, expected) => {
    expect(read(flag, value)).toBe(expected);
  });

  it.each(["-1", "+1", " 1", "1 ", "01", "0x10", "1e3", "1.0", "4294967295", "99999999999", "", "root"])(
    "ids are plain decimal numbers below (uid_t)-1: %j is refused",
    (value) => {
      for (const flag of ["--uid", "--gid"]) {
        expect(read(flag, value)).toBe(
          `${flag}: ${JSON.stringify(value)} is not an id; expected a decimal number from 0 to 4294967294`,
        );
      }
    },
  );

  it.each<readonly [string, readonly string[]]>([
    ["--memory", ["", "-1", "1Q", "1.5G", "256MB", "0x10", "99999999999T"]],
    ["--cpus", ["", "0", "0.0", "-1", "1e3", ".5", "0.0001", "NaN", "Infinity"]],
    ["--pids", ["", "0", "-1", "1.5", "64k", "1e3", "99999999999999999"]],
    ["--timeout", ["", "-1s", "10 s", "10sec", "1d", "0.0001s"]],
  ])("%s refuses what is not a limit", (flag, values) => {
    for (const value of values)
      expect(read(flag, value)).toContain(`${flag}: ${JSON.stringify(value)} is not a limit`);
  });
});

describe("several flags", () => {
  it("keep the order in which they were given", () => {
    const { overrides, problems } = readOverrides(
      [given("--set", "/resources/pids=1"), given("--pids", "2"), given("--set", "/resources/pids=3")],
      CWD,
    );
    expect(problems).toEqual([]);
    expect(overrides.map(({ value }) => value)).toEqual([1, 2, 3]);
  });

  it("are all reported when several are wrong, and the right ones are still read", () => {
    const { overrides, problems } = readOverrides(
      [given("--memory", "x"), given("--pids", "5"), given("--uid", "-1"), given("--net", "y")],
      CWD,
    );
    expect(overrides.map(({ pointer }) => pointer)).toEqual(["/resources/pids"]);
    expect(problems.map(({ where }) => where)).toEqual([
      { kind: "flag", flag: "--memory" },
      { kind: "flag", flag: "--uid" },
      { kind: "flag", flag: "--net" },
    ]);
  });

  it("that are not about the profile are left to others", () => {
    expect(readOverrides([given("--report", "x")], CWD)).toEqual({ overrides: [], problems: [] });
  });
});

describe("colons", () => {
  it.each([
    ["", [""]],
    ["a:b", ["a", "b"]],
    ["a::b", ["a", "", "b"]],
    [String.raw`a\:b`, ["a:b"]],
    [String.raw`a\\:b`, ["a\\", "b"]],
    [String.raw`a\nb\ `.trimEnd(), [String.raw`a\nb` + "\\"]],
  ])("%j splits", (text, parts) => {
    expect(splitColons(text)).toEqual(parts);
  });
});
