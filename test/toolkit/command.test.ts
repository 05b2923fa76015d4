/** The commands as typed: what is printed where, and the status. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OP } from "../../src/compile/seccomp/decode.ts";
import { RET } from "../../src/compile/seccomp/ir.ts";
import { sandbox } from "../cli/command.ts";
import { assemble } from "../prove/programs.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-toolkit-"));
  const odd = [
    { code: OP.ld, k: 0 },
    { code: OP.tax },
    { code: OP.mul | 8 },
    { code: OP.jeq, k: 9 },
    { code: OP.ret, k: RET.allow },
  ];
  writeFileSync(join(directory, "odd.bpf"), assemble(odd));
  writeFileSync(
    join(directory, "docker.json"),
    '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}',
  );
});
afterAll(() => rmSync(directory, { recursive: true }));

const run = (...args: readonly string[]) => sandbox(["profile", ...args], { cwd: directory });

describe("prove", () => {
  test("0 when proved", async () => {
    const ended = await run("prove", "strict", "--at-most", "standard");
    expect([ended.status, ended.stdout]).toEqual([
      0,
      [
        "x86_64: proved: strict permits no call that standard forbids",
        "aarch64: proved: strict permits no call that standard forbids",
        "other layers: proved: strict permits nothing that standard forbids",
        "",
      ].join("\n"),
    ]);
  });

  test("1 when refuted, with the call, as JSON too", async () => {
    const ended = await run(
      "prove",
      "standard",
      "--at-most",
      "strict",
      "--arch",
      "x86_64",
      "--calls",
      "--json",
    );
    expect(ended.status).toBe(1);
    expect(JSON.parse(ended.stdout)).toEqual({
      engine: "sandbox-prove/1",
      first: "standard",
      relation: "at-most",
      second: "strict",
      calls: [
        {
          machine: "x86_64",
          conclusion: "refuted",
          witness: {
            abi: "x86_64",
            arch: "0xc000003e",
            name: "ioctl",
            nr: 16,
            args: ["0x0", "0x0", "0x0", "0x0", "0x0", "0x0"],
            ip: "0x0",
            first: "allow",
            second: "errno(1)",
          },
        },
      ],
      layers: null,
    });
  });

  test("1 when only another layer refutes it", async () => {
    const ended = await run("prove", "build", "--at-most", "standard", "--arch", "x86_64");
    expect([ended.status, ended.stdout.split("\n")]).toEqual([
      1,
      [
        "x86_64: proved: build permits no call that standard forbids",
        "other layers: refuted: /filesystem/workdir: build has rw, standard has none: the working directory is shown rw",
        "",
      ],
    ]);
    expect((await run("prove", "build", "--at-most", "standard", "--arch", "x86_64", "--calls")).status).toBe(
      0,
    );
  });

  test("2 on wrong use", async () => {
    const ended = await run("prove", "strict");
    expect([ended.status, ended.stderr]).toEqual([
      2,
      "sandbox profile prove: one statement is proved at a time; expected --at-most or --equal\n",
    ]);
  });

  test("3 when it cannot be decided, and when it cannot be read", async () => {
    const odd = await run("prove", "odd.bpf", "--equal", "strict", "--arch", "x86_64");
    expect([odd.status, odd.stdout]).toEqual([
      3,
      "x86_64: cannot be decided: the program multiplies by a part of the call\n",
    ]);
    const absent = await run("prove", "absent.json", "--equal", "strict");
    expect([absent.status, absent.stdout]).toEqual([3, ""]);
    expect(absent.stderr).toBe('absent.json: there is no file "absent.json"\n');
  });
});

describe("diff", () => {
  test("fails on what it was told to fail on, and on nothing else", async () => {
    expect((await run("diff", "strict", "standard", "--fail-on", "looser")).status).toBe(1);
    expect((await run("diff", "standard", "strict", "--fail-on", "looser")).status).toBe(0);
    expect((await run("diff", "standard", "strict", "--fail-on", "different")).status).toBe(1);
    expect((await run("diff", "standard", "strict")).status).toBe(0);
    expect((await run("diff", "odd.bpf", "strict")).status).toBe(3);
  });

  test("says so when there is none", async () => {
    const ended = await run("diff", "strict", "strict", "--arch", "aarch64", "--fail-on", "different");
    expect([ended.status, ended.stdout]).toEqual([
      0,
      "aarch64: strict and strict answer alike to every call\n\nother layers: strict and strict are the same\n",
    ]);
    const judge = await run("diff", "strict", "judge", "--arch", "aarch64", "--fail-on", "looser");
    expect([judge.status, judge.stdout.includes("stricter: /resources/wallTime: 60000 -> 20000")]).toEqual([
      0,
      true,
    ]);
  });
});

test("simulate and disasm print what was asked, notes go to stderr", async () => {
  const asked = await run("simulate", "docker.json", "write", "1", "--", "-1");
  expect([asked.status, asked.stdout]).toEqual([
    0,
    "write (x86_64) with arguments 0x1, 0xffffffffffffffff, 0x0, 0x0, 0x0, 0x0: errno(1)\n",
  ]);
  const wrong = await run(
    "simulate",
    "strict",
    "read",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "zz",
    "--cap",
    "foo",
    "--kernel",
    "x",
  );
  expect([wrong.status, wrong.stderr.split("\n").length]).toEqual([2, 5]);
  const printed = await run("disasm", "odd.bpf");
  expect([printed.status, printed.stdout.split("\n")[2]]).toEqual([0, "   2        A = A * X"]);
  expect((await run("disasm", "absent.bpf")).status).toBe(3);
});

describe("of OCI bundles, on every layer", () => {
  const namespaces = ["mount", "pid", "network"].map((type) => ({ type }));
  const bundle = { ociVersion: "1.0.2", root: { path: "rootfs" }, linux: { namespaces } };
  beforeAll(() => {
    for (const [name, content] of [
      ["old.json", bundle],
      ["shared.json", { ...bundle, linux: { namespaces: namespaces.slice(1) } }],
      ["hooked.json", { ...bundle, hooks: {} }],
    ] as const)
      writeFileSync(join(directory, name), JSON.stringify(content));
  });
  const asked = async (...args: readonly string[]) => {
    const { status, stdout } = await run(...args);
    return [status, stdout.trimEnd().split("\n").at(-1)];
  };

  test.each<readonly [string, readonly string[], number, RegExp]>([
    ["proved", ["prove", "old.json", "--at-most", "shared.json"], 0, /^other layers: proved/],
    ["refuted", ["prove", "shared.json", "--at-most", "old.json"], 1, /refuted: \/namespaces\/mount/],
    ["not decided", ["prove", "old.json", "--equal", "hooked.json"], 3, /cannot be decided: \/hooks/],
    ["looser", ["diff", "old.json", "shared.json", "--fail-on", "looser"], 1, /^looser: \/namespaces\/mount/],
    ["undecided", ["diff", "old.json", "hooked.json", "--fail-on", "looser"], 3, /^undecided: \/hooks/],
    ["told", ["diff", "old.json", "hooked.json"], 0, /^undecided: \/hooks/],
  ])("%s", async (_what, args, status, said) => {
    expect(await asked(...args)).toEqual([status, expect.stringMatching(said)]);
  });
});
