/** The straight-line steps do what their doc comments say, on both architectures. */
import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/program/errno.ts";
import { ARCHES, buffer, call, data, exit, load, program, run, value } from "./harness.ts";

const hello = { name: "hello", text: "hello\n" } as const;
const write = (id = "write") => call("write", [value(1), data("hello"), value(6)], { id });

describe.each(ARCHES)("%s", (arch) => {
  test("a call makes the system call and keeps its result", async () => {
    const ended = await run(program({ arch, data: [hello], monitor: [write(), exit(7)] }));
    expect(ended).toMatchObject({ code: 7, stdout: "hello\n", stderr: "", failed: null });
    expect(ended.cell("write")).toBe(6n);
  });

  test("all six arguments arrive in their places", async () => {
    const ended = await run(
      program({
        arch,
        monitor: [
          call("mmap", [value(0), value(8192), value(3), value(1), value(3), value(4096)], { id: "map" }),
          exit(0),
        ],
        buffers: [{ name: "big", size: 8192 }],
      }),
    );
    expect(ended.code).toBe(0);
    expect(ended.cell("map")).toBeGreaterThan(4096n);
  });

  test("a failing call leaves its step and errno in the header and exits 125", async () => {
    const ended = await run(
      program({
        arch,
        data: [hello],
        monitor: [write("one"), call("close", [value(99)], { id: "two" }), write("three"), exit(0)],
      }),
    );
    expect(ended).toMatchObject({
      code: 125,
      stdout: "hello\n",
      failed: { step: "two", errno: ERRNO.EBADF },
    });
    expect(ended.cell("two")).toBe(-9n);
    expect(ended.cell("three")).toBe(0n);
  });

  test("continue keeps a negative result and goes on", async () => {
    const ended = await run(
      program({ arch, monitor: [call("close", [value(99)], { id: "close", onError: "continue" }), exit(3)] }),
    );
    expect(ended).toMatchObject({ code: 3, failed: null });
    expect(ended.cell("close")).toBe(-9n);
  });

  test("a result above zero is no error", async () => {
    const ended = await run(
      program({
        arch,
        monitor: [call("umask", [value(0o777)]), call("umask", [value(0)], { id: "old" }), exit(0)],
      }),
    );
    expect(ended.cell("old")).toBe(0o777n);
  });

  test.each([
    ["EBADF", { EBADF: "there" }, 5],
    ["EBADF", { EBADF: "next" }, 4],
    ["EBADF among others", { ENOENT: "next", EBADF: "there" }, 5],
  ])("an errno named goes where it says: %s %j", async (_, errnos, code) => {
    const ended = await run(
      program({
        arch,
        monitor: [
          call("close", [value(99)], { onError: { errnos } }),
          exit(4),
          { kind: "label", name: "there" },
          exit(5),
        ],
      }),
    );
    expect(ended).toMatchObject({ code, failed: null });
  });

  test("an errno not named fails", async () => {
    const ended = await run(
      program({
        arch,
        monitor: [call("close", [value(99)], { id: "x", onError: { errnos: { ENOENT: "next" } } }), exit(0)],
      }),
    );
    expect(ended).toMatchObject({ code: 125, failed: { step: "x", errno: 9 } });
  });

  test("success with errnos goes on", async () => {
    const ended = await run(
      program({
        arch,
        data: [hello],
        monitor: [
          call("write", [value(1), data("hello"), value(6)], { onError: { errnos: { EBADF: "there" } } }),
          exit(1),
          { kind: "label", name: "there" },
          exit(2),
        ],
      }),
    );
    expect(ended.code).toBe(1);
  });

  test("the failure path is entered once: the first failure is recorded, the second exits at once", async () => {
    const ended = await run(
      program({
        arch,
        data: [hello],
        onFailure: { monitor: "clean" },
        monitor: [
          call("close", [value(99)], { id: "first" }),
          exit(0),
          { kind: "label", name: "clean" },
          write("cleaning"),
          call("openat", [value(-100), data("hello"), value(0), value(0)], { id: "second" }),
          write("never"),
          exit(1),
        ],
      }),
    );
    expect(ended).toMatchObject({
      code: 125,
      stdout: "hello\n",
      failed: { step: "first", errno: ERRNO.EBADF },
    });
    expect(ended.cell("second")).toBe(-2n);
  });

  test("a role that runs off its end exits 125", async () => {
    expect((await run(program({ arch, monitor: [call("getpid", [])] }))).code).toBe(125);
  });

  test("store and load move exactly their width", async () => {
    const ended = await run(
      program({
        arch,
        buffers: [
          { name: "from", size: 32 },
          { name: "to", size: 64 },
        ],
        monitor: [
          { kind: "store", into: "from", offset: 0, width: 8, value: value(0x8877665544332211n) },
          ...([1, 2, 4, 8] as const).flatMap((width, index) => [
            {
              kind: "store" as const,
              into: "to",
              offset: index * 16 + 1,
              width: 8 as const,
              value: value(-1),
            },
            {
              kind: "store" as const,
              into: "to",
              offset: index * 16 + 1,
              width,
              value: load("from", 0, width),
            },
          ]),
          { kind: "store", into: "from", offset: 16, width: 8, value: buffer("to", 3) },
          exit(0),
        ],
      }),
    );
    expect(ended.buffer("to").toString("hex")).toBe(
      "0011ffffffffffffff00000000000000" +
        "001122ffffffffffff00000000000000" +
        "0011223344ffffffff00000000000000" +
        "00112233445566778800000000000000",
    );
  });
});
