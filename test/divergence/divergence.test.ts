/** Where a seccomp document is loaded otherwise than it reads: found, with a call that shows it, and nothing found where nothing changes. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { formatVerdict } from "../../src/compile/seccomp/ir.ts";
import { CASES } from "../../src/divergence/cases.ts";
import { type Divergence, divergencesOf } from "../../src/divergence/report.ts";
import { formatPlace } from "../../src/problems.ts";
import { formatCall } from "../../src/prove/format-call.ts";
import { valueOf } from "../seccomp/support.ts";
import { noPodmanDefault, PODMAN_DEFAULT, readOne } from "../toolkit/files.ts";

const divergences = (document: object | string): readonly Divergence[] =>
  valueOf(divergencesOf(valueOf(readOne(document, { capabilities: [] })).filter));

/** All in one line each. */
const told = (document: object) =>
  divergences(document)
    .filter((each) => each.case !== "enosys-stub")
    .map(({ witness, ...each }) => {
      const shown =
        witness === null
          ? ""
          : `: ${formatCall(witness.call).replace(/(, 0x0)+$/, "")}: ${formatVerdict(witness.written)}, ${formatVerdict(witness.loaded)}`;
      return `${each.case} ${each.direction} ${each.calls.join(" ")}${shown}`;
    });

const document = (...syscalls: readonly object[]) => ({
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 38,
  syscalls,
});
const condition = (index: number, op: string, value: number) => ({ index, op: `SCMP_CMP_${op}`, value });

describe("same-argument", () => {
  test("two exclusions that allow everything", () => {
    const rule = {
      names: ["socket"],
      action: "SCMP_ACT_ALLOW",
      args: [condition(0, "NE", 38), condition(0, "NE", 40)],
    };
    expect(told(document(rule))).toEqual([
      "same-argument looser socket: socket (x86_64) with arguments 0x26: errno(38), allow",
    ]);
  });

  test("one repeated index frees every other condition of the rule", () => {
    const rule = {
      names: ["socket"],
      action: "SCMP_ACT_ALLOW",
      args: [condition(0, "GE", 1), condition(0, "LE", 2), condition(2, "EQ", 6)],
    };
    expect(told(document(rule))[0]).toMatch(/^same-argument looser socket: /);
  });

  test("alternatives that say the same are no finding", () => {
    const args = [condition(0, "GE", 5), condition(0, "GE", 5)];
    expect(told(document({ names: ["socket"], action: "SCMP_ACT_ALLOW", args }))).toEqual([]);
  });
});

describe("equal-to-default", () => {
  const deny = { names: ["keyctl"], action: "SCMP_ACT_ERRNO", errnoRet: 38 };
  const allow = { names: ["keyctl", "read"], action: "SCMP_ACT_ALLOW" };

  test("a refusal that vanishes", () => {
    expect(told(document(allow, deny))).toEqual([
      "equal-to-default looser keyctl: keyctl (x86_64) with arguments 0x0: errno(38), allow",
    ]);
  });
  test("not when another error is asked for, or nothing else allows the call", () => {
    expect(told(document(allow, { ...deny, errnoRet: 1 }))).toEqual([]);
    expect(told(document(deny))).toEqual([]);
  });
});

describe("unconditional-wins", () => {
  const some = {
    names: ["ioctl"],
    action: "SCMP_ACT_ERRNO",
    errnoRet: 1,
    args: [condition(1, "EQ", 0x5412)],
  };

  test("the refusal of TIOCSTI is lost beside an unconditional permission", () => {
    expect(told(document({ names: ["ioctl", "read"], action: "SCMP_ACT_ALLOW" }, some))).toEqual([
      "unconditional-wins looser ioctl: ioctl (x86_64) with arguments 0x0, 0x5412: errno(1), allow",
    ]);
  });
  test("not when both say the same", () => {
    const rule = { names: ["ioctl"], action: "SCMP_ACT_ALLOW" };
    expect(told(document(rule, { ...rule, args: some.args }))).toEqual([]);
  });
});

test("unknown-name and name-too-new: names that are skipped", () => {
  expect(told(document({ names: ["read", "opneat", "mseal"], action: "SCMP_ACT_ALLOW" }))).toEqual([
    "unknown-name null opneat",
    "name-too-new stricter mseal: mseal (x86_64) with arguments 0x0: allow, errno(38)",
  ]);
});

test("multiplexer: socketcall of 32-bit x86 comes with socket, and without its conditions", () => {
  const rule = { names: ["socket"], action: "SCMP_ACT_ALLOW", args: [condition(0, "EQ", 1)] };
  expect(told(document(rule))).toEqual([]);
  const archMap = [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }];
  expect(told({ ...document(rule), archMap })).toEqual([
    "multiplexer looser socketcall: socketcall (i386) with arguments 0x1: errno(38), allow",
  ]);
  expect(told({ ...document({ ...rule, names: ["shmat"] }), archMap })[0]).toMatch(
    /^multiplexer looser ipc: ipc \(i386\) with arguments 0x15/,
  );
});

describe("enosys-stub", () => {
  const stub = (more: object) =>
    divergences({
      ...document({ names: ["read", "openat2", "mseal"], action: "SCMP_ACT_ALLOW" }),
      architectures: ["SCMP_ARCH_X86_64"],
      ...more,
    }).filter((each) => each.case === "enosys-stub");
  test("behind the last named call, whatever the default is", () => {
    const [found] = stub({ defaultErrnoRet: 1 });
    expect(found?.calls).toContain("pidfd_getfd");
    expect(found?.calls).not.toContain("pidfd_open");
    // The library has no name for mseal, so it stands behind the last one as well.
    expect(found?.calls).toContain("mseal");
    expect(found?.direction).toBe("stricter");
    expect(stub({ defaultAction: "SCMP_ACT_KILL", defaultErrnoRet: null })[0]?.direction).toBe(
      "incomparable",
    );
  });
  test("not where ENOSYS or leave is the default already", () => {
    expect(stub({})).toEqual([]);
    expect(stub({ defaultErrnoRet: 1, architectures: null })).toEqual([]);
    expect(stub({ defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: null })).toEqual([]);
  });
});

test("every finding has its line, who does it, and a case that is described", () => {
  const text = `{ "defaultAction": "SCMP_ACT_ERRNO",
  "syscalls": [
    { "names": ["read"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["read"], "action": "SCMP_ACT_ERRNO" }
  ] }`;
  const [found] = divergences(text);
  expect(found === undefined ? "" : formatPlace(found.where)).toBe("/policy:4:5 /syscalls/1");
  expect(found).toMatchObject(CASES["equal-to-default"]);
});

test.skipIf(noPodmanDefault)("Podman's default is loaded as it reads, but for a name that is none", () => {
  expect(divergences(readFileSync(PODMAN_DEFAULT, "utf8")).map((each) => [each.case, each.calls])).toEqual([
    ["unknown-name", ["syscall"]],
  ]);
});

test("what others would make of our own profiles, which we load as they read, is said", () => {
  const cases = divergences({ extends: "strict" }).map((each) => each.case);
  expect(cases).toEqual(expect.arrayContaining(["same-argument", "equal-to-default", "unconditional-wins"]));
});

test("a document with hundreds of odd rules ends soon, and is not called clean", () => {
  const rules = Array.from({ length: 101 }, (_, value) => ({
    names: ["read"],
    action: "SCMP_ACT_ALLOW",
    args: [condition(0, "NE", value), condition(0, "NE", value + 1)],
  }));
  expect(divergences(document(...rules)).at(-1)?.unknown).toBe(
    "1 more places of the document are not looked at",
  );
});
