/**
 * Nothing that a command starts or loads is said to be reached by nothing: the environment, the loader's files, the C library's own modules and
 * what stands in the way in PATH count. Programs are built with a loader's path of their own, so that they mean the same on every machine.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { factsOf } from "../../src/image/facts/facts.ts";
import type { Reach } from "../../src/image/facts/reach.ts";
import { has, need } from "../host/needs.ts";
import { layout, readGood } from "./layout.ts";
import { file, type Member, symlink, tar } from "./tar-writer.ts";

const hasGcc = has("/usr/bin/gcc");
let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-reach-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const LOADER = "/lib/ld-linux-x86-64.so.2";
const BARE = ["-nostdlib", "-fno-stack-protector", "-Wl,-z,now", "-Wl,--allow-shlib-undefined"];
let built = 0;

/** What gcc makes of a text; libraries that it needs are named by their files in `directory`. */
function build(source: string, ...flags: readonly string[]): string {
  const output = join(directory, `${built++}`);
  execFileSync("gcc", ["-x", "c", "-o", output, "-", ...BARE, ...flags], { input: source, cwd: directory });
  return output;
}
const library = (soname: string, source = "", ...flags: readonly string[]): string =>
  build(source, "-shared", "-fPIC", `-Wl,-soname,${soname}`, ...flags);
const program = (source: string, needed: readonly string[] = [], ...flags: readonly string[]): string =>
  build(
    source,
    "-e",
    "main",
    `-Wl,--dynamic-linker=${LOADER}`,
    "-Wl,--no-as-needed",
    "-Wl,--unresolved-symbols=ignore-all",
    "-pie",
    "-fPIE",
    ...needed.flatMap((one) => ["-x", "none", one]),
    ...flags,
  );

const at = (name: string, path: string, mode = 0o755): Member => file(name, readFileSync(path), { mode });
const script = (name: string, line: string): Member => file(name, `${line}\n`, { mode: 0o755 });
const MAIN = "int main(void) { return 0; }";
const loader = (): Member => at(LOADER.slice(1), library("ld-linux-x86-64.so.2"));
const PLACE = "usr/lib/x86_64-linux-gnu";

async function reach(
  members: readonly Member[],
  config: Readonly<Record<string, unknown>> = { Cmd: ["/app"] },
): Promise<Reach> {
  return (await factsOf(await readGood(layout({ layers: [{ tar: tar(...members) }], config })))).reach;
}
const reached = async (...all: Parameters<typeof reach>): Promise<readonly string[]> =>
  (await reach(...all)).reached;

describe("in PATH", () => {
  test("a file that may not be executed hides no program", async () => {
    const tools = [
      file("first/app", "a text"),
      file("second/app", "#!/bin/x\n", { mode: 0o100 }),
      script("third/app", "#!/bin/y"),
      script("fourth/app", "#!/bin/z"),
      ...["x", "y", "z"].map((name) => file(`bin/${name}`, "x", { mode: 0o755 })),
    ];
    expect(await reached(tools, { Cmd: ["app"], Env: ["PATH=/first:/second:/third:/fourth"] })).toEqual([
      "bin/x",
      "bin/y",
      "second/app",
      "third/app",
    ]);
  });

  test("a directory that is not absolute begins in the working directory, and of several PATHs each counts", async () => {
    const tools = [file("srv/bin/app", "x", { mode: 0o755 }), file("opt/app", "y", { mode: 0o755 })];
    const Env = ["PATH=/opt", "PATH=bin:/usr/bin"];
    expect(await reached(tools, { Cmd: ["app"], WorkingDir: "/srv", Env })).toEqual([
      "opt/app",
      "srv/bin/app",
    ]);
  });

  test("a command that only the host can start leaves nothing decided", async () => {
    const found = await reach([file("bin/app", "\0asm", { mode: 0o755 })], { Cmd: ["app"] });
    expect(found.missing).toEqual(["app is no program by itself: what the host starts for it is not known"]);
    expect(found.calls.needs).toBeNull();
  });

  test("a command of a hundred thousand words in as many directories is not looked for years", async () => {
    const Env = [`PATH=${Array.from({ length: 60_000 }, (_, index) => `/${index}`).join(":")}`];
    const found = await reach([file("x")], { Cmd: Array.from({ length: 100_000 }, () => "a"), Env });
    expect(found.missing).toContain("what is behind the first 1024 words of a command");
  });

  test("what env(1) is told in a script counts", async () => {
    const tools = (line: string): readonly Member[] => [
      script("app", line),
      ...["usr/bin/env", "usr/bin/py", "opt/py", "usr/bin/X"].map((name) => file(name, "x", { mode: 0o755 })),
    ];
    for (const line of ["#!/usr/bin/env -S -i PATH=/opt py -x", "#!/usr/bin/env -iS PATH=/opt py"])
      expect(await reached(tools(line))).toEqual(["app", "opt/py", "usr/bin/env"]);
    for (const line of ["#!/usr/bin/env py", "#!/usr/bin/env -Spy", "#!/usr/bin/env -S -u X 'py' y"])
      expect(await reached(tools(line))).toEqual(["app", "usr/bin/env", "usr/bin/py"]);
  });
});

test("the shell of the configuration runs a health check of one text", async () => {
  const config = {
    Cmd: ["app"],
    Shell: ["/bin/ash", "-ec"],
    Healthcheck: { Test: ["CMD-SHELL", "probe -x"] },
  };
  const scripts = ["bin/ash", "bin/sh", "bin/app", "bin/probe"].map((name) => script(name, "#!/bin/none"));
  expect(await reached(scripts, config)).toEqual(["bin/app", "bin/ash", "bin/probe"]);
});

describe("libraries", () => {
  test("of LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH and etc/ld.so.preload", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const foo = library("libfoo.so");
    const members = [
      loader(),
      at("app", program(MAIN, [foo])),
      at("opt/libfoo.so", foo),
      at("opt/pre.so", library("pre.so")),
      at(`${PLACE}/named.so`, library("named.so")),
      at("opt/audit.so", library("audit.so")),
      at("etc-preload.so", library("etc-preload.so")),
      at("opt/other.so", library("other.so")),
      file("etc/ld.so.preload", "# nothing\n/etc-preload.so\n"),
    ];
    const Env = [
      "LD_LIBRARY_PATH=/opt",
      "LD_PRELOAD=/opt/pre.so named.so:/gone.so",
      "LD_AUDIT=/opt/audit.so",
    ];
    const found = await reach(members, { Cmd: ["/app"], Env });
    expect(found.missing).toEqual([]);
    expect(found.reached).toEqual([
      "app",
      "etc-preload.so",
      LOADER.slice(1),
      "opt/audit.so",
      "opt/libfoo.so",
      "opt/pre.so",
      `${PLACE}/named.so`,
    ]);
    expect((await reach(members)).missing.join()).toMatch(/needs the library libfoo.so/);
  });

  test("that a library filters, replaces or is watched by", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const names = ["filter.so", "auxiliary.so", "audit.so", "dependents.so"];
    const foo = library("libfoo.so", "", "-Wl,-F,filter.so", "-Wl,-f,auxiliary.so", "-Wl,-P,dependents.so");
    const found = await reached([
      loader(),
      at("app", program(MAIN, [foo], "-Wl,--audit=audit.so")),
      at(`${PLACE}/libfoo.so`, foo),
      ...names.map((name) => at(`${PLACE}/${name}`, library(name))),
    ]);
    expect(found).toEqual(expect.arrayContaining(names.map((name) => `${PLACE}/${name}`)));
  });

  test("that the loader takes on machines with more features", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const foo = library("libfoo.so");
    const more = library("libfoo.so", "int more;", "-x", "none", library("libmore.so"), "-Wl,--no-as-needed");
    const found = await reached([
      loader(),
      at("app", program(MAIN, [foo])),
      at(`${PLACE}/libfoo.so`, foo),
      at(`${PLACE}/glibc-hwcaps/x86-64-v3/libfoo.so`, more),
      at(`${PLACE}/haswell/libfoo.so`, foo),
      at(`${PLACE}/tls/x86_64/libfoo.so`, foo),
      at(`${PLACE}/glibc-hwcaps/x86-64-v3/libother.so`, foo),
    ]);
    expect(found.filter((path) => path.endsWith("libfoo.so"))).toHaveLength(4);
    expect(found).not.toContain(`${PLACE}/glibc-hwcaps/x86-64-v3/libother.so`);
  });

  test("in the directory of the name by which the one that needs them was found", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const bar = library("libbar.so");
    const foo = library("libfoo.so", "", "-Wl,--no-as-needed", "-x", "none", bar, "-Wl,-rpath,$ORIGIN");
    const members = [
      loader(),
      at("app", program(MAIN, [foo], "-Wl,-rpath,/a")),
      symlink("a/libfoo.so", "../b/libfoo.so"),
      at("b/libfoo.so", foo),
      at("a/libbar.so", bar),
      at("b/libbar.so", bar),
    ];
    expect(await reached(members)).toEqual(["a/libbar.so", "app", "b/libfoo.so", LOADER.slice(1)]);
  });

  test("in the directories that musl's loader is told", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const foo = library("libfoo.so");
    const musl = "/lib/ld-musl-x86_64.so.1";
    const members = [
      at(musl.slice(1), library("libc.musl-x86_64.so.1")),
      at("app", program(MAIN, [foo], `-Wl,--dynamic-linker=${musl}`)),
      at("opt/libfoo.so", foo),
      at("usr/lib/libfoo.so", foo),
    ];
    expect(await reached(members)).toContain("usr/lib/libfoo.so");
    const told = await reached([...members, file("etc/ld-musl-x86_64.path", "/lib:/opt\n/usr/lib\n")]);
    expect(told).toContain("opt/libfoo.so");
    expect(told).not.toContain("usr/lib/libfoo.so");
  });

  test("of name services, character sets and the unwinder, which the C library loads for those who ask", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const exports = ["getpwnam", "iconv_open", "pthread_exit", "setlocale", "puts"];
    const libc = library(
      "libc.so.6",
      exports.map((name) => `void ${name}(void) {}`).join("\n"),
      "-fno-builtin",
    );
    const modules = ["libnss_sss.so.2", "libnss_dns.so.2", "libgcc_s.so.1", "gconv/ISO8859-1.so"];
    const using = async (name: string, Env: readonly string[] = []): Promise<readonly string[]> => {
      const source = `void ${name}(void); int main(void) { ${name}(); return 0; }`;
      const members = [
        loader(),
        at("app", program(source, [libc], "-fno-builtin")),
        at(`${PLACE}/libc.so.6`, libc),
        file("etc/nsswitch.conf", "passwd: files [!UNAVAIL=return] sss # dns\nhosts:\tfiles\n"),
        ...modules.map((one) => at(`${PLACE}/${one}`, library(one.split("/").at(-1) ?? ""))),
      ];
      const found = await reached(members, { Cmd: ["/app"], Env });
      return modules.filter((one) => found.includes(`${PLACE}/${one}`));
    };
    expect(await using("getpwnam")).toEqual(["libnss_sss.so.2"]);
    expect(await using("iconv_open")).toEqual(["gconv/ISO8859-1.so"]);
    expect(await using("pthread_exit")).toEqual(["libgcc_s.so.1"]);
    expect(await using("puts")).toEqual([]);
    expect(await using("setlocale", ["LANG=C.UTF-8"])).toEqual([]);
    expect(await using("setlocale", ["LC_CTYPE=de_DE.ISO-8859-1"])).toEqual(["gconv/ISO8859-1.so"]);
  });

  test("are none of a static program, position-independent or not, which may do anything by itself", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    for (const flag of ["-static", "-static-pie"]) {
      const found = await reach([at("app", build(MAIN, "-e", "main", "-fPIE", flag))]);
      expect(found.unknown).toEqual([{ path: "app", why: "opaque" }]);
      expect(found.calls.needs).toBeNull();
    }
  });

  test("that are only called like the C library are no part of it", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const client = library("libc-client.so.1", "void dlopen(void); void f(void) { dlopen(); }");
    const found = await reach([
      loader(),
      at("app", program(MAIN, [client])),
      at(`${PLACE}/libc-client.so.1`, client),
    ]);
    expect(found.unknown).toEqual([{ path: `${PLACE}/libc-client.so.1`, why: "loads" }]);
  });

  test("of a loader that is the command itself", async (context) => {
    need(context, hasGcc, "gcc is not installed");
    const foo = library("libfoo.so");
    const found = await reach(
      [
        loader(),
        at("app", program(MAIN, [foo])),
        at("opt/libfoo.so", foo),
        at("opt/pre.so", library("pre.so")),
      ],
      { Entrypoint: [LOADER, "--library-path", "/opt", "--preload", "/opt/pre.so", "/app"] },
    );
    expect(found.reached).toEqual(["app", LOADER.slice(1), "opt/libfoo.so", "opt/pre.so"]);
    expect(found.unknown).toEqual([{ path: LOADER.slice(1), why: "starts" }]);
  });
});
