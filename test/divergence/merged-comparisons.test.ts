/** What libseccomp up to 2.6.0 makes of two comparisons of one argument is said as it is: held to the library itself, pair by pair. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { decode } from "../../src/compile/seccomp/decode.ts";
import { formatVerdict } from "../../src/compile/seccomp/ir.ts";
import { normalise } from "../../src/compile/seccomp/normalise.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { NEWEST_KERNEL } from "../../src/compile/seccomp/target.ts";
import { mergedAsLoaded } from "../../src/divergence/merged-comparisons.ts";
import { divergencesOf } from "../../src/divergence/report.ts";
import { libseccompVersion } from "../../src/kernel/libseccomp.ts";
import { toExactJson } from "../../src/profile-export/seccomp-rules.ts";
import { argumentsOf } from "../../src/prove/format-call.ts";
import { Prover } from "../../src/prove/prover.ts";
import { skipUnless, valueOf } from "../seccomp/support.ts";
import { readOne } from "../toolkit/files.ts";

const LOADER = fileURLToPath(new URL("../profile-export/load.py", import.meta.url));
const ORDERS = ["LT", "LE", "GT", "GE"] as const;
const G = 1n << 32n;

const rule = (name: string, op: string, value: bigint, index = 1, more: object = {}) => ({
  names: [name],
  action: "SCMP_ACT_ALLOW",
  args: [{ index, op: `SCMP_CMP_${op}`, value: `${value}` }],
  ...more,
});
const document = (...syscalls: readonly object[]) => ({ defaultAction: "SCMP_ACT_ERRNO", syscalls });
const found = (...syscalls: readonly object[]) =>
  valueOf(divergencesOf(valueOf(readOne(document(...syscalls))).filter)).filter(
    (each) => each.case === "merged-comparisons",
  );

describe("two comparisons of one argument", () => {
  test("one that lets more through, and one that lets less, each with a call", () => {
    // What passes the check of 64 bits as it reads: small, or beyond 4 GiB.
    const [looser] = found(rule("lseek", "LT", 5n), rule("lseek", "GT", G + 6n));
    const [argument] = looser?.witness == null ? [] : argumentsOf(looser.witness.call).slice(1);
    expect([looser?.direction, looser?.calls, looser?.unknown]).toEqual(["looser", ["lseek"], null]);
    expect([
      formatVerdict(looser?.witness?.written ?? 0),
      formatVerdict(looser?.witness?.loaded ?? 0),
    ]).toEqual(["errno(1)", "allow"]);
    expect((argument ?? 0n) >= 5n && (argument ?? 0n) <= G + 6n).toBe(true);
    expect(found(rule("lseek", "LT", 5n), rule("lseek", "LT", G + 6n))[0]?.direction).toBe("stricter");
  });

  test.each<readonly [what: string, ...rules: readonly object[]]>([
    ["both below 4 GiB", rule("lseek", "LT", 5n), rule("lseek", "GT", 6n)],
    ["both from below", rule("lseek", "GT", 5n), rule("lseek", "GE", G + 6n)],
    ["of two arguments", rule("lseek", "LT", 5n, 0), rule("lseek", "GT", G + 6n, 1)],
    ["of two calls", rule("lseek", "LT", 5n), rule("read", "GT", G + 6n)],
    ["one of them without order", rule("lseek", "LT", 5n), rule("lseek", "EQ", G + 6n)],
    [
      "beside a rule without conditions",
      rule("lseek", "LT", 5n),
      rule("lseek", "GT", G),
      { names: ["lseek"], action: "SCMP_ACT_ALLOW" },
    ],
  ])("none where they are %s", (_, ...rules) => {
    expect(found(...(rules as readonly object[]))).toEqual([]);
  });

  test.each<readonly [what: string, ...rules: readonly object[]]>([
    ["three of them", rule("lseek", "LT", 5n), rule("lseek", "GT", G + 6n), rule("lseek", "LT", 2n * G)],
    ["two answers", rule("lseek", "LT", 5n), rule("lseek", "GT", G + 6n, 1, { action: "SCMP_ACT_LOG" })],
    ["a third rule", rule("lseek", "LT", 5n), rule("lseek", "GT", G + 6n), rule("lseek", "EQ", 9n, 0)],
  ])("cannot be decided with %s, and is no pass", (_, ...rules) => {
    const all = found(...(rules as readonly object[]));
    expect(all.length).toBeGreaterThan(0);
    expect(all.map(({ unknown }) => unknown)).toEqual(
      all.map(() => expect.stringMatching(/is not modelled: lseek$/) as string),
    );
  });
});

const version = (libseccompVersion() ?? "0").split(".").map(Number);
const isOld = version[0] === 2 && ((version[1] ?? 0) < 6 || (version[1] === 6 && (version[2] ?? 0) < 1));
const hasBindings = spawnSync("/usr/bin/python3", ["-c", "import seccomp"]).status === 0;

test.skipIf(
  skipUnless(
    process.arch === "x64" && isOld && hasBindings,
    `needs x86-64, python3-seccomp and libseccomp before 2.6.1, which this is not: ${libseccompVersion() ?? "none"}`,
  ),
)("the library does what is said of it, for every pair of comparisons", () => {
  const words = [0n, 5n, G, G + 5n, 2n * G + 5n, 5n * G + 7n];
  const pairs = ORDERS.flatMap((one) =>
    ORDERS.flatMap((other) =>
      words.flatMap((a) =>
        words.flatMap((b) => (one === other && a === b ? [] : [[one, a, other, b] as const])),
      ),
    ),
  );
  // Comparisons that are always or never so are left out by the library, which is another matter.
  const real = pairs.filter(
    ([one, a, other, b]) => !(a === 0n && "LT GE".includes(one)) && !(b === 0n && "LT GE".includes(other)),
  );
  // One call a document: the library shares parts of programs between calls, which is not what is asked here.
  const documents = real.map(([one, a, other, b]) => {
    const make = (op: string, value: bigint) => ({
      names: ["lseek"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 1, op: `SCMP_CMP_${op}`, value, valueTwo: 0n }],
    });
    return { defaultAction: "SCMP_ACT_ERRNO", syscalls: [make(one, a), make(other, b)] };
  });
  const run = spawnSync("/usr/bin/python3", [LOADER], {
    input: `[${documents.map(toExactJson).join()}]`,
    maxBuffer: 1 << 24,
  });
  expect([run.status, run.status === 0 ? "" : run.stderr.toString()]).toEqual([0, ""]);
  const lines = run.stdout.toString().trim().split("\n");
  expect(lines.length).toBe(documents.length);
  const nr = syscallTable("x86_64").numbers.get("lseek") ?? -1;
  const target = { arch: "x86_64", capabilities: [], kernel: NEWEST_KERNEL } as const;
  const prover = new Prover();
  let changed = 0;
  for (const [at, written] of documents.entries()) {
    const theirs = decode(Buffer.from(lines[at] ?? "", "base64"));
    if (!theirs.ok) throw new Error(theirs.reason);
    const said = valueOf(normalise(written, target, (rules, { abi }) => mergedAsLoaded(abi, rules)));
    const plain = valueOf(normalise(written, target));
    const [made, meant, read] = [
      prover.filter(theirs.bpf),
      prover.rules(said.policy),
      prover.rules(plain.policy),
    ].map((meaning) => {
      if ("reason" in meaning) throw new Error(meaning.reason);
      return prover.ofCall(meaning, "x86_64", nr);
    });
    expect([real[at], made === meant]).toEqual([real[at], true]);
    if (meant !== read) changed += 1;
  }
  expect(changed).toBeGreaterThan(150);
});
