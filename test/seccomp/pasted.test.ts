/** A complete profile in the format of container engines, pasted as it is: from text to a verified filter that answers as written. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AUDIT_ARCH } from "../../src/compile/seccomp/abi.ts";
import { decode } from "../../src/compile/seccomp/decode.ts";
import { evaluate } from "../../src/compile/seccomp/evaluate.ts";
import { call, formatVerdict } from "../../src/compile/seccomp/ir.ts";
import { syscallTable } from "../../src/compile/seccomp/tables.ts";
import { type CompiledFilter, compileFilter } from "../../src/kernel/filter.ts";
import { sandbox } from "../cli/command.ts";
import { resolveText } from "../profile/memory-files.ts";
import { target, valueOf } from "./support.ts";

const PASTED = readFileSync(new URL("container-default.json", import.meta.url), "utf8");
const TEXT = `{ "extends": "strict", "seccomp": ${PASTED} }`;
const BACKENDS = ["sandbox", "libseccomp"] as const;

type Arch = "x86_64" | "aarch64";

async function compile(
  arch: Arch,
  capabilities: readonly string[],
  backend: (typeof BACKENDS)[number],
): Promise<CompiledFilter> {
  const { spec } = valueOf(resolveText(TEXT));
  if (spec.seccomp === null) throw new Error("no filter");
  return valueOf(await compileFilter(spec.seccomp, target(arch, capabilities), { cache: null, backend }));
}

/** What the filter's bytes answer to a call. */
function ask({ bytes }: CompiledFilter, arch: Arch, name: string, ...args: readonly bigint[]): string {
  const decoded = decode(bytes);
  if (!decoded.ok) throw new Error(decoded.reason);
  const number = syscallTable(arch).numbers.get(name);
  if (number === undefined) throw new Error(`${arch} has no ${name}`);
  return formatVerdict(evaluate(decoded.bpf, call(AUDIT_ARCH[arch], number, args)));
}

const NEWUSER = 0x10000000n;
const THREAD = 0x3d0f00n;

describe.each(BACKENDS)("by %s", (backend) => {
  test.each(["x86_64", "aarch64"] as const)("on %s, without capabilities", async (arch) => {
    const filter = await compile(arch, [], backend);
    const answers = (name: string, ...args: readonly bigint[]) => ask(filter, arch, name, ...args);
    expect(filter.certificate.filter).toBe(filter.sha256);
    expect(["read", "write", "openat", "mseal", "ptrace"].map((name) => answers(name))).toEqual(
      Array.from({ length: 5 }, () => "allow"),
    );
    expect(["mount", "setns", "bpf", "chroot", "io_uring_setup"].map((name) => answers(name))).toEqual(
      Array.from({ length: 5 }, () => "errno(1)"),
    );
    expect([answers("clone", THREAD), answers("clone", NEWUSER | 17n)]).toEqual(["allow", "errno(1)"]);
    // The rule for s390, where the flags are the second argument, holds on s390 only.
    expect(answers("clone", NEWUSER | 17n, 0n)).toBe("errno(1)");
    expect(answers("clone3")).toBe("errno(38)");
    expect([answers("socket", 1n), answers("socket", 40n)]).toEqual(["allow", "errno(1)"]);
    expect([0n, 0xffffffffn, 0x20000n, 0x40000n].map((persona) => answers("personality", persona))).toEqual([
      "allow",
      "allow",
      "errno(1)",
      "errno(1)",
    ]);
  });

  test("calls of one architecture are allowed there", async () => {
    const here = await compile("x86_64", [], backend);
    expect([ask(here, "x86_64", "arch_prctl"), ask(here, "x86_64", "modify_ldt")]).toEqual([
      "allow",
      "allow",
    ]);
    const decoded = decode(here.bytes);
    // int $0x80 of i386: archMap opens no other ABI, only `architectures` does.
    if (!decoded.ok) throw new Error(decoded.reason);
    expect(formatVerdict(evaluate(decoded.bpf, call(AUDIT_ARCH.i386, 3)))).toBe("kill-process");
  });

  test("with CAP_SYS_ADMIN the rules for it hold, and those without it do not", async () => {
    const filter = await compile("x86_64", ["CAP_SYS_ADMIN"], backend);
    expect(["mount", "setns", "unshare", "bpf"].map((name) => ask(filter, "x86_64", name))).toEqual(
      Array.from({ length: 4 }, () => "allow"),
    );
    expect(ask(filter, "x86_64", "clone", NEWUSER)).toBe("allow");
    expect(ask(filter, "x86_64", "clone3")).toBe("errno(1)");
    expect(ask(filter, "x86_64", "chroot")).toBe("errno(1)");
  });

  test("what x86-64 does not have is left out, and said", async () => {
    const { notes } = await compile("x86_64", [], backend);
    const left = notes.filter((note) => note.startsWith("left out"));
    expect(left).toHaveLength(1);
    for (const name of [
      "_llseek",
      "chown32",
      "s390_pci_mmio_read",
      "swapcontext",
      "riscv_flush_icache",
      "set_tls",
    ])
      expect(left[0]).toContain(name);
    for (const name of ["read", "clone3", "mseal"])
      expect(left[0]).not.toMatch(new RegExp(`[ ,]${name}(,|$)`));
  });
});

test("sandbox profile validate takes it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-pasted-"));
  try {
    writeFileSync(join(directory, "pasted.json"), TEXT);
    expect(await sandbox(["profile", "validate", "pasted.json"], { cwd: directory })).toEqual({
      status: 0,
      stdout: "pasted.json: fine\n",
      stderr: "",
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
