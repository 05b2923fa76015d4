/** What we say that runc and libseccomp do, they do: the witness of each case is answered under real runc as "loaded", and libseccomp's filters are proved. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENOSYS, type Verdict, WORD } from "../../src/compile/seccomp/ir.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { divergencesOf } from "../../src/divergence/report.ts";
import { libseccompVersion } from "../../src/kernel/libseccomp.ts";
import { argumentsOf } from "../../src/prove/format-call.ts";
import { permission } from "../../src/prove/prover.ts";
import { skipUnless, valueOf } from "../seccomp/support.ts";
import { readOne } from "../toolkit/files.ts";

const has = (program: string) => spawnSync(program, ["--version"]).status === 0;
const skip = skipUnless(
  process.getuid?.() === 0 && process.arch === "x64" && has("runc") && has("gcc"),
  "needs root, x86-64, runc and gcc",
);

/** Calls without an implementation: an allowed one does nothing but ENOSYS. */
const HARMLESS = ["nfsservctl", "getpmsg", "putpmsg"];
const DEFAULT_ERRNO = 99;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-divergence-"));
  mkdirSync(join(directory, "rootfs", "proc"), { recursive: true });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Every call but those that are tried: whatever runc itself needs. */
const rest = (upTo: number) => ({
  names: [...syscallTable("x86_64").numbers].flatMap(([name, nr]) =>
    HARMLESS.includes(name) || nr > upTo ? [] : [name],
  ),
  action: "SCMP_ACT_ALLOW",
});
const condition = (index: number, op: string, value: number) => ({ index, op: `SCMP_CMP_${op}`, value });

/** The errno that real runc's filter gives to a call. */
function underRunc(seccomp: object, nr: number, args: readonly bigint[]): number {
  const built = spawnSync("gcc", [
    "-static",
    "-O1",
    "-o",
    join(directory, "rootfs", "call"),
    new URL("runc.c", import.meta.url).pathname,
  ]);
  if (built.status !== 0) throw new Error(built.stderr.toString());
  const config = {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args: ["/call", nr, ...args].map(String),
      env: ["PATH=/"],
      cwd: "/",
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: { namespaces: [{ type: "pid" }, { type: "mount" }], seccomp },
  };
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  const name = `divergence-${process.pid}-${Math.floor(performance.now())}`;
  const ran = spawnSync("runc", ["--root", join(directory, "state"), "run", name], {
    cwd: directory,
    encoding: "utf8",
    timeout: 15_000,
  });
  if (ran.status !== 0) throw new Error(`runc: ${ran.stderr}`);
  return Number(ran.stdout);
}

const expected = (verdict: Verdict) => (permission(verdict) === 2 ? ENOSYS : verdict & 0xffff);

describe.skipIf(skip)("under runc the witness is answered as loaded, not as written", () => {
  const ALLOW = "SCMP_ACT_ALLOW";
  const ERRNO = "SCMP_ACT_ERRNO";
  const cases: Readonly<Record<string, { readonly upTo: number; readonly rules: readonly object[] }>> = {
    "same-argument": {
      upTo: 500,
      rules: [{ names: ["nfsservctl"], action: ALLOW, args: [condition(0, "NE", 1), condition(0, "NE", 2)] }],
    },
    "equal-to-default": {
      upTo: 500,
      rules: [
        { names: ["nfsservctl"], action: ALLOW },
        { names: ["nfsservctl"], action: ERRNO, errnoRet: DEFAULT_ERRNO },
      ],
    },
    "unconditional-wins": {
      upTo: 500,
      rules: [
        { names: ["getpmsg"], action: ALLOW },
        { names: ["getpmsg"], action: ERRNO, errnoRet: 98, args: [condition(0, "EQ", 7)] },
      ],
    },
    "enosys-stub": { upTo: 439, rules: [] },
  };
  test.each(Object.keys(cases))("%s", (name) => {
    const { upTo, rules } = cases[name] as (typeof cases)[string];
    const architectures = ["SCMP_ARCH_X86_64"];
    const seccomp = {
      architectures,
      defaultAction: ERRNO,
      defaultErrnoRet: DEFAULT_ERRNO,
      syscalls: [rest(upTo), ...rules],
    };
    const found = valueOf(divergencesOf(valueOf(readOne(seccomp)).filter)).find((each) => each.case === name);
    const witness = found?.witness;
    if (!witness) throw new Error("no witness");
    const { call, written, loaded } = witness;
    expect(expected(written)).not.toBe(expected(loaded));
    expect(underRunc(seccomp, call[WORD.nr] as number, argumentsOf(call))).toBe(expected(loaded));
  });
});

const version = libseccompVersion();
describe.skipIf(
  skipUnless(version !== null && /^2\.5\.[0-4]$/.test(version), "needs libseccomp 2.5.4 or older"),
)("libseccomp", () => {
  const resolve = () =>
    koffi.load("libseccomp.so.2").func("int seccomp_syscall_resolve_name(const char *name)") as (
      name: string,
    ) => number;

  test("has no names for the calls that are called too new, and has them for all others of x86-64", () => {
    const numberOf = resolve();
    const numbers = [...syscallTable("x86_64").numbers];
    const named = numbers.filter(([name]) => numberOf(name) !== -1);
    expect(named.filter(([, nr]) => nr > 456)).toEqual([]);
    // Trampolines of the kernel's own; an unpatched 2.5.4 lacks those from 451 on as well.
    const lacking = numbers.filter(([name, nr]) => numberOf(name) === -1 && nr <= 450);
    expect(lacking.map(([name]) => name)).toEqual(["uretprobe", "uprobe"]);
  });
});
