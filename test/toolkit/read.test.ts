/** Policies of ours and of others are read with everything that is in them, or the mistake is named with its place. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { AUDIT_ARCH } from "../../src/compile/seccomp/abi.ts";
import { generate } from "../../src/compile/seccomp/codegen.ts";
import { decode } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call, formatVerdict, judge } from "../../src/compile/seccomp/ir.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { formatNote } from "../../src/policy-input/fields.ts";
import { readBpf } from "../../src/policy-input/raw-bpf.ts";
import type { PolicyInput } from "../../src/policy-input/read.ts";
import { formatProblem } from "../../src/problems.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import { valueOf } from "../seccomp/support.ts";
import { filesWith, noPodmanDefault, PODMAN_DEFAULT, readOne } from "./files.ts";

/** What the rules of a policy answer. */
function answer({ filter }: PolicyInput, name: string, ...args: readonly bigint[]): string {
  if (filter.kind !== "rules") return filter.kind;
  const { abi } = filter.policy.abis[0] ?? { abi: "x86_64" };
  const nr = syscallTable(abi).numbers.get(name);
  if (nr === undefined) throw new Error(`no ${name}`);
  return formatVerdict(judge(filter.policy, call(AUDIT_ARCH[abi], nr, args)));
}
const problemsOf = (content: Parameters<typeof readOne>[0]): readonly string[] => {
  const read = readOne(content);
  return read.ok ? [] : read.problems.map(formatProblem);
};
const notesOf = ({ notes }: PolicyInput) => notes.map(({ message }) => message);

const DOCUMENT = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 38,
  syscalls: [
    { names: ["read", "no_such_call"], action: "SCMP_ACT_ALLOW" },
    { names: ["mount"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_ADMIN"] } },
    { names: ["mount"], action: "SCMP_ACT_ERRNO", errno: "EPERM", excludes: { caps: ["CAP_SYS_ADMIN"] } },
    { names: ["ptrace"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
    { names: ["connect"], action: "SCMP_ACT_NOTIFY" },
  ],
};

describe("a seccomp profile of a container engine", () => {
  test("is read with its conditions decided for what was stated", () => {
    const none = valueOf(readOne(DOCUMENT, { capabilities: [], kernel: { major: 4, minor: 4 } }));
    expect(["read", "mount", "ptrace", "openat", "connect"].map((name) => answer(none, name))).toEqual([
      "allow",
      "errno(1)",
      "errno(38)",
      "errno(38)",
      "notify",
    ]);
    const admin = valueOf(readOne(DOCUMENT, { capabilities: ["CAP_SYS_ADMIN"] }));
    expect(["mount", "ptrace"].map((name) => answer(admin, name))).toEqual(["allow", "allow"]);
  });

  test("says which names no kernel has, and for which capabilities it was decided when nobody said", () => {
    expect(notesOf(valueOf(readOne(DOCUMENT)))).toEqual([
      expect.stringMatching(
        /^conditions on capabilities were decided for CAP_AUDIT_WRITE, .*CAP_SYS_CHROOT$/,
      ),
      "left out, as no kernel has such calls: no_such_call",
    ]);
    expect(notesOf(valueOf(readOne(DOCUMENT, { capabilities: [] })))).toHaveLength(1);
  });

  test("opens the ABIs that archMap gives the machine", () => {
    const archMap = [
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
      { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
    ];
    const abis = (arch: "x86_64" | "aarch64") => {
      const { filter } = valueOf(readOne({ ...DOCUMENT, archMap }, { arch }));
      return filter.kind === "rules" ? filter.policy.abis.map(({ abi }) => abi) : [];
    };
    expect([abis("x86_64"), abis("aarch64")]).toEqual([
      ["x86_64", "x32", "i386"],
      ["aarch64", "arm"],
    ]);
  });

  test("keeps every digit of 64-bit values", () => {
    const value = "18446744073709551615";
    const text = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["lseek"],"action":"SCMP_ACT_ALLOW",
      "args":[{"index":1,"value":${value},"op":"SCMP_CMP_EQ"}]}]}`;
    const policy = valueOf(readOne(text));
    expect(answer(policy, "lseek", 0n, BigInt(value))).toBe("allow");
    expect(answer(policy, "lseek", 0n, BigInt(value) - 1n)).toBe("errno(1)");
  });

  test("every mistake has its place", () => {
    const text = `{
  "defaultAction": "SCMP_ACT_ERRNO",
  "defaultErrnoRet": 5000,
  "syscalls": [
    { "names": "read", "action": "SCMP_ACT_ALLOW" },
    { "names": ["read"] },
    { "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 6, "value": -1, "op": "SCMP_CMP_EQ" }] },
    { "names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": { "capabilities": ["CAP_KILL"] } }
  ]
}`;
    expect(problemsOf(text)).toEqual([
      "/policy:3:3 /defaultErrnoRet: defaultErrnoRet is 5000; expected 0 to 4095",
      "/policy:5:7 /syscalls/0/names: names is not an array; expected an array",
      '/policy:6:5 /syscalls/1: "action" is missing; expected an action',
      "/policy:7:65 /syscalls/2/args/0/index: index is 6; expected 0 to 5",
      "/policy:7:77 /syscalls/2/args/0/value: value is not an unsigned number of 64 bits; expected 0 to 18446744073709551615",
      '/policy:8:68 /syscalls/3/includes/capabilities: "capabilities" is not a condition; expected caps, arches, minKernel',
    ]);
    expect(problemsOf({ ...DOCUMENT, defaultAction: "SCMP_ACT_ALOW" })).toEqual([
      expect.stringMatching(
        /^\/policy:1:2 \/defaultAction: SCMP_ACT_ALOW is not a seccomp action; .*did you mean SCMP_ACT_ALLOW\?$/,
      ),
    ]);
  });

  test("a field that means nothing here is noted, at its place", () => {
    const policy = valueOf(readOne({ ...DOCUMENT, listenerPath: "/run/agent" }, { capabilities: [] }));
    expect(policy.notes).toContainEqual({
      where: expect.objectContaining({ file: "/policy", pointer: "/listenerPath" }) as object,
      message: '"listenerPath" is not carried over',
    });
  });

  test.skipIf(noPodmanDefault)("Podman's default, as Debian ships it", () => {
    const podman = readFileSync(PODMAN_DEFAULT, "utf8");
    const policy = valueOf(readOne(podman));
    expect(policy.form).toBe("container");
    expect(["read", "mount", "bpf", "chroot"].map((name) => answer(policy, name))).toEqual([
      "allow",
      "allow",
      "errno(1)",
      "allow",
    ]);
    expect(answer(policy, "socket", 16n, 3n, 9n)).toBe("allow");
    expect(answer(valueOf(readOne(podman, { capabilities: [] })), "socket", 16n, 3n, 9n)).toBe("errno(22)");
  });
});

describe("the same rules elsewhere", () => {
  test("in an OCI config.json, with its capabilities", () => {
    const process = { capabilities: { bounding: ["CAP_SYS_ADMIN", "CAP_NONE"] } };
    const policy = valueOf(readOne({ ociVersion: "1.0.2", process, linux: { seccomp: DOCUMENT } }));
    expect(policy.form).toBe("oci");
    expect(answer(policy, "mount")).toBe("allow");
    expect(problemsOf({ ociVersion: "1.0.2", linux: { seccomp: { syscalls: [] } } })).toEqual([
      '/policy:1:32 /linux/seccomp: "defaultAction" is missing; expected a seccomp object as container engines read it',
    ]);
  });

  test("in an OCI config.json without any, everything is allowed and that is said", () => {
    const policy = valueOf(readOne({ ociVersion: "1.0.2", linux: {} }));
    expect(policy.filter.kind).toBe("none");
    expect(notesOf(policy)).toEqual(["there is no seccomp object: every call is allowed"]);
  });

  test("in a Kubernetes SeccompProfile", () => {
    const policy = valueOf(readOne({ kind: "SeccompProfile", spec: DOCUMENT }));
    expect([policy.form, answer(policy, "read")]).toEqual(["kubernetes", "allow"]);
  });

  test("in a profile of ours, where an unknown call is a mistake", () => {
    const policy = valueOf(readOne({ extends: "strict" }));
    expect([policy.form, answer(policy, "mount")]).toEqual(["profile", "errno(1)"]);
    expect(
      problemsOf({ extends: "strict", seccomp: { ...DOCUMENT, syscalls: DOCUMENT.syscalls.slice(0, 1) } })[0],
    ).toMatch(/no_such_call is not a system call/);
    expect(valueOf(readOne({ extends: "strict", seccomp: null })).filter.kind).toBe("none");
  });
});

describe("a file of BPF", () => {
  const strict = () => {
    const { filter } = valueOf(readOne({ extends: "strict" }));
    if (filter.kind !== "rules") throw new Error("strict has rules");
    return generate(filter.policy) as Uint8Array;
  };
  /** The same program for a big-endian machine. */
  const turned = (bytes: Uint8Array) => {
    const big = bytes.slice();
    const from = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const to = new DataView(big.buffer);
    for (let at = 0; at < bytes.length; at += 8) {
      const k = from.getUint32(at + 4, true);
      to.setUint16(at, from.getUint16(at, true), false);
      to.setUint32(at + 4, from.getUint16(at, true) === 0x20 && k >= 8 ? k ^ 4 : k, false);
    }
    return big;
  };

  test("of either byte order is the same program", () => {
    const bytes = strict();
    const little = valueOf(readOne(bytes));
    const big = valueOf(readOne(turned(bytes)));
    expect([little.form, big.form]).toEqual(["bpf", "bpf"]);
    expect(big.filter).toEqual(little.filter);
    expect([notesOf(little).length, notesOf(big).length]).toEqual([0, 1]);
    const decoded = decode(bytes);
    if (!decoded.ok || little.filter.kind !== "program") throw new Error("not a program");
    const words = call(AUDIT_ARCH.x86_64, 257, [0xffffff9cn, 0n, 0x241n, 0o4755n]);
    expect(evaluate(little.filter.bpf, words)).toBe(evaluate(decoded.bpf, words));
  });

  test("that no kernel takes is refused, with the instruction", () => {
    expect(problemsOf(strict().slice(0, -8))[0]).toMatch(
      /^\/policy: the file is neither JSON nor a filter that a kernel takes: instruction/,
    );
    expect(readBpf(Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0))).toEqual({
      ok: false,
      reason: "instruction 0: operation 0xff is not allowed in a seccomp filter",
    });
  });
});

test("what is not there is not there", () => {
  const read = readOne("", {});
  expect(read.ok).toBe(false);
  expect(problemsOf("{")[0]).toMatch(/^\/policy:1:2 /);
});

describe("a list of Kubernetes objects", () => {
  const filter = { kind: "SeccompProfile", spec: DOCUMENT };
  test("is read for the one filter that is in it, at its place", () => {
    const list = { apiVersion: "v1", kind: "List", items: [{ kind: "Pod" }, filter] };
    const policy = valueOf(readOne(list, { capabilities: [] }));
    expect([policy.form, answer(policy, "read"), answer(policy, "mount")]).toEqual([
      "kubernetes",
      "allow",
      "errno(1)",
    ]);
    const wrong = { ...list, items: [{ kind: "SeccompProfile", spec: { defaultAction: "X" } }] };
    expect(problemsOf(wrong)[0]).toMatch(/\/items\/0\/spec\/defaultAction/);
  });
  test("with two filters is refused", () => {
    expect(problemsOf({ kind: "List", items: [filter, filter] })).toEqual([
      expect.stringMatching(/\/items: the list has 2 filters; expected one SeccompProfile$/),
    ]);
  });
});

test("a note is one line, whatever a field is called", () => {
  const { notes } = valueOf(readOne({ ...DOCUMENT, "x\n::error::y\u001b[2J": 1 }, { capabilities: [] }));
  for (const note of notes) expect(formatNote(note, "p")).not.toMatch(/[\p{Cc}]/u);
});

test("another tool's policy in the place of a profile is called so, and told what makes one of it", () => {
  const resolved = resolveProfile(
    { profile: "/policy", overrides: [], cwd: "/" },
    filesWith({ "/policy": JSON.stringify(DOCUMENT) }),
  );
  expect(resolved.ok ? [] : resolved.problems.map(formatProblem)).toEqual([
    '--profile: "/policy" is another tool\'s policy and no profile; sandbox profile import "/policy" makes a profile of it; explain, check, prove and diff take it as it is',
  ]);
});
