import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeWhole } from "../../src/cli/write-file.ts";
import { needRoot } from "../host/needs.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sandbox-write-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});
const at = (name: string): string => join(directory, name);

describe("a written file", () => {
  it("has exactly the mode asked for, whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      await writeWhole(at("program"), "x", 0o755, "refuse");
    } finally {
      process.umask(before);
    }
    expect(statSync(at("program")).mode & 0o7777).toBe(0o755);
  });

  it("replaces an old one, with its mode, and leaves nothing beside it", async () => {
    writeFileSync(at("report"), "a much longer text than the new one", { mode: 0o600 });
    await writeWhole(at("report"), "new", 0o644, "write");
    expect(readFileSync(at("report"), "utf8")).toBe("new");
    expect(statSync(at("report")).mode & 0o7777).toBe(0o644);
    expect(readdirSync(directory)).toEqual(["report"]);
  });

  it("replaces a link instead of writing through it", async () => {
    writeFileSync(at("target"), "kept");
    symlinkSync("target", at("link"));
    await writeWhole(at("link"), "new", 0o644, "refuse");
    expect(readFileSync(at("target"), "utf8")).toBe("kept");
    expect(readFileSync(at("link"), "utf8")).toBe("new");
  });

  it("never replaces a directory", async () => {
    mkdirSync(at("directory"));
    await expect(writeWhole(at("directory"), "x", 0o644, "write")).rejects.toMatchObject({ code: "EISDIR" });
    expect(readdirSync(directory)).toEqual(["directory"]);
  });

  it("never replaces a device, as root neither", async () => {
    await expect(writeWhole("/dev/null", "x", 0o755, "refuse")).rejects.toMatchObject({ code: "EINVAL" });
    await writeWhole("/dev/null", "x", 0o644, "write");
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  });

  it("is never written over a disk that a link leads to", async (context) => {
    needRoot(context);
    // 7:4095 is a loop device that nobody has set up.
    execFileSync("mknod", [at("disk"), "b", "7", "4095"]);
    symlinkSync(at("disk"), at("link"));
    for (const path of [at("disk"), at("link")])
      await expect(writeWhole(path, "x", 0o644, "write")).rejects.toMatchObject({ code: "EINVAL" });
  });

  it("may be a fifo that somebody reads", async () => {
    execFileSync("mkfifo", [at("fifo")]);
    const { open } = await import("node:fs/promises");
    const reading = open(at("fifo"), "r").then(async (file) => {
      const text = await file.readFile("utf8");
      await file.close();
      return text;
    });
    await writeWhole(at("fifo"), "through", 0o644, "write");
    expect(await reading).toBe("through");
    expect(statSync(at("fifo")).isFIFO()).toBe(true);
  });

  it("is refused with the system's reason where its directory is missing", async () => {
    await expect(writeWhole(at("missing/x"), "x", 0o644, "write")).rejects.toMatchObject({ code: "ENOENT" });
  });
});
