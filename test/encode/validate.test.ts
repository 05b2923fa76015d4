/** A malformed program is a bug() before any byte is made; a good one always gives the same, well-formed file. */
import { describe, expect, test } from "vitest";
import { encodeProgram } from "../../src/encode/index.ts";
import {
  buffer,
  call,
  type DraftProgram,
  type DraftStep,
  data,
  exit,
  load,
  program,
  result,
  value,
} from "./harness.ts";

const one = (...monitor: DraftStep[]): DraftProgram => ({ buffers: [{ name: "b", size: 8 }], monitor });
const same = { mask: -1n, equals: value(0) } as const;

describe("a malformed program is refused", () => {
  test.each<[string, DraftProgram]>([
    ["step x is defined twice", one(call("getpid", [], { id: "x" }), call("getuid", [], { id: "x" }))],
    ["monitor has no label gone", one({ kind: "branch", value: value(0), ...same, to: "gone" })],
    [
      "label back is not later in monitor",
      one({ kind: "label", name: "back" }, { kind: "branch", value: value(0), ...same, to: "back" }),
    ],
    ["label l is defined twice", one({ kind: "label", name: "l" }, { kind: "label", name: "l" })],
    ["a label cannot be called next", one({ kind: "label", name: "next" })],
    ["monitor has no label gone", { onFailure: { monitor: "gone" } }],
    ["monitor has no label gone", one(call("getpid", [], { onError: { errnos: { EPERM: "gone" } } }))],
    ["no errno is called EWHAT", one(call("getpid", [], { onError: { errnos: { EWHAT: "next" } } }))],
    ["no errno is called EWHAT", one({ kind: "expect", value: value(0), ...same, errno: "EWHAT" })],
    [
      "7 arguments",
      one(
        call(
          "getpid",
          Array.from({ length: 7 }, () => value(0)),
        ),
      ),
    ],
    ["constant c is not defined", one(call("close", [data("c")]))],
    [
      "constant c is defined twice",
      {
        data: [
          { name: "c", text: "" },
          { name: "c", hex: "" },
        ],
      },
    ],
    ["constant d is not defined", { data: [{ name: "c", words: [{ addressOf: "d" }] }] }],
    ["is not hex", { data: [{ name: "c", hex: "0g" }] }],
    ["contains a NUL", { data: [{ name: "c", text: "a\0b" }] }],
    ["buffer c is not defined", one(call("close", [buffer("c")]))],
    [
      "buffer b is defined twice",
      {
        buffers: [
          { name: "b", size: 1 },
          { name: "b", size: 1 },
        ],
      },
    ],
    ["buffer b has a size of 0", { buffers: [{ name: "b", size: 0 }] }],
    ["outside buffer b", one(call("close", [load("b", 1, 8)]))],
    ["outside buffer b", one(call("close", [buffer("b", 9)]))],
    ["outside buffer b", one({ kind: "store", into: "b", offset: 7, width: 2, value: value(0) })],
    ["outside buffer b", one({ kind: "format", into: "b", parts: [{ hex: "b", bytes: 9 }] })],
    ["step gone is not defined", one(call("close", [result("gone")]))],
    ["monitor cannot spawn monitor", one({ kind: "spawn", role: "monitor", flags: 0n })],
    ["the payload supervises nothing", { payload: [{ kind: "supervise", child: value(1), reap: "all" }] }],
    ["there is no environment step before it", one({ kind: "exec", path: "/x", search: [], argv: null })],
    [
      "is not absolute",
      one(
        { kind: "environment", set: [], pass: [] },
        { kind: "exec", path: null, search: ["bin"], argv: null },
      ),
    ],
    ["is not NAME=VALUE", one({ kind: "environment", set: ["=x"], pass: [] })],
    ["run with an empty argv", one({ kind: "run", path: "/x", argv: [] })],
    ["the shared memory", { buffers: [{ name: "b", size: 2 ** 30 }] }],
  ])("%s", (message, draft) => {
    expect(() => encodeProgram(program(draft))).toThrow(message);
  });
});

/** A launch of ordinary size: 200 calls with constants, checks and results. */
const large = (arch: "x86_64" | "aarch64") =>
  program({
    arch,
    memory: "anonymous",
    seal: true,
    data: Array.from({ length: 60 }, (_, index) => ({
      name: `d${index}`,
      text: `/usr/share/something/${index}`,
    })),
    monitor: [
      ...Array.from({ length: 200 }, (_, index) =>
        call("openat", [value(-100), data(`d${index % 60}`), value(0x80000), value(0)], {
          why: `open the part ${index}`,
          target: `/part/${index}`,
        }),
      ),
      { kind: "report" },
      exit("outcome"),
    ],
  });

describe.each(["x86_64", "aarch64"] as const)("the file for %s", (arch) => {
  const file = encodeProgram(large(arch));
  const view = new DataView(file.buffer);

  test("is the same every time", () => {
    expect(Buffer.compare(file, encodeProgram(large(arch)))).toBe(0);
  });

  test("is small", () => {
    expect(file.length).toBeLessThan(40_000);
  });

  test("has no segment that is both writable and executable, and only data that cannot be executed", () => {
    const segments = Array.from({ length: view.getUint16(56, true) }, (_, index) => {
      const at = Number(view.getBigUint64(32, true)) + index * 56;
      return {
        type: view.getUint32(at, true),
        flags: view.getUint32(at + 4, true),
        offset: Number(view.getBigUint64(at + 8, true)),
        address: Number(view.getBigUint64(at + 16, true)),
        size: Number(view.getBigUint64(at + 32, true)),
      };
    });
    expect(segments.map(({ type, flags }) => [type, flags])).toEqual([
      [1, 4],
      [1, 5],
      [0x6474e551, 6],
    ]);
    const [rodata, text] = segments;
    if (rodata === undefined || text === undefined) throw new Error("segments are missing");
    // Never a page in common, at the largest page size a kernel may have.
    expect(Math.ceil((rodata.address + rodata.size) / 65536)).toBeLessThanOrEqual(
      Math.floor(text.address / 65536),
    );
    expect((text.address - text.offset) % 65536).toBe(0);
    expect(text.offset + text.size).toBe(file.length);
    expect(Number(view.getBigUint64(24, true))).toBe(text.address);
    expect(text.address + text.size).toBeLessThan(0x1000_0000);
  });
});
