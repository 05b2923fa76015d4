// Writes src/compile/seccomp/tables.generated.ts: the numbers of every system call on x86_64, x32, i386, aarch64 and arm.
// Takes the kernel's own user-space headers (Debian: linux-libc-dev; for arm linux-libc-dev-armhf-cross) and gcc as their
// preprocessor; calls younger than the headers come from NEWER below.
//
//   node scripts/syscall-tables.mjs            write what follows from our own sources: the fingerprint and docs/seccomp-groups.md
//   node scripts/syscall-tables.mjs --headers  write the tables too, from the headers of this machine
//   --arm-headers DIR                          where asm/unistd.h of arm is (implies --headers); without it the arm table is kept
//   node scripts/syscall-tables.mjs --check    exit 1 when a file is not what it should be
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";

const top = fileURLToPath(new URL("..", import.meta.url));
const fingerprintFile = `${top}src/kernel/fingerprint.generated.ts`;
const pageFile = `${top}docs/seccomp-groups.md`;
const target = `${top}src/compile/seccomp/tables.generated.ts`;
const X32 = 0x40000000;

// Since Linux 5.1 a new call has one number on every architecture (arch/*/tools or entry/syscalls/*.tbl, "common" rows).
const NEWER = {
  451: "cachestat",
  452: "fchmodat2",
  453: "map_shadow_stack",
  454: "futex_wake",
  455: "futex_wait",
  456: "futex_requeue",
  457: "statmount",
  458: "listmount",
  459: "lsm_get_self_attr",
  460: "lsm_set_self_attr",
  461: "lsm_list_modules",
  462: "mseal",
  463: "setxattrat",
  464: "getxattrat",
  465: "listxattrat",
  466: "removexattrat",
  467: "open_tree_attr",
  468: "file_getattr",
  469: "file_setattr",
  470: "listns",
};
// Below 424, and on x86-64 only: trampolines of uprobes (Linux 6.11 and 6.18).
const NEWER_X86_64 = { 335: "uretprobe", 336: "uprobe" };
// Private calls of arm, arch/arm/include/uapi/asm/unistd.h: __ARM_NR_BASE + n.
const ARM_PRIVATE = {
  983041: "breakpoint",
  983042: "cacheflush",
  983043: "usr26",
  983044: "usr32",
  983045: "set_tls",
  983046: "get_tls",
};

/** Every __NR_ macro that the preprocessor is left with, evaluated by gcc itself. */
function read(include, flags) {
  const run = (args, input) => {
    const result = spawnSync("gcc", args, { input, encoding: "utf8" });
    if (result.status !== 0) throw new Error(`gcc ${args.join(" ")}: ${result.stderr}`);
    return result.stdout;
  };
  const macros = run(["-E", "-dM", ...flags, "-x", "c", "-"], `#include <${include}>\n`);
  const names = [...macros.matchAll(/^#define __NR_(\w+) /gm)].map((m) => m[1]);
  const wanted = names.filter(
    (name) => !/^(syscalls|SYSCALL_BASE|OABI_SYSCALL_BASE|SYSCALL_MASK|arch_specific_syscall)$/.test(name),
  );
  const expanded = run(
    ["-E", "-P", ...flags, "-x", "c", "-"],
    `#include <${include}>\n${wanted.map((name) => `@ __NR_${name}`).join("\n")}\n`,
  );
  const values = [...expanded.matchAll(/^@ (.*)$/gm)].map((m) => evaluate(m[1]));
  const table = new Map();
  wanted.forEach((name, i) => {
    if (Number.isInteger(values[i])) table.set(values[i], name);
  });
  return table;
}

/** `0`, `(0 + 5)`, `(0x40000000 + 5)`: the only shapes the headers use. */
function evaluate(text) {
  const sum = text
    .replace(/[()\s]/g, "")
    .split("+")
    .map(Number);
  return sum.reduce((a, b) => a + b, 0);
}

/** Names in order of their numbers; a number stands before a name that does not follow its predecessor. */
function pack(table) {
  const words = [];
  let next = 0;
  for (const [nr, name] of [...table].toSorted((a, b) => a[0] - b[0])) {
    if (nr !== next) words.push(String(nr));
    words.push(name);
    next = nr + 1;
  }
  return words.join(" ");
}

function add(table, extra, base = 0) {
  for (const [nr, name] of Object.entries(extra))
    if (!table.has(base + Number(nr))) table.set(base + Number(nr), name);
  return table;
}

function headerVersion() {
  const text = spawnSync("gcc", ["-E", "-dM", "-x", "c", "-"], {
    input: "#include <linux/version.h>\n",
    encoding: "utf8",
  });
  const code = Number(/LINUX_VERSION_CODE (\d+)/.exec(text.stdout ?? "")?.[1] ?? Number.NaN);
  return Number.isNaN(code) ? "missing" : `${code >> 16}.${(code >> 8) & 255}`;
}

function committed() {
  return existsSync(target) ? readFileSync(target, "utf8") : "";
}

/** The text of tables.generated.ts as this machine's headers give it. */
export function generate(armHeaders) {
  const generic = [
    "RENAMEAT",
    "NEW_STAT",
    "SET_GET_RLIMIT",
    "TIME32_SYSCALLS",
    "SYS_CLONE3",
    "MEMFD_SECRET",
  ].map((want) => `-D__ARCH_WANT_${want}`);
  const tables = {
    x86_64: add(add(read("asm/unistd_64.h", []), NEWER), NEWER_X86_64),
    x32: add(read("asm/unistd_x32.h", ["-D__X32_SYSCALL_BIT=0x40000000"]), NEWER, X32),
    i386: add(read("asm/unistd_32.h", []), NEWER),
    aarch64: add(read("asm-generic/unistd.h", generic), NEWER),
  };
  const packed = Object.fromEntries(Object.entries(tables).map(([abi, table]) => [abi, pack(table)]));
  packed.arm =
    armHeaders === undefined
      ? (/^ {2}arm:\n? *"([^"]+)"/m.exec(committed())?.[1] ?? "")
      : pack(
          add(
            add(read("asm/unistd.h", ["-nostdinc", `-I${armHeaders}`, "-D__ARM_EABI__"]), NEWER),
            ARM_PRIVATE,
          ),
        );
  if (packed.arm === "") throw new Error("no arm table yet: give --arm-headers DIR");
  return `// Written by scripts/syscall-tables.mjs from the kernel's headers; do not edit.
/** Version of the headers; younger calls are listed in the script. */
export const HEADERS = "${headerVersion()}";
/** Names in order of number; a number sets the position of the name after it. */
export const TABLES = {
${Object.entries(packed)
  .map(([abi, text]) => `  ${abi}:\n    "${text}",`)
  .join("\n")}
} as const;
`;
}

/** The text of fingerprint.generated.ts: a digest of every source that determines what a filter becomes. */
export function fingerprint() {
  const files = [
    ...[`${top}src/compile/seccomp/`, `${top}src/prove/`].flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith(".ts"))
        .toSorted()
        .map((name) => folder + name),
    ),
    `${top}src/kernel/libseccomp.ts`,
  ];
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file)).update("\0");
  return `// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "${hash.digest("hex")}";
`;
}

/** The text of docs/seccomp-groups.md. */
export async function groupsPage() {
  const bundle = await rolldown({ input: `${top}src/compile/seccomp/groups.ts`, logLevel: "silent" });
  const { output } = await bundle.generate({ format: "esm" });
  await bundle.close();
  const { GROUPS } = await import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
  const sections = Object.entries(GROUPS).map(
    ([name, { about, calls }]) =>
      `## ${name}\n\n${about}.\n\n${calls.map((call) => `\`${call}\``).join(" ")}\n`,
  );
  return `<!-- Written by scripts/syscall-tables.mjs from src/compile/seccomp/groups.ts; do not edit. -->
# Groups of system calls

A name that starts with \`@\` in \`seccomp.syscalls[].names\` stands for all calls of a group. Calls that an architecture does not have
are left out there. A call may be allowed by a group and refused, for some arguments, by a rule of its own: of all rules that hold,
the strictest answer wins.

${sections.join("\n")}`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const at = process.argv.indexOf("--arm-headers");
  const same = committed() !== "" && !process.argv.includes("--headers") && at === -1;
  // Tables change only on request: the headers of another machine may know fewer calls.
  if (!same && !process.argv.includes("--check"))
    writeFileSync(target, generate(at === -1 ? undefined : process.argv[at + 1]));
  const files = { [fingerprintFile]: fingerprint(), [pageFile]: await groupsPage() };
  if (process.argv.includes("--check")) {
    const theirs = /HEADERS = "([^"]+)"/.exec(committed())?.[1];
    if (headerVersion() === theirs) files[target] = generate();
    else
      console.log(`kernel headers here are ${headerVersion()}, the tables are from ${theirs}: cannot tell`);
    for (const [file, text] of Object.entries(files)) {
      if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
      console.error(`${file} is out of date: run node scripts/syscall-tables.mjs`);
      process.exitCode = 1;
    }
  } else {
    for (const [file, text] of Object.entries(files)) writeFileSync(file, text);
  }
}
