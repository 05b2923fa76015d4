/** Tests of profiles pass for what holds, fail for what does not, and are refused when they cannot be understood. */
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../src/problems.ts";
import type { ProfileFacts } from "../../src/profile-rules/facts.ts";
import { readTests } from "../../src/profile-tests/cases.ts";
import { toJunitTests, toTap } from "../../src/profile-tests/report.ts";
import { type CaseResult, runCase } from "../../src/profile-tests/run.ts";
import { factsOf } from "../profile-rules/facts.ts";

const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const results = (facts: ProfileFacts, ...tests: readonly unknown[]): readonly CaseResult[] => {
  const read = readTests(bytes({ profile: "standard", tests }), "t.json");
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join("\n"));
  return read.value.cases.map((test) => runCase(facts, test));
};
const STANDARD = factsOf("standard");

describe("a test", () => {
  it.each<readonly [unknown, string]>([
    [{ call: "getpid", expect: "allow" }, ""],
    [{ call: "bpf", expect: "deny" }, ""],
    [{ call: "bpf", expect: "EPERM" }, ""],
    [{ call: "clone3", expect: "ENOSYS" }, ""],
    [
      { call: "clone3", expect: "EPERM" },
      "clone3 (x86_64) with arguments 0x0, 0x0, 0x0, 0x0, 0x0, 0x0: errno(38)",
    ],
    // Any value of what is open: some of them are refused.
    [
      { call: "socket", expect: "allow" },
      "socket (x86_64) with arguments 0x0, 0x0, 0x0, 0x0, 0x0, 0x0: errno(97)",
    ],
    [
      { call: "socket", args: [1], expect: "allow" },
      "socket (x86_64) with arguments 0x1, 0x0, 0x21, 0x0, 0x0, 0x0: errno(93)",
    ],
    [{ call: "socket", args: [1, null, 0], expect: "allow" }, ""],
    [{ call: "socket", args: [38], expect: "deny" }, ""],
    [{ call: "socketcall", arch: "i386", expect: "kill" }, ""],
    [{ call: "socketcall", expect: "deny" }, 'neither x86_64 nor aarch64 has it: name its "arch"'],
    [{ capability: "CAP_SYS_ADMIN", expect: "deny" }, ""],
    [{ capability: "CAP_SYS_ADMIN", expect: "allow" }, "it cannot be had"],
    [{ write: "/tmp/x", expect: "allow" }, ""],
    [{ read: "/proc/kcore", expect: "deny" }, ""],
    [{ write: "/usr/x", expect: "deny" }, "/usr/x is /usr/x of the host"],
    [{ property: "no-af-alg", expect: "deny" }, ""],
    [{ property: "no-af-alg", expect: "allow" }, "held by system calls"],
    [
      { property: "no-code-at-run-time", expect: "deny" },
      "system calls: mmap with arg2 & 0x6 == 0x6 (x86_64) gets through",
    ],
  ])("%j: %j", (test, failure) => {
    expect(results(STANDARD, test)[0]?.failure).toBe(failure);
  });

  it("that fails names the line that decides", () => {
    const [failed] = results(STANDARD, { call: "clone3", expect: "allow" });
    expect(failed?.decided[0]?.file).toMatch(/standard\.json$/);
    expect(failed?.decided[0]?.line).toBeGreaterThan(1);
  });

  it("of a call fails without a filter, unless the call is to be allowed", () => {
    const open = factsOf("standard", [["/seccomp", null]]);
    const failures = results(open, { call: "bpf", expect: "deny" }, { call: "bpf", expect: "allow" });
    expect(failures.map(({ failure }) => failure)).toEqual([
      "there is no filter: every call gets through",
      "",
    ]);
  });
});

describe("a file of tests", () => {
  const problems = (value: unknown): readonly string[] => {
    const read = readTests(bytes(value), "t.json");
    return read.ok ? [] : read.problems.map(formatProblem);
  };
  it.each<readonly [string, unknown, RegExp]>([
    [
      "an unknown call",
      { call: "opennat", expect: "deny" },
      /\/tests\/0\/call: "opennat" is not a choice; did you mean "openat"\?/,
    ],
    [
      "an unknown result",
      { call: "openat", expect: "EPREM" },
      /"EPREM" is not a choice; did you mean "EPERM"\?/,
    ],
    [
      "an errno for a path",
      { read: "/x", expect: "EPERM" },
      /"EPERM" is not a choice; expected one of "allow", "deny"/,
    ],
    ["no subject", { expect: "deny" }, /it tests nothing/],
    ["two subjects", { call: "read", read: "/x", expect: "deny" }, /it tests call and read at once/],
    ["no result", { call: "read" }, /"expect" is missing/],
    ["an argument that is none", { call: "read", args: ["three"], expect: "deny" }, /it is not an argument/],
    ["arguments of a path", { read: "/x", args: [1], expect: "deny" }, /"args" is for calls/],
    ["a relative path", { read: "x", expect: "deny" }, /"x" is not an absolute path/],
    [
      "an unknown field",
      { call: "read", expects: "deny" },
      /"expects" is not known here; did you mean "expect"\?/,
    ],
  ])("with %s is refused", (_what, test, expected) => {
    expect(problems({ profile: "strict", tests: [test] }).join("\n")).toMatch(expected);
  });

  it("without tests is refused: nothing tested is not passed", () => {
    expect(problems({ profile: "strict", tests: [] })).toHaveLength(1);
  });
});

describe("results", () => {
  const files = [
    {
      file: "a#b.json",
      results: results(
        STANDARD,
        { name: "x # TODO <&\n", call: "bpf", expect: "allow" },
        { call: "bpf", expect: "deny" },
      ),
      problems: [],
    },
  ];
  it("are TAP whose descriptions hold no directive", () => {
    const lines = toTap(files).split("\n");
    expect(lines.slice(0, 3)).toEqual([
      "TAP version 14",
      "1..2",
      "not ok 1 - a\\#b.json: x \\# TODO <&\\\\x0a",
    ]);
    expect(lines.at(-1)).toBe("ok 2 - a\\#b.json: bpf(): deny");
  });

  it("are JUnit with counts", () => {
    const xml = toJunitTests(files);
    expect(xml).toContain('tests="2" failures="1" errors="0"');
    expect(xml).toContain("x # TODO &lt;&amp;&#10;");
  });
});
