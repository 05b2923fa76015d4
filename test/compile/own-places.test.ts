/** What the tool keeps of its own is out of the payload's reach: the cache always, the log or the decision says so. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { probeOwnPlace } from "../../src/host/own-places.ts";
import { type Case, planFor } from "./plan.ts";

const base = realpathSync(mkdtempSync(join(tmpdir(), "own-places-")));
afterAll(() => rmSync(base, { recursive: true, force: true }));
for (const path of ["home/.cache/sandbox", "home/.cache/other", "home/project", "elsewhere/cache", "linked"])
  mkdirSync(join(base, path), { recursive: true });
symlinkSync("../elsewhere/cache", join(base, "linked/.cache"));

const at = (path: string): string => join(base, path);
const bind = (source: string, options: readonly string[] = ["rw"]) => ({
  "/filesystem/mounts": [{ type: "bind", source: at(source), target: "/data", options }],
});
const OWN: Case = {
  host: "user-v2-delegated",
  ownPlaces: [
    probeOwnPlace("cache", at("home/.cache/sandbox")),
    probeOwnPlace("log", at("home/log/audit.jsonl")),
  ],
};
const directories = Object.fromEntries(
  [
    "home",
    "home/.cache",
    "home/.cache/sandbox",
    "home/project",
    "elsewhere",
    "elsewhere/cache",
    "linked",
  ].map((path) => [at(path), { type: "directory" } as const]),
);
const plan = (change: Partial<Case>) => planFor({ ...OWN, paths: directories, ...change });
const problems = (change: Partial<Case>) => {
  const planned = plan(change);
  return planned.ok ? [] : planned.problems.map(({ kind, pointer }) => `${kind} ${pointer}`);
};

describe("the cache, which holds the launchers of later runs", () => {
  test.each(["", "home", "home/.cache", "home/.cache/sandbox"])(
    "is not below a writable bind of %s",
    (source) => {
      const paths = {
        ...directories,
        [at(source)]: { type: "directory", real: join(base, source) },
      } as const;
      expect(problems({ overrides: bind(source), paths })).toContain(
        "profile-contradiction /filesystem/mounts/0",
      );
    },
  );

  test("is not below the working directory of build", () => {
    expect(problems({ profile: "build", cwd: at("home") })).toEqual([
      "profile-contradiction /filesystem/workdir",
    ]);
    expect(problems({ profile: "build", cwd: at("home/project") })).toEqual([]);
  });

  test("is not below a bind that is a link to what holds it", () => {
    const paths = { ...directories, [at("linked")]: { type: "directory", real: at("home") } } as const;
    expect(problems({ overrides: bind("linked"), paths })).toContain(
      "profile-contradiction /filesystem/mounts/0",
    );
  });

  test("is not reached through a link that the payload could change, nor where the link leads", () => {
    const ownPlaces = [probeOwnPlace("cache", at("linked/.cache/sandbox"))];
    for (const source of ["linked", "elsewhere", "elsewhere/cache"])
      expect(problems({ overrides: bind(source), ownPlaces })).toEqual([
        "profile-contradiction /filesystem/mounts/0",
      ]);
  });

  test("may be seen, and may lie beside what is writable", () => {
    expect(problems({ overrides: bind("home/.cache", ["ro"]) })).toEqual([]);
    expect(problems({ overrides: bind("home/project") })).toEqual([]);
  });
});

describe("a log that the payload could change", () => {
  const cacheElsewhere = { ownPlaces: [probeOwnPlace("log", at("home/audit.jsonl"))] };

  test("is a refusal where the log is required, which names the way out", () => {
    const planned = plan({ ...cacheElsewhere, overrides: bind("home") });
    expect(planned).toMatchObject({
      ok: false,
      problems: [
        {
          kind: "host-cannot",
          pointer: "/require/audit",
          message: expect.stringMatching(/the payload may change .*\/home\/audit\.jsonl: .*; log elsewhere/),
        },
      ],
    });
  });

  test("is partial where it is not", () => {
    const planned = plan({ ...cacheElsewhere, profile: "build", cwd: at("home") });
    const decision = planned.ok ? planned.value.decisions.find(({ id }) => id === "audit") : null;
    expect(decision).toMatchObject({ status: "partial" });
  });
});
