import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { classifyBytes } from "../../src/elf/parse.ts";
import { findClosure } from "../../src/host/closure.ts";
import { readExecutable } from "../../src/host/elf.ts";
import { readRegular } from "../../src/host/files.ts";
import { parseLibraryCache } from "../../src/host/library-cache.ts";
import { has, need } from "./needs.ts";

const where = { kind: "flag", flag: "CMD" } as const;
const PATH = "/usr/bin:/bin";
const closure = (program: string) => findClosure(program, PATH, where);
let directory = "";
beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "sandbox-closure-")));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const make = (name: string, content: string | Buffer): string => {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o755 });
  return path;
};

/** A program or library from C. */
const build = (name: string, source: string, ...flags: string[]): string => {
  const output = join(directory, name);
  execFileSync("gcc", ["-x", "c", "-o", output, "-", ...flags], { input: source, cwd: directory });
  return output;
};
const NO_GCC = "gcc is not installed";
const hasGcc = has("/usr/bin/gcc");

/** What the real loader says, as real paths; the program itself is not in it. */
function ldd(program: string): readonly string[] {
  const text = execFileSync("ldd", [program], { encoding: "utf8", env: { PATH, LC_ALL: "C" } });
  const paths = [...text.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => realpathSync(match[1] ?? ""));
  return [...new Set(paths)].toSorted();
}

const PROGRAMS = [
  "/bin/sh",
  "/bin/ls",
  "/usr/bin/git",
  "/usr/bin/python3",
  "/usr/bin/perl",
  "/usr/bin/java",
  "/usr/bin/gdb",
];

describe("the closure is what the loader opens", () => {
  for (const program of [...PROGRAMS.filter(existsSync), process.execPath]) {
    test(`of ${program}`, (context) => {
      need(context, has("/usr/bin/ldd"), "ldd is not installed");
      const found = closure(program);
      expect(found.problems).toEqual([]);
      expect(found.files[0]).toBe(program);
      const real = new Set(found.files.map((file) => realpathSync(file)));
      real.delete(realpathSync(program));
      expect([...real].toSorted()).toEqual(ldd(realpathSync(program)));
    });
  }

  test("each path that leads through links comes with its real path", () => {
    const { files } = closure("/bin/sh");
    for (const file of files) expect(files).toContain(realpathSync(file));
  });

  test("a script brings its interpreter, and through env the one in PATH", () => {
    const script = make("script", "#!/usr/bin/env -S sh -e\n");
    const { files, problems } = closure(script);
    expect(problems).toEqual([]);
    expect(files[0]).toBe(script);
    expect(files).toEqual(expect.arrayContaining(["/usr/bin/env", "/usr/bin/sh"]));
  });

  test("scripts that interpret each other end after the kernel's limit with a problem", () => {
    const a = join(directory, "a");
    const b = make("b", `#!${a}\n`);
    make("a", `#!${b}\n`);
    const { problems } = closure(a);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.kind).toBe("path-missing");
  });

  test.each([
    ["#!relative/interpreter\n", /no absolute interpreter/],
    ["#!\n", /no absolute interpreter/],
    ["#!/nonexistent/interpreter\n", /\/nonexistent\/interpreter, needed to start/],
    ["#!/usr/bin/env no-such-program-anywhere\n", /no-such-program-anywhere/],
  ])("%j is a problem that names what is missing", (text, message) => {
    const { problems } = closure(make("bad-script", text));
    expect(problems.map((problem) => problem.message)).toEqual([expect.stringMatching(message)]);
  });

  test("what is no regular file is refused without waiting for it", () => {
    const fifo = join(directory, "fifo");
    if (spawnSync("mkfifo", [fifo]).status !== 0) throw new Error("mkfifo failed");
    for (const path of [fifo, "/dev/zero", "/dev/tty", directory, join(directory, "none")]) {
      expect(readExecutable(path)).toEqual({ kind: "unreadable" });
      expect(closure(path).problems).toHaveLength(1);
    }
  });

  test("DT_RUNPATH with $ORIGIN counts from where the program really is", (context) => {
    need(context, hasGcc, NO_GCC);
    mkdirSync(join(directory, "own/lib"), { recursive: true });
    build("own/lib/libours.so", "int ours(void){return 1;}", "-shared", "-fPIC", "-Wl,-soname,libours.so");
    const program = build(
      "own/program",
      "int ours(void);int main(void){return ours();}",
      "-Lown/lib",
      "-lours",
      "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib",
    );
    const link = join(directory, "link");
    symlinkSync(program, link);
    for (const path of [program, link]) {
      expect(closure(path).files).toContain(join(directory, "own/lib/libours.so"));
    }
    expect(ldd(program)).toContain(join(directory, "own/lib/libours.so"));
  });

  test("DT_RPATH is inherited by the libraries of the program, DT_RUNPATH is not", (context) => {
    need(context, hasGcc, NO_GCC);
    mkdirSync(join(directory, "deep"), { recursive: true });
    build("deep/libinner.so", "int inner(void){return 1;}", "-shared", "-fPIC", "-Wl,-soname,libinner.so");
    build(
      "deep/libouter.so",
      "int inner(void);int outer(void){return inner();}",
      "-shared",
      "-fPIC",
      "-Wl,-soname,libouter.so",
      "-Ldeep",
      "-linner",
    );
    const source = "int outer(void);int main(void){return outer();}";
    const flags = ["-Ldeep", "-louter", "-Wl,--allow-shlib-undefined"];
    const rpath = build("with-rpath", source, ...flags, "-Wl,--disable-new-dtags,-rpath,$ORIGIN/deep");
    const runpath = build("with-runpath", source, ...flags, "-Wl,--enable-new-dtags,-rpath,$ORIGIN/deep");
    expect(closure(rpath).problems).toEqual([]);
    expect(closure(rpath).files).toContain(join(directory, "deep/libinner.so"));
    expect(closure(runpath).problems.map((problem) => problem.message)).toEqual([
      expect.stringContaining("libouter.so needs the library libinner.so"),
    ]);
  });

  test("a library for another machine in an early directory is passed over", (context) => {
    need(context, hasGcc, NO_GCC);
    mkdirSync(join(directory, "wrong"), { recursive: true });
    const other = readFileSync("/bin/sh");
    // e_machine of s390: nothing that runs here.
    other.writeUInt16LE(22, 18);
    writeFileSync(join(directory, "wrong/libm.so.6"), other);
    const program = build(
      "passes-over",
      "#include <math.h>\nint main(int c,char**v){return (int)sin(c);}",
      "-Wl,--no-as-needed",
      "-lm",
      "-Wl,-rpath,$ORIGIN/wrong",
    );
    expect(closure(program).files).not.toContain(join(directory, "wrong/libm.so.6"));
    expect(closure(program).problems).toEqual([]);
  });

  test("a static program is alone", (context) => {
    need(context, hasGcc, NO_GCC);
    const program = build("static", "int main(void){return 0;}", "-static");
    expect(closure(program)).toEqual({ files: [program], problems: [] });
  });
});

describe("hostile files", () => {
  const original = readFileSync("/bin/ls");

  test("no damage to an ELF file makes the reader throw or stall", () => {
    const head = original.subarray(0, 4096);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(head.length - 1), fc.nat(255)), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 0, max: original.length }),
        (changes, length) => {
          const bytes = Buffer.from(original.subarray(0, length));
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          expect(["elf", "script", "other"]).toContain(classifyBytes(bytes).kind);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("every byte of the tables may be anything", () => {
    const start = Buffer.from(original.subarray(0, 64 + 56 * 13));
    for (let at = 4; at < start.length; at++) {
      for (const value of [0x00, 0x7f, 0xff]) {
        const bytes = Buffer.from(original);
        bytes[at] = value;
        expect(["elf", "other"]).toContain(classifyBytes(bytes).kind);
      }
    }
  });

  test("random bytes after the magic are no ELF file that needs anything outside of itself", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (tail) => {
        const result = classifyBytes(Buffer.concat([Buffer.from("\u007FELF"), tail]));
        expect(["elf", "other"]).toContain(result.kind);
      }),
    );
  });

  test("a program whose interpreter or library is itself does not loop", () => {
    const path = join(directory, "self");
    copyFileSync("/bin/ls", path);
    chmodSync(path, 0o755);
    const bytes = readFileSync(path);
    const at = bytes.indexOf("libc.so.6\0");
    bytes.write("self\0", at, "latin1");
    writeFileSync(path, bytes);
    const { problems } = closure(path);
    expect(problems.map((problem) => problem.message)).toEqual([
      expect.stringContaining("needs the library self"),
    ]);
  });
});

describe("the loader's cache", () => {
  test("has what ldconfig -p prints", (context) => {
    need(context, has("/sbin/ldconfig") && existsSync("/etc/ld.so.cache"), "no ldconfig or no cache");
    const printed = execFileSync("/sbin/ldconfig", ["-p"], { encoding: "utf8", env: { LC_ALL: "C" } });
    const expected = [...printed.matchAll(/^\t(\S+) \(.*\) => (\S+)$/gm)].map((m) => `${m[1]} ${m[2]}`);
    const cache = parseLibraryCache(readRegular("/etc/ld.so.cache", 1 << 26) ?? Buffer.alloc(0));
    const found = [...cache].flatMap(([name, paths]) => paths.map((path) => `${name} ${path}`));
    expect(found.toSorted()).toEqual(expected.toSorted());
  });

  test("damage gives fewer entries, never an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (tail) => {
        const cache = Buffer.concat([Buffer.from("glibc-ld.so.cache1.1"), tail]);
        for (const paths of parseLibraryCache(cache).values()) {
          for (const path of paths) expect(path.startsWith("/")).toBe(true);
        }
      }),
    );
  });
});
