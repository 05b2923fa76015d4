import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compileFilter } from "../../src/kernel/filter.ts";
import { type CachedFilter, cacheDirectory, readCache, writeCache } from "../../src/kernel/filter-cache.ts";
import { allowList, shipped, target, valueOf } from "./support.ts";

let base: string;
let cache: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "filter-cache-"));
  cache = join(base, "sandbox");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const spec = allowList([{ names: ["@basic-io"], action: "SCMP_ACT_ALLOW" }]);
const ENTRY: CachedFilter = {
  bytes: new Uint8Array(8),
  backend: "b",
  notes: [],
  certificate: {
    engine: "sandbox-prove/1",
    filter: "a".repeat(64),
    rules: "b".repeat(64),
    meaning: "c".repeat(64),
    instructions: 1,
    regions: 1,
    replayed: 1,
    digest: "d".repeat(64),
  },
};
const compile = async (directory = cache) =>
  valueOf(await compileFilter(spec, target(), { cache: directory }));
const entry = () => {
  const [name, ...others] = readdirSync(cache);
  expect(others).toEqual([]);
  return join(cache, name as string);
};

describe("a second run takes the filter from the cache", () => {
  test("with the same bytes, in a directory and file that only we can read", async () => {
    const first = await compile();
    const second = await compile();
    expect([first.cached, second.cached]).toEqual([false, true]);
    expect(second).toEqual({ ...first, cached: true });
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    expect(statSync(entry()).mode & 0o777).toBe(0o600);
  });

  test("unless anything that may change the filter changed", async () => {
    await compile();
    const others = [
      compileFilter(spec, target("aarch64"), { cache }),
      compileFilter(spec, target("x86_64", ["CAP_SYS_ADMIN"]), { cache }),
      compileFilter(spec, { ...target(), kernel: { major: 6, minor: 2 } }, { cache }),
      compileFilter(spec, target(), { cache, backend: "sandbox" }),
      compileFilter({ ...spec, defaultErrnoRet: 2 }, target(), { cache }),
      compileFilter(shipped("strict"), target(), { cache }),
    ];
    for (const other of await Promise.all(others)) expect(valueOf(other).cached).toBe(false);
  });

  test("and mistakes are not kept", async () => {
    const wrong = allowList([{ names: ["raed"], action: "SCMP_ACT_ALLOW" }]);
    expect((await compileFilter(wrong, target(), { cache })).ok).toBe(false);
    expect((await compileFilter(wrong, target(), { cache })).ok).toBe(false);
  });
});

describe("an entry that is not what we wrote is not there", () => {
  const damage: Record<string, (file: string) => void> = {
    "one byte changed": (file) => {
      const bytes = readFileSync(file);
      bytes[bytes.length - 10] = (bytes[bytes.length - 10] as number) ^ 1;
      writeFileSync(file, bytes);
    },
    "cut short": (file) => writeFileSync(file, readFileSync(file).subarray(0, 100)),
    empty: (file) => writeFileSync(file, ""),
    "readable by others": (file) => chmodSync(file, 0o644),
    "a link": (file) => {
      renameSync(file, join(base, "elsewhere"));
      symlinkSync(join(base, "elsewhere"), file);
    },
    "a fifo": (file) => {
      rmSync(file);
      expect(spawnSync("mkfifo", ["-m", "600", file]).status).toBe(0);
    },
    "a directory": (file) => {
      rmSync(file);
      mkdirSync(file);
    },
  };
  test.each(Object.keys(damage))("%s", async (how) => {
    const first = await compile();
    damage[how]?.(entry());
    const again = await compile();
    expect(again.cached).toBe(false);
    expect(again.sha256).toBe(first.sha256);
  });

  test("a valid entry under another name", () => {
    const key = "a".repeat(64);
    expect(writeCache(cache, key, ENTRY)).toBe(true);
    expect(readCache(cache, key)).not.toBeNull();
    renameSync(join(cache, key), join(cache, "b".repeat(64)));
    expect(readCache(cache, "b".repeat(64))).toBeNull();
  });
});

describe("a directory that is not ours alone is not used", () => {
  const cases: Record<string, () => void> = {
    "open to others": () => chmodSync(cache, 0o755),
    "a link to another": () => {
      renameSync(cache, join(base, "real"));
      symlinkSync(join(base, "real"), cache);
    },
  };
  test.each(Object.keys(cases))("%s", async (how) => {
    await compile();
    cases[how]?.();
    expect((await compile()).cached).toBe(false);
    expect((await compile()).cached).toBe(false);
  });

  test.skipIf(process.geteuid?.() !== 0)("somebody else's", async () => {
    await compile();
    chownSync(cache, 65534, 65534);
    expect((await compile()).cached).toBe(false);
    expect((await compile()).cached).toBe(false);
  });

  test.each(["/dev/null/cache", "/proc/1/none"])("one that cannot be made: %s", async (directory) => {
    expect((await compile(directory)).cached).toBe(false);
  });
});

test("a failed write leaves nothing behind", () => {
  mkdirSync(cache, { mode: 0o700 });
  mkdirSync(join(cache, "c".repeat(64)));
  // rename(2) of a file onto a directory fails.
  expect(writeCache(cache, "c".repeat(64), ENTRY)).toBe(false);
  expect(readdirSync(cache)).toEqual(["c".repeat(64)]);
});

test("concurrent compilations agree", async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => compile()));
  expect(new Set(all.map(({ sha256 }) => sha256)).size).toBe(1);
  expect(readCache(cache, entry().split("/").at(-1) as string)).not.toBeNull();
});

test.skipIf(process.geteuid?.() === 0)("the directory follows XDG_CACHE_HOME when it is absolute", () => {
  expect(cacheDirectory({ XDG_CACHE_HOME: "/x" })).toBe("/x/sandbox");
  expect(cacheDirectory({ XDG_CACHE_HOME: "x" })).not.toContain("x/sandbox/");
});

test("an entry whose certificate is for another filter is not used", async () => {
  const first = await compile();
  const kept = readCache(cache, entry().split("/").at(-1) as string) as CachedFilter;
  const key = entry().split("/").at(-1) as string;
  writeCache(cache, key, { ...kept, certificate: { ...kept.certificate, filter: "0".repeat(64) } });
  const again = await compile();
  expect([again.cached, again.certificate]).toEqual([false, first.certificate]);
});
