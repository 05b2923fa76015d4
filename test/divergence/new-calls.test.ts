/** A call that only the other kernel has is exposed, broken or hidden, as the filter answers it, and none is passed over. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compareKernels, type KernelComparison } from "../../src/compare-kernels.ts";
import { ABIS, X32_BIT } from "../../src/compile/seccomp/abi.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { formatVerdict } from "../../src/compile/seccomp/ir.ts";
import {
  callsOfRelease,
  isKnownRelease,
  NEWEST_RELEASE,
  parseRelease,
} from "../../src/compile/seccomp/since.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { programOf } from "../../src/policy-input/meaning.ts";
import { readSyscallTable } from "../../src/policy-input/syscall-table.ts";
import { formatProblem } from "../../src/problems.ts";
import { formatAlternatives } from "../../src/prove/conditions.ts";
import { skipUnless, valueOf } from "../seccomp/support.ts";
import { AS_WRITTEN, filesWith } from "../toolkit/files.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const release = (text: string) => {
  const parsed = parseRelease(text);
  if (parsed === null) throw new Error(text);
  return parsed;
};
const compare = (
  document: object,
  more: Partial<KernelComparison> = {},
  tables: Record<string, string> = {},
) =>
  compareKernels(
    { ...AS_WRITTEN, name: "/policy", from: "6.7", to: "6.10", abi: "x86_64", ...more },
    filesWith({ "/policy": JSON.stringify(document), ...tables }),
  );
const found = (...args: Parameters<typeof compare>) => {
  const { result } = valueOf(compare(...args));
  if ("kind" in result) throw new Error(result.reason);
  return result;
};

describe("releases", () => {
  test("each brings what the next one has too, and the newest has the whole table", () => {
    const order = [
      "5.1",
      "5.2",
      "5.3",
      "5.6",
      "5.8",
      "5.9",
      "5.13",
      "5.17",
      "6.1",
      "6.6",
      "6.7",
      "6.10",
      "6.19",
    ];
    for (const abi of ABIS) {
      const tables = order.map((each) => callsOfRelease(abi, release(each)));
      for (const [index, table] of tables.slice(1).entries())
        for (const name of tables[index]?.keys() ?? [])
          expect([abi, name, table.has(name)]).toEqual([abi, name, true]);
      expect(tables.at(-1)).toEqual(syscallTable(abi).numbers);
    }
  });

  test.each<readonly [name: string, before: string, since: string]>([
    ["pidfd_send_signal", "5.0", "5.1"],
    ["openat2", "5.5", "5.6"],
    ["close_range", "5.8", "5.9"],
    ["landlock_add_rule", "5.12", "5.13"],
    ["memfd_secret", "5.13", "5.14"],
    ["cachestat", "6.4", "6.5"],
    ["map_shadow_stack", "6.5", "6.6"],
    ["mseal", "6.9", "6.10"],
    ["uretprobe", "6.10", "6.11"],
    ["listns", "6.18", "6.19"],
  ])("%s came after %s, with %s", (name, before, since) => {
    expect(callsOfRelease("x86_64", release(before)).has(name)).toBe(false);
    expect(callsOfRelease("x86_64", release(since)).has(name)).toBe(true);
  });

  test("the numbers that every architecture shares are dated on each of them", () => {
    const of = (abi: (typeof ABIS)[number]) => callsOfRelease(abi, release("6.9"));
    expect(ABIS.map((abi) => of(abi).has("mseal"))).toEqual(ABIS.map(() => false));
    expect(ABIS.map((abi) => of(abi).has("statmount"))).toEqual(ABIS.map(() => true));
    expect(of("arm").has("set_tls")).toBe(true);
    expect(of("x32").get("execve")).toBe(X32_BIT + 520);
  });

  test("one whose calls are not known is refused, and told what would do", () => {
    expect(
      ["5.0", "5.1", NEWEST_RELEASE, "6.20", "7.0"].map((each) => isKnownRelease(release(each))),
    ).toEqual([false, true, true, false, false]);
    const refused = compare({ defaultAction: "SCMP_ACT_ALLOW" }, { to: "7.1", from: "absent.tbl" });
    expect(refused.ok ? [] : refused.problems.map(formatProblem)).toEqual([
      '--from: there is no file "absent.tbl"; expected a release such as 6.1, or a file with a kernel\'s system calls',
      "--to: the calls of Linux 7.1 are not known here; expected 5.1 to 6.19; or the kernel's own table, such as arch/x86/entry/syscalls/syscall_64.tbl",
    ]);
  });
});

describe("a kernel's own table", () => {
  const TABLE =
    "# comment\n0\tcommon\tread\tsys_read\n13\t64\trt_sigaction\tsys\n512\tx32\trt_sigaction\tcompat\n471 common brand_new sys\n";

  test("is read by the column of the ABI", () => {
    expect([...valueOf(readSyscallTable(bytes(TABLE), "t", "x86_64"))]).toEqual([
      ["read", 0],
      ["rt_sigaction", 13],
      ["brand_new", 471],
    ]);
    expect(valueOf(readSyscallTable(bytes(TABLE), "t", "x32")).get("rt_sigaction")).toBe(X32_BIT + 512);
    expect(readSyscallTable(bytes(TABLE), "t", "i386").ok).toBe(false);
  });

  const installed = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
  test.skipIf(skipUnless(existsSync(installed), `${installed} is missing (Debian: linux-libc-dev)`))(
    "the installed header has the numbers of ours",
    () => {
      const read = valueOf(readSyscallTable(readFileSync(installed), installed, "x86_64"));
      expect(read.size).toBeGreaterThan(300);
      for (const [name, nr] of read)
        expect([name, syscallTable("x86_64").numbers.get(name)]).toEqual([name, nr]);
    },
  );

  test.each<readonly [what: string, text: string, message: RegExp]>([
    ["nothing", "", /^t: no system call of x86_64 is in it/],
    ["another file", "all:\n\tgcc -o x\n", /^t: no system call of x86_64 is in it/],
    [
      "two names for a number",
      "1 common a s\n1 common b s\n",
      /^t:2:1 \/: number 1 is a already, now b; expected one name a number$/,
    ],
    [
      "more than any kernel has",
      "\n".repeat(30_000),
      /^t: the file has 30001 lines; expected at most 20000$/,
    ],
  ])("%s is refused", (_, text, message) => {
    const read = readSyscallTable(bytes(text), "t", "x86_64");
    expect(read.ok ? [] : read.problems.map(formatProblem)).toEqual([expect.stringMatching(message)]);
  });
});

describe("a filter", () => {
  test("that lists what is denied exposes the next kernel's calls", () => {
    const { calls } = found({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["statmount"], action: "SCMP_ACT_ERRNO" }],
    });
    expect(calls.map(({ name, fate, named }) => [name, fate, named])).toEqual([
      ["statmount", "broken", true],
      ["listmount", "exposed", false],
      ["lsm_get_self_attr", "exposed", false],
      ["lsm_set_self_attr", "exposed", false],
      ["lsm_list_modules", "exposed", false],
      ["mseal", "exposed", false],
    ]);
  });

  test.each<readonly [action: string, errnoRet: number | undefined, fate: string]>([
    ["SCMP_ACT_ERRNO", 1, "broken"],
    ["SCMP_ACT_ERRNO", 38, "hidden"],
    ["SCMP_ACT_KILL_PROCESS", undefined, "broken"],
    ["SCMP_ACT_TRAP", undefined, "broken"],
    ["SCMP_ACT_LOG", undefined, "exposed"],
    ["SCMP_ACT_NOTIFY", undefined, "exposed"],
    ["SCMP_ACT_TRACE", undefined, "exposed"],
  ])("that answers %s %s leaves new calls %s", (defaultAction, defaultErrnoRet, fate) => {
    const { calls } = found({ defaultAction, ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }) });
    expect([...new Set(calls.map((each) => each.fate))]).toEqual([fate]);
  });

  test("that lets a call through with some arguments says with which", () => {
    const args = [{ index: 2, op: "SCMP_CMP_EQ", value: 0 }];
    const { calls } = found({
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      syscalls: [{ names: ["mseal"], action: "SCMP_ACT_ALLOW", args }],
    });
    const mseal = calls.find(({ name }) => name === "mseal");
    expect([mseal?.fate, mseal && formatAlternatives(mseal.when)]).toEqual(["exposed", "arg2 == 0x0"]);
  });

  test("answers a call that no table of ours has", () => {
    const { calls, gone } = found(
      { defaultAction: "SCMP_ACT_ALLOW" },
      { from: "/old.tbl", to: "/new.tbl" },
      {
        "/old.tbl": "0 common read s\n1 common write s\n",
        "/new.tbl": "0 common read s\n1 common wrote s\n900 64 later s\n",
      },
    );
    expect(calls.map(({ name, nr, was, fate }) => [name, nr, was, fate])).toEqual([
      ["wrote", 1, "write", "exposed"],
      ["later", 900, null, "exposed"],
    ]);
    expect(gone).toEqual([]);
    expect(
      found(
        { defaultAction: "SCMP_ACT_ALLOW" },
        { from: "/old.tbl", to: "/new.tbl" },
        { "/old.tbl": "0 common read s\n1 common write s\n", "/new.tbl": "0 common read s\n" },
      ).gone,
    ).toEqual(["write"]);
  });

  test("every example is answered so by the evaluator, on every ABI", () => {
    for (const abi of ABIS) {
      const { policy, result } = valueOf(compare({}, { name: "strict", from: "5.1", to: "6.19", abi }));
      if ("kind" in result) throw new Error(result.reason);
      const program = valueOf(programOf(policy.filter));
      expect(result.calls.length).toBeGreaterThan(30);
      for (const { example, verdict } of result.calls)
        expect(formatVerdict(evaluate(program, example))).toBe(formatVerdict(verdict));
    }
  });
});
