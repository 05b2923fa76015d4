/** What explain says of a profile is what the filter, the spec and the lines of the files say. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import type { Place } from "../../src/gate/rule.ts";
import { explainCall } from "../../src/profile-explain/calls.ts";
import { explainCapability } from "../../src/profile-explain/capability.ts";
import { explain } from "../../src/profile-explain/explain.ts";
import { explanationMarkdown } from "../../src/profile-explain/markdown.ts";
import { explainPath } from "../../src/profile-explain/path.ts";
import { callText, capabilityText, explanationText, pathText } from "../../src/profile-explain/text.ts";
import { allow, type Change, factsOf, filterOf } from "../profile-rules/facts.ts";

const STANDARD = factsOf("standard");
const EXPLAINED = explain(STANDARD, []);

/** The text at a place, from its column on. */
const lineAt = ({ file, line, column }: Place): string => {
  const lines = readFileSync(file, "utf8").split("\n");
  return (lines[line - 1] ?? "").slice(column - 1);
};

describe("the system calls", () => {
  it("are all there, each in one group and one state", () => {
    const named = EXPLAINED.calls.flatMap(({ allowed, conditional, refused }) => [
      ...allowed,
      ...conditional.map(({ name }) => name),
      ...refused,
    ]);
    expect(named.toSorted()).toEqual([...syscallTable("x86_64").numbers.keys()].toSorted());
  });

  it("are refused exactly when nothing gets through", () => {
    for (const { allowed, conditional, refused } of EXPLAINED.calls) {
      for (const name of refused)
        expect([name, STANDARD.allowed({ names: [name], abis: ["x86_64"] })]).toEqual([name, null]);
      for (const name of [...allowed, ...conditional.map((call) => call.name)])
        expect([name, STANDARD.allowed({ names: [name], abis: ["x86_64"] })?.name]).toEqual([name, name]);
    }
  });

  it("are none without a filter, and the text says so", () => {
    const open = factsOf("standard", [["/seccomp", null]]);
    expect(explain(open, []).calls).toEqual([]);
    expect(explanationText(explain(open, []))).toContain("all: there is no filter");
    expect(callText("bpf", explainCall(open, "bpf"))).toBe("bpf gets through: there is no filter");
  });
});

describe("--syscall", () => {
  it.each<readonly [name: string, expected: readonly (readonly [verdict: string, at: RegExp])[]]>([
    ["read", [["allow", /^"@basic-io"/]]],
    ["clone3", [["errno(38)", /^"clone3"/]]],
    ["bpf", [["errno(1)", /^"SCMP_ACT_ERRNO"/]]],
    [
      "socketpair",
      [
        ["errno(97)", /^"socketpair"/],
        ["allow", /^"socketpair"/],
      ],
    ],
    [
      "clone",
      [
        ["errno(1)", /^"SCMP_ACT_ERRNO"/],
        ["allow", /^"clone"/],
      ],
    ],
  ])("%s: each answer with the line that decides it", (name, expected) => {
    const answers = explainCall(STANDARD, name).filter(({ abi }) => abi === "x86_64");
    expect(answers.map(({ verdict }) => verdict)).toEqual(expected.map(([verdict]) => verdict));
    for (const [index, [, at]] of expected.entries())
      expect(lineAt(answers[index]?.places[0] as Place)).toMatch(at);
  });

  it("says with which arguments", () => {
    const [refused, allowed] = explainCall(STANDARD, "clone");
    expect(refused?.when).toBe("arg0 & 0x7e020000 != 0x0");
    expect(allowed?.when).toBe("arg0 & 0x7e020000 == 0x0");
  });

  it("names the rule that decides, not one that another overrides", () => {
    const both: readonly Change[] = [
      filterOf(
        "SCMP_ACT_ERRNO",
        { names: ["@bpf"], action: "SCMP_ACT_ALLOW" },
        { names: ["bpf"], action: "SCMP_ACT_KILL_PROCESS" },
      ),
    ];
    expect(explainCall(factsOf("strict", both), "bpf")[0]).toMatchObject({
      verdict: "kill-process",
      pointer: "/seccomp/syscalls/1/names/0",
    });
  });

  it("of a convention that is not listed is killed, and says what decides it", () => {
    const [answer] = explainCall(STANDARD, "socketcall");
    expect(answer).toMatchObject({
      abi: "i386",
      verdict: "kill-process",
      when: "always",
      pointer: "/seccomp/architectures",
    });
  });

  it("says alike conventions once", () => {
    expect(callText("read", explainCall(STANDARD, "read"))).toMatch(
      /^read on x86_64 and aarch64: allow always {2}\(.*standard\.json:\d+:\d+\)$/,
    );
  });
});

describe("--capability", () => {
  const bounding: Change = ["/capabilities/bounding", ["CAP_KILL"]];
  it("tells had, bounded and gone apart", () => {
    const had = factsOf("strict", [bounding, ["/capabilities/permitted", ["CAP_KILL"]]]);
    expect(explainCapability(had, "CAP_KILL")).toMatchObject({
      canBeHad: true,
      over: "its own user namespace",
    });
    const bounded = factsOf("strict", [bounding]);
    expect(capabilityText(explainCapability(bounded, "CAP_KILL"))).toMatch(
      /^CAP_KILL can not be had: it is in the bounding set only/,
    );
    const byFile = factsOf("strict", [
      bounding,
      ["/noNewPrivileges", false],
      ["/seccomp", null],
      ["/landlock", null],
    ]);
    expect(explainCapability(byFile, "CAP_KILL").canBeHad).toBe(true);
    const [place] = explainCapability(STANDARD, "CAP_KILL").places;
    expect(lineAt(place as Place)).toMatch(/^\[\]/);
  });
});

describe("--path", () => {
  const shown: readonly Change[] = [
    ["/filesystem/mounts/-", { type: "bind", source: "/srv/data", target: "/data", options: ["rw"] }],
    ["/filesystem/mounts/-", { type: "tmpfs", target: "/data/tmp", size: "1M", options: ["noexec"] }],
    ["/filesystem/proc", "full"],
  ];
  const facts = factsOf("strict", shown);
  it.each<readonly [path: string, can: string, pointer: string]>([
    ["/data/x", "rwxk", "/filesystem/mounts/1"],
    ["/data/tmp/x", "rw", "/filesystem/mounts/2"],
    ["/data/../data//tmp", "rw", "/filesystem/mounts/2"],
    ["/usr/bin/id", "rx", "/filesystem/root"],
    ["/proc/kcore", "", "/filesystem/masked/5"],
    ["/proc/sys/kernel/x", "r", "/filesystem/readOnly/4"],
    ["/proc/self/mem", "rw", "/filesystem/proc"],
    ["/dev/null", "rw", "/filesystem/devices"],
    ["/dev/sda", "", "/filesystem/devices"],
    ["/root/x", "", "/filesystem/root"],
  ])("%s: %s", (path, can, pointer) => {
    const { readable, writable, executable, kept, ...answer } = explainPath(facts, path);
    const said = `${readable ? "r" : ""}${writable ? "w" : ""}${readable && executable ? "x" : ""}${kept ? "k" : ""}`;
    expect([said, answer.pointer]).toEqual([can, pointer]);
  });

  it("says what may change the answer", () => {
    expect(pathText(explainPath(factsOf("build"), "/work"))).toContain(
      "unless it lies in the caller's working directory, which is shown writable",
    );
  });
});

describe("the whole", () => {
  it("is the same as text, Markdown and data", () => {
    const text = explanationText(EXPLAINED);
    const markdown = explanationMarkdown(EXPLAINED).replaceAll("\\", "");
    for (const { title, settings } of EXPLAINED.sections) {
      expect(text).toContain(`\n${title}\n`);
      for (const { what } of settings)
        expect([what, text.includes(what), markdown.includes(what)]).toEqual([what, true, true]);
    }
    for (const { about } of EXPLAINED.properties) expect(text).toContain(about);
    expect(JSON.parse(JSON.stringify(EXPLAINED))).toMatchObject({ name: "standard" });
  });

  it("names what reaches beyond the sandbox, with the line that allows it", () => {
    const open = factsOf("strict", [
      allow(["@bpf"]),
      ["/capabilities/bounding", ["CAP_BPF"]],
      ["/capabilities/permitted", ["CAP_BPF"]],
    ]);
    expect(explain(open, []).exposed.map(({ name }) => name)).toEqual(["bpf", "CAP_BPF"]);
  });

  it("holds every property in strict but code at run time", () => {
    const open = explain(factsOf("strict"), []).properties.filter(({ holds }) => !holds);
    expect(open.map(({ id }) => id)).toEqual(["no-code-at-run-time"]);
  });
});
