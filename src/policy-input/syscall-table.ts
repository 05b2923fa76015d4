/**
 * A kernel's own list of system calls -> numbers by name: the tables that it is built from (arch/x86/entry/syscalls/syscall_64.tbl, scripts/syscall.tbl) and
 * the headers that it installs (asm/unistd_64.h, asm-generic/unistd.h). Takes bytes and the ABI; a file that is neither, or says two things of a
 * number, is a problem and never a short table.
 */
import { type Abi, X32_BIT } from "../compile/seccomp/abi.ts";
import type { Checked, Problem } from "../problems.ts";

/** The second column of a table: which rows are an ABI's. The generic table has arm64's options by name. */
const COLUMNS: Readonly<Record<Abi, readonly string[]>> = {
  x86_64: ["common", "64"],
  x32: ["common", "x32"],
  i386: ["i386"],
  aarch64: ["common", "64", "renameat", "rlimit", "memfd_secret"],
  arm: ["common", "eabi"],
};

/** A file of a kernel has a few hundred lines; this bounds what a hostile one costs. */
const MOST_LINES = 20_000;

export function readSyscallTable(
  bytes: Uint8Array,
  file: string,
  abi: Abi,
): Checked<ReadonlyMap<string, number>> {
  const problems: Problem[] = [];
  const report = (line: number, message: string, expected?: string): void => {
    const where = { kind: "profile", file, pointer: "", line, column: line === 0 ? 0 : 1 } as const;
    problems.push({
      kind: "syscall-table-invalid",
      where,
      pointer: "",
      message,
      ...(expected === undefined ? {} : { expected }),
    });
  };
  const numbers = new Map<string, number>();
  const names = new Map<number, string>();
  const lines = new TextDecoder().decode(bytes).split("\n");
  if (lines.length > MOST_LINES) report(0, `the file has ${lines.length} lines`, `at most ${MOST_LINES}`);
  else
    for (const [index, line] of lines.entries()) {
      const row = ofTable(line, abi) ?? ofHeader(line, abi);
      if (row === null) continue;
      const [name, nr] = row;
      const other = names.get(nr);
      if (other !== undefined && other !== name)
        report(index + 1, `number ${nr} is ${other} already, now ${name}`, "one name a number");
      names.set(nr, name);
      numbers.set(name, nr);
    }
  if (problems.length === 0 && numbers.size === 0)
    report(
      0,
      `no system call of ${abi} is in it`,
      "a table such as the kernel's syscall_64.tbl, or a header such as asm/unistd_64.h",
    );
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: numbers };
}

type Row = readonly [name: string, nr: number];

/** `257	common	openat	sys_openat` */
function ofTable(line: string, abi: Abi): Row | null {
  const match = /^(\d{1,6})\s+(\w+)\s+(\w+)(?:\s|$)/.exec(line);
  if (match === null || !COLUMNS[abi].includes(match[2] as string)) return null;
  return [match[3] as string, Number(match[1]) + (abi === "x32" ? X32_BIT : 0)];
}

/** Names that are macros of the header and no calls. */
const MACROS = /^(syscalls|SYSCALL_BASE|OABI_SYSCALL_BASE|SYSCALL_MASK|arch_specific_syscall)$/;

/** `#define __NR_openat 257`, `(__X32_SYSCALL_BIT + 257)`, `(__NR_SYSCALL_BASE + 322)`. */
function ofHeader(line: string, abi: Abi): Row | null {
  const match =
    /^\s*#\s*define\s+__NR_?(\w+)\s+(?:\(\s*(__X32_SYSCALL_BIT|__NR_SYSCALL_BASE)\s*\+\s*(\d{1,6})\s*\)|(\d{1,6}))\s*(?:\/[*/].*)?$/.exec(
      line,
    );
  if (match === null || MACROS.test(match[1] as string)) return null;
  if ((match[2] === "__X32_SYSCALL_BIT") !== (abi === "x32")) return null;
  return [match[1] as string, Number(match[3] ?? match[4]) + (abi === "x32" ? X32_BIT : 0)];
}
