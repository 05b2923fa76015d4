import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmdirSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openAnonymousFile } from "../../src/launch/anonymous-file.ts";
import { prepareImage } from "../../src/launch/image.ts";
import { createMemory, encodeTimer, encodeWord, readMemory, readTimespec } from "../../src/launch/memory.ts";
import { makeRunId, RUN_ID } from "../../src/launch/run-id.ts";
import { HEADER, layoutMemory } from "../../src/program/program.ts";
import { needRoot } from "../host/needs.ts";
import { makeProgram } from "./fixture.ts";

describe("the image", () => {
  const bytes = readFileSync("/bin/true");

  it("is executable, any number of times at once, and has no name", () => {
    const image = prepareImage(bytes);
    expect(spawnSync(image.path).status).toBe(0);
    expect(spawnSync(image.path, [], { stdio: ["ignore", "ignore", "ignore", 0, 0, 0] }).status).toBe(0);
    const fd = Number(image.path.split("/").at(-1));
    expect(fstatSync(fd).nlink).toBe(0);
    image.close();
    expect(spawnSync(image.path).status).not.toBe(0);
  });

  it("holds the bytes given, and cannot be written through its descriptor", () => {
    const image = prepareImage(bytes);
    expect(readFileSync(image.path).equals(bytes)).toBe(true);
    expect(image.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
    expect(fstatSync(Number(image.path.split("/").at(-1))).mode & 0o777).toBe(0o500);
    image.close();
  });

  it("leaves no descriptor, also when closed twice", () => {
    const before = readdirSync("/proc/self/fd").length;
    const image = prepareImage(bytes);
    image.close();
    image.close();
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });

  it("does not depend on a runtime directory that is not there", () => {
    const before = process.env.XDG_RUNTIME_DIR;
    process.env.XDG_RUNTIME_DIR = "/nonexistent";
    try {
      const fd = openAnonymousFile("plain", 0o600);
      expect(fstatSync(fd).nlink).toBe(0);
      closeSync(fd);
    } finally {
      if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
      else process.env.XDG_RUNTIME_DIR = before;
    }
  });

  it("is never made where an environment says, when root runs it", (context) => {
    needRoot(context);
    const before = { ...process.env };
    const somewhere = mkdtempSync(join(tmpdir(), "somewhere-"));
    try {
      Object.assign(process.env, {
        XDG_RUNTIME_DIR: somewhere,
        TMPDIR: somewhere,
        XDG_CACHE_HOME: somewhere,
      });
      for (const purpose of ["plain", "executable"] as const) {
        const fd = openAnonymousFile(purpose, 0o700);
        expect(readlinkSync(`/proc/self/fd/${fd}`)).not.toContain(somewhere);
        closeSync(fd);
      }
    } finally {
      process.env = before;
      rmdirSync(somewhere);
    }
  });

  it("leaves no directory behind", () => {
    for (const directory of ["/dev/shm", tmpdir()].filter((each) => existsSync(each))) {
      expect(readdirSync(directory).filter((name) => name.startsWith("sandbox-seed-"))).toEqual([]);
    }
  });
});

describe("the shared memory", () => {
  const program = makeProgram();
  const layout = layoutMemory(program);

  it("holds the declared inputs in their places and nothing else", () => {
    const fd = createMemory(program, layout, {
      "run-id": "1-0123456789abcdef",
      "supervisor-pid": encodeWord(77),
      "wall-time": encodeTimer(1500.5),
      "read.status": "not an input",
      "no-such-buffer": "ignored",
    });
    const memory = readMemory(fd, layout);
    expect(memory.text("run-id")).toBe("1-0123456789abcdef");
    expect(memory.bytes("supervisor-pid")?.readUInt32LE(0)).toBe(77);
    expect(memory.text("read.status")).toBe("");
    expect(memory.text("no-such-buffer")).toBe("");
    expect(memory.header).toMatchObject({ failedStep: 0, execErrno: 0 });
    const raw = Buffer.alloc(layout.size + 1);
    expect(readSync(fd, raw, 0, raw.length, 0)).toBe(layout.size);
    expect(raw.subarray(0, HEADER.size).every((byte) => byte === 0)).toBe(true);
    closeSync(fd);
  });

  it("refuses an input longer than its buffer", () => {
    expect(() => createMemory(program, layout, { "run-id": "x".repeat(64) })).toThrow(/run-id/);
  });

  it("is no descriptor more when making it fails", () => {
    const before = readdirSync("/proc/self/fd").length;
    expect(() => createMemory(program, layout, { "run-id": "x".repeat(100) })).toThrow(/run-id/);
    expect(readdirSync("/proc/self/fd").length).toBe(before);
  });

  it("has no time that was not written", () => {
    const fd = createMemory(program, layout, {});
    expect(readTimespec(readMemory(fd, layout), "time.start")).toBe(null);
    closeSync(fd);
  });
});

const words = (milliseconds: number | null) => {
  const bytes = Buffer.from(encodeTimer(milliseconds));
  return [0, 8, 16, 24].map((at) => Number(bytes.readBigInt64LE(at)));
};

describe("encoding a timer", () => {
  it.each([
    [null, [0, 0, 0, 0]],
    [1500, [0, 0, 1, 500_000]],
    [0.25, [0, 0, 0, 250]],
    [60_000, [0, 0, 60, 0]],
    // Zero would mean off.
    [0, [0, 0, 0, 1]],
    [999.9999, [0, 0, 1, 0]],
  ])("%s ms", (milliseconds, expected) => {
    expect(words(milliseconds)).toEqual(expected);
  });
});

describe("a run id", () => {
  it("names its supervisor and is never the same twice", () => {
    const ids = new Set(Array.from({ length: 1000 }, makeRunId));
    expect(ids.size).toBe(1000);
    for (const id of ids) expect(RUN_ID.exec(id)?.[1]).toBe(String(process.pid));
  });
});

describe("opening a file without a name", () => {
  it("gives a private, empty, writable file", () => {
    const fd = openAnonymousFile("plain", 0o600);
    const { size, nlink, mode } = fstatSync(fd);
    expect({ size, nlink, mode: mode & 0o777 }).toEqual({ size: 0, nlink: 0, mode: 0o600 });
    closeSync(openSync(`/proc/self/fd/${fd}`, "r+"));
    closeSync(fd);
  });
});
