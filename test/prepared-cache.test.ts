import {
  chmodSync,
  chownSync,
  copyFileSync,
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
import type { HostFacts } from "../src/host/facts.ts";
import { writePrivate } from "../src/kernel/private-directory.ts";
import { Preparation, type PreparationOptions } from "../src/prepare.ts";
import { PreparedCache, type PreparedParts } from "../src/prepared-cache.ts";
import { profileFiles } from "../src/profile/files.ts";

const HOST = JSON.parse(
  readFileSync(new URL("golden/hosts/user-v2-delegated.json", import.meta.url), "utf8"),
) as HostFacts;

let base: string;
let cache: string;
let profile: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "prepared-cache-"));
  cache = join(base, "cache");
  profile = join(base, "mine.json");
  writeFileSync(join(base, "parent.json"), '{ "extends": "strict" }');
  writeFileSync(profile, '{ "extends": "./parent.json", "name": "mine" }');
  writeFileSync(join(base, "tool"), "#!/bin/sh\n", { mode: 0o755 });
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const options = (change: Partial<PreparationOptions["request"]> = {}, host = HOST): PreparationOptions => ({
  request: { profile, overrides: [], cwd: base, ...change },
  host,
  mode: "supervised",
  cache,
  log: null,
});

async function prepare(
  wanted = options(),
  argv: readonly string[] = ["true"],
  terminals: readonly number[] = [],
): Promise<PreparedParts> {
  return (await Preparation.open(wanted)).parts(argv, terminals);
}

const entries = (kind: string): readonly string[] =>
  readdirSync(cache).filter((name) => name.startsWith(`${kind}-`));

/** What the stages make when there is no cache. */
const fresh = (argv?: readonly string[]): Promise<PreparedParts> =>
  prepare({ ...options(), cache: null }, argv);

function theOne(kind: string): string {
  const [name, ...others] = entries(kind);
  expect(others).toEqual([]);
  return join(cache, String(name));
}

describe("a second preparation", () => {
  test("gives what the stages gave, byte for byte, from files that only we can read", async () => {
    const first = await prepare();
    const second = await prepare();
    const without = await fresh();
    for (const parts of [first, second]) {
      expect({ ...parts, image: Buffer.from(parts.image) }).toEqual({
        ...without,
        image: Buffer.from(without.image),
      });
    }
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    for (const kind of ["profile", "launch"]) expect(statSync(theOne(kind)).mode & 0o777).toBe(0o600);
  });

  test("runs no stage: it takes what the entry says", async () => {
    const parts = await prepare();
    const key = theOne("launch").replace(/.*launch-/, "");
    PreparedCache.open(cache)?.writeLaunch(key, { ...parts, planDigest: "from the cache" });
    expect((await prepare()).planDigest).toBe("from the cache");
  });

  test("is shared by commands that are searched for inside", async () => {
    await prepare(options(), ["true"]);
    await prepare(options(), ["id", "-u"]);
    expect(entries("launch")).toHaveLength(1);
  });
});

describe("anything that may change the launch is another entry", () => {
  const changed: Record<string, () => Promise<unknown>> = {
    "a byte of the profile": () => {
      writeFileSync(profile, '{ "extends": "./parent.json",  "name": "mine" }');
      return prepare();
    },
    "a byte of a profile that it extends": () => {
      writeFileSync(join(base, "parent.json"), '{ "extends": "strict" } ');
      return prepare();
    },
    "another profile of the same bytes": () => {
      copyFileSync(profile, join(base, "copy.json"));
      return prepare(options({ profile: join(base, "copy.json") }));
    },
    "an override": () => {
      const source = { kind: "flag", flag: "--pids" } as const;
      return prepare(options({ overrides: [{ pointer: "/resources/pids", value: 7, source }] }));
    },
    "a host fact": () => prepare(options({}, { ...HOST, cpus: HOST.cpus + 1 })),
    "the directory of the caller": () => {
      mkdirSync(join(base, "below"));
      return prepare(options({ cwd: join(base, "below") }));
    },
    "a command that is to be shown": () => prepare(options(), ["./tool"]),
    "a terminal": () => prepare(options(), ["true"], [0, 1, 2]),
  };
  test.each(Object.keys(changed))("%s", async (what) => {
    await prepare();
    const before = entries("launch");
    await changed[what]?.();
    expect(entries("launch")).toHaveLength(before.length + 1);
  });

  test("the origin of an override", async () => {
    for (const flag of ["--pids", "--set"]) {
      const source = { kind: "flag", flag } as const;
      await prepare(options({ overrides: [{ pointer: "/resources/pids", value: 7, source }] }));
    }
    expect(entries("launch")).toHaveLength(2);
  });

  test("what lies at the command's path", async () => {
    await prepare(options(), ["./tool"]);
    rmSync(join(base, "tool"));
    symlinkSync("/bin/true", join(base, "tool"));
    await prepare(options(), ["./tool"]);
    expect(entries("launch")).toHaveLength(2);
  });

  test("and a profile that has become wrong is refused, whatever is kept", async () => {
    await prepare();
    writeFileSync(profile, '{ "extends": "./parent.json", "nam": "mine" }');
    await expect(prepare()).rejects.toThrow(/nam/);
    rmSync(profile);
    await expect(prepare()).rejects.toThrow(/there is no file/);
  });
});

describe("an entry that is not what we wrote is not there", () => {
  const damage: Record<string, (file: string) => void> = {
    "a byte changed": (file) => {
      const bytes = readFileSync(file);
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 10) ^ 1, bytes.length - 10);
      writeFileSync(file, bytes);
    },
    "cut short": (file) => writeFileSync(file, readFileSync(file).subarray(0, -1)),
    "cut to its first line": (file) =>
      writeFileSync(file, readFileSync(file).subarray(0, readFileSync(file).indexOf(10) + 1)),
    longer: (file) => writeFileSync(file, "x", { flag: "a" }),
    empty: (file) => writeFileSync(file, ""),
    "writable by others": (file) => chmodSync(file, 0o622),
    "a link": (file) => {
      renameSync(file, join(base, "elsewhere"));
      symlinkSync(join(base, "elsewhere"), file);
    },
    "a directory": (file) => {
      rmSync(file);
      mkdirSync(file);
    },
  };
  const cases = Object.keys(damage).flatMap((how) =>
    ["profile", "launch"].map((kind) => [how, kind] as const),
  );
  test.each(cases)("%s: %s", async (how, kind) => {
    const parts = await prepare();
    const file = theOne(kind);
    // Were it believed, this would show.
    const key = file.replace(/.*-/, "");
    const poison = PreparedCache.open(cache);
    if (kind === "launch") poison?.writeLaunch(key, { ...parts, planDigest: "poison" });
    damage[how]?.(file);
    expect((await prepare()).planDigest).toBe(parts.planDigest);
  });

  test("a valid entry under another name", async () => {
    await prepare();
    const kept = PreparedCache.open(cache);
    const key = theOne("launch").replace(/.*launch-/, "");
    const other = "f".repeat(64);
    expect(kept?.readLaunch(key)).not.toBeNull();
    renameSync(join(cache, `launch-${key}`), join(cache, `launch-${other}`));
    expect(kept?.readLaunch(other)).toBeNull();
  });

  test.skipIf(process.geteuid?.() !== 0)("somebody else's file", async () => {
    const parts = await prepare();
    const key = theOne("launch").replace(/.*launch-/, "");
    PreparedCache.open(cache)?.writeLaunch(key, { ...parts, planDigest: "poison" });
    chownSync(theOne("launch"), 65534, 65534);
    expect((await prepare()).planDigest).toBe(parts.planDigest);
  });
});

describe("a directory that is not ours alone is neither read nor written", () => {
  const cases: Record<string, () => void> = {
    "open to others": () => chmodSync(cache, 0o711),
    "a link to another": () => {
      renameSync(cache, join(base, "real"));
      symlinkSync(join(base, "real"), cache);
    },
    ...(process.geteuid?.() === 0 ? { "somebody else's": () => chownSync(cache, 65534, 65534) } : {}),
  };
  test.each(Object.keys(cases))("%s", async (how) => {
    const parts = await prepare();
    const key = theOne("launch").replace(/.*launch-/, "");
    PreparedCache.open(cache)?.writeLaunch(key, { ...parts, planDigest: "poison" });
    cases[how]?.();
    expect((await prepare()).planDigest).toBe(parts.planDigest);
    await prepare(options(), ["./tool"]);
    expect(entries("launch")).toHaveLength(1);
  });
});

test("concurrent writers leave one whole entry and nothing else", async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => prepare()));
  expect(new Set(all.map(({ planDigest }) => planDigest)).size).toBe(1);
  const key = theOne("launch").replace(/.*launch-/, "");
  expect(PreparedCache.open(cache)?.readLaunch(key)?.planDigest).toBe(all[0]?.planDigest);
  expect(readdirSync(cache).filter((name) => name.startsWith("."))).toEqual([]);
});

test("only so many entries of a kind are kept, the newest", () => {
  const kept = PreparedCache.open(cache);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its content plays no part
  const brief = { marker: true } as never;
  for (let count = 0; count < 70; count += 1) kept?.writeProfile(`${count}`.padStart(64, "0"), brief);
  writePrivate(cache, "a-filter", Buffer.from("x"));
  expect(entries("profile")).toHaveLength(64);
  expect(readdirSync(cache)).toContain(`profile-${"69".padStart(64, "0")}`);
  expect(readdirSync(cache)).toContain("a-filter");
});

test("code that was not built keeps nothing unless it is told where", () => {
  expect(PreparedCache.open(undefined)).toBeNull();
  expect(PreparedCache.open(null)).toBeNull();
});

test("the profiles of a sandbox are read from the disk at every opening", async () => {
  await prepare();
  const read: string[] = [];
  const files = profileFiles();
  const cached = PreparedCache.open(cache);
  const { request } = options();
  const key = theOne("profile").replace(/.*profile-/, "");
  cached?.readProfile(key, request, {
    ...files,
    read(path) {
      read.push(path);
      return files.read(path);
    },
  });
  expect(read.slice(-2)).toEqual([join(base, "parent.json"), profile]);
});
