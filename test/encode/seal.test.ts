/** A sealed launcher runs from a memfd that nobody can write; where that is refused it goes on from its file. */
import { spawnSync } from "node:child_process";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { encodeProgram } from "../../src/encode/index.ts";
import { FLAGS } from "../../src/program/program.ts";
import {
  ARCHES,
  available,
  call,
  data,
  exit,
  program,
  run,
  scratch,
  start,
  value,
  which,
} from "./harness.ts";

const hello = { name: "hello", text: "ready\n" } as const;
const PROC_EXE = { name: "exe", text: "/proc/self/exe" } as const;
const monitor = [
  call("openat", [value(-100), data("exe"), value(0x80000), value(0)], { id: "open" }),
  call("fcntl", [{ kind: "result", step: "open" }, value(1034), value(0)], { id: "seals" }),
  call("write", [value(1), data("hello"), value(6)]),
  call("read", [value(0), { kind: "buffer", name: "in", offset: 0 }, value(1)]),
  exit(6),
] as const;

describe("a sealed launcher", () => {
  const made = program({ seal: true, data: [hello, PROC_EXE], buffers: [{ name: "in", size: 8 }], monitor });

  test("runs from a memfd with all seals, which is its whole image", async () => {
    const running = start(made, { stdin: "pipe", argv: ["x", "y z"], env: { A: "b" } });
    await new Promise((resolve) => running.child.stdout?.once("data", resolve));
    const proc = `/proc/${running.child.pid}`;
    expect(readlinkSync(`${proc}/exe`)).toBe("/memfd:sandbox (deleted)");
    expect(readFileSync(`${proc}/exe`)).toEqual(Buffer.from(encodeProgram(made)));
    expect(() => writeFileSync(`${proc}/exe`, "x", { flag: "r+" })).toThrow(/EPERM|ETXTBSY/);
    expect(readFileSync(`${proc}/cmdline`, "utf8")).toBe(`${running.file}\0x\0y z\0`);
    expect(readFileSync(`${proc}/environ`, "utf8")).toBe("A=b\0");
    running.child.stdin?.end("x");
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 6, failed: null });
    expect(ended.cell("seals") & 15n).toBe(15n);
    expect(ended.header("flags")).toBe(FLAGS.sealed);
    // Nothing of the sealing stays open: the next descriptor is the first free one.
    expect(ended.cell("open")).toBe(4n);
  });

  test("takes less than 200 kB of memory", async () => {
    const running = start(made, { stdin: "pipe" });
    await new Promise((resolve) => running.child.stdout?.once("data", resolve));
    const status = readFileSync(`/proc/${running.child.pid}/status`, "utf8");
    running.child.stdin?.end("x");
    await running.ended;
    expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(200);
  });

  const strace = which("strace");
  test.runIf(available("strace is not installed", strace !== undefined))(
    "goes on from its file when any call of the sealing is refused, and leaves nothing open",
    () => {
      for (const inject of [
        "openat:error=ENOENT:when=1",
        "memfd_create:error=EACCES",
        "sendfile:error=EIO",
        "fcntl:error=EPERM:when=2",
        "execveat:error=EACCES",
      ]) {
        const file = scratch("launcher");
        const probing = program({
          seal: true,
          memory: "anonymous",
          data: [hello, PROC_EXE],
          monitor: [
            call("openat", [value(-100), data("exe"), value(0x80000), value(0)], { id: "open" }),
            {
              kind: "expect",
              value: { kind: "result", step: "open" },
              mask: -1n,
              equals: value(3),
              errno: "EMFILE",
            },
            { kind: "report" },
            exit(6),
          ],
        });
        writeFileSync(file, encodeProgram(probing), { mode: 0o755 });
        const ended = spawnSync(strace ?? "", [
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          "-e",
          `inject=${inject}`,
          file,
        ]);
        expect([inject, ended.status, ended.stderr.toString()]).toEqual([inject, 6, ""]);
      }
    },
  );

  test.runIf(available("strace is not installed", strace !== undefined))(
    "asks again without MFD_EXEC on a kernel that does not know it",
    () => {
      const file = scratch("launcher");
      writeFileSync(file, encodeProgram(program({ seal: true, memory: "anonymous", monitor: [exit(3)] })), {
        mode: 0o755,
      });
      const log = scratch("log");
      const ended = spawnSync(strace ?? "", [
        "-o",
        log,
        "-e",
        "inject=memfd_create:error=EINVAL:when=1",
        file,
      ]);
      expect(ended.status).toBe(3);
      expect(readFileSync(log, "utf8").match(/execveat\(/g)?.length).toBe(1);
    },
  );

  test.runIf(available("strace is not installed", strace !== undefined))(
    "says in one line that anonymous memory was refused, and exits 125",
    () => {
      const file = scratch("launcher");
      writeFileSync(file, encodeProgram(program({ memory: "anonymous", monitor: [exit(0)] })), {
        mode: 0o755,
      });
      const ended = spawnSync(strace ?? "", [
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=mmap:error=ENOMEM",
        file,
      ]);
      expect([ended.status, ended.stderr.toString()]).toEqual([125, "sandbox: shared memory: mmap failed\n"]);
    },
  );
});

describe.each(ARCHES)("%s", (arch) => {
  test("a program runs the same with seal and anonymous memory", async () => {
    const ended = await run(
      program({
        arch,
        seal: true,
        memory: "anonymous",
        data: [hello],
        monitor: [call("write", [value(1), data("hello"), value(6)]), exit(2)],
      }),
    );
    expect(ended).toMatchObject({ code: 2, stdout: "ready\n" });
  });
});
