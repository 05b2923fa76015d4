/** The verdict on an image: the highest grade that it holds, why not the next, and a score that what is added never lowers. */
import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { policyFiles } from "../../src/gate/files.ts";
import { loadPolicy } from "../../src/gate/policy.ts";
import { exposuresOf } from "../../src/image/diff/exposures.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { type CheckedImage, toChecked } from "../../src/image-rules/checked-image.ts";
import { describeVerdict, GRADES, gradeOf, scoreOf } from "../../src/image-rules/grade.ts";
import { IMAGE_RULES } from "../../src/image-rules/registry.ts";
import { unwrap } from "../../src/problems.ts";
import { need } from "../host/needs.ts";
import { layout, readGood } from "../image/layout.ts";
import { file, type Member, tar } from "../image/tar-writer.ts";

const DASH = readFileSync("/bin/dash");
const run = { mode: 0o755 };
const policies = GRADES.map((policy) =>
  unwrap(loadPolicy({ policy, cwd: "/", source: { kind: "default" } }, IMAGE_RULES, policyFiles())),
);

async function image(
  members: readonly Member[],
  user = "65532:65532",
  layers = 1,
  app: Member = file("app", "#!/bin/sh\n", run),
): Promise<CheckedImage> {
  const packages = [
    file("var/lib/dpkg/status.d/app", "Package: app\nVersion: 1\n"),
    file("var/lib/dpkg/status.d/app.md5sums", `${"0".repeat(32)}  app\n${"0".repeat(32)}  bin/sh\n`),
  ];
  const first = tar(...packages, app, ...members);
  const config = { User: user, Entrypoint: ["/app"] };
  const spec = {
    layers: [{ tar: first }, ...Array.from({ length: layers - 1 }, () => ({ tar: tar(file("x")) }))],
    config,
  };
  return toChecked(await factsOf(await readGood(layout(spec))), null, "2026-01-01");
}
const verdict = (of: CheckedImage) => gradeOf(of, IMAGE_RULES, policies);

describe("the grade of an image", () => {
  test("falls with what is in it, and says for which rules", async () => {
    const found = [
      verdict(await image([file("bin/sh", DASH, run), file("t", `ghp_${"a1B2c3D4e5F6".repeat(3)}`)])),
      verdict(await image([file("bin/sh", DASH, run), file("bin/su", "x", { mode: 0o4755 })], "0")),
    ].map(({ grade, missed }) => [grade, missed?.grade, missed?.rules]);
    expect(found).toEqual([
      [null, "base", ["no-secrets"]],
      ["base", "runtime", ["non-root-user", "no-setuid-programs", "complete-programs"]],
    ]);
  });

  test("is the highest for one static program, and says what keeps it from there", async (context) => {
    need(context, existsSync("/sbin/ldconfig"), "there is no static program to take");
    const program = file("app", readFileSync("/sbin/ldconfig"), run);
    expect(verdict(await image([], "1:1", 1, program))).toEqual({ grade: "static", missed: null });
    const shell = file("bin/sh", DASH, run);
    expect(verdict(await image([shell], "1:1", 1, program)).missed).toEqual({
      grade: "distroless",
      rules: ["no-shell"],
    });
    const data = file("usr/share/app/data", "x".repeat(65 * 2 ** 20));
    expect(verdict(await image([data], "1:1", 1, program)).missed).toEqual({
      grade: "static",
      rules: ["size-limit"],
    });
  });

  test("is a line that people can read", async () => {
    const bare = await image([], "0");
    expect(describeVerdict(verdict(bare), { score: scoreOf(bare), base: null })).toMatch(
      /^exposure \d\.\d of 10, grade base, not runtime for non-root-user, complete-programs$/,
    );
    expect(describeVerdict({ grade: "static", missed: null }, { score: 0, base: null })).toBe(
      "exposure 0.0 of 10, grade static",
    );
  });
});

describe("the score of an image", () => {
  test("never falls when something is added", async () => {
    const additions: readonly Member[] = [
      file("bin/sh", DASH, run),
      file("bin/su", "x", { mode: 0o4755 }),
      file("bin/wget", "#!/x\n", run),
      file("bin/gcc", "#!/x\n", run),
      file("bin/apt", "#!/x\n", run),
      file("open", "x", { mode: 0o666 }),
      file("key", `ghp_${"a1B2c3D4e5F6".repeat(3)}`),
      file("etc/passwd", "a::0:0::/:/bin/sh\nb:x:0:0::/:/none\n"),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.subarray([...additions]),
        fc.nat({ max: additions.length - 1 }),
        async (some, which) => {
          const one = additions[which];
          const more = one === undefined || some.includes(one) ? some : [...some, one];
          const [less, greater] = [await image(some), await image(more)];
          expect(scoreOf(greater)).toBeGreaterThanOrEqual(scoreOf(less));
          expect(exposuresOf(greater).length).toBeGreaterThanOrEqual(exposuresOf(less).length);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("is 10 for an image that exposes everything that is looked at, without end", async () => {
    const names =
      "sh bash apt dpkg pip npm gcc g++ cc ld make go gdb git wget curl nc ssh su sudo doas mount umount chroot nsenter unshare perl python3";
    const programs = names.split(" ").map((name) => file(`usr/bin/${name}`, "#!/x\n", { mode: 0o6777 }));
    const rest = [
      file("etc/passwd", "a::0:0::/:/usr/bin/sh\n"),
      file("k", `ghp_${"a1B2c3D4e5F6".repeat(3)}`),
    ];
    const database = Array.from(
      { length: 500 },
      (_, index) => `Package: p${index}\nVersion: 1\nStatus: install ok installed\n`,
    );
    const all = [...programs, ...rest, file("var/lib/dpkg/status", database.join("\n"))];
    expect(scoreOf(await image(all, "0"))).toBe(10);
    expect(
      scoreOf(
        await image([...all, ...programs.map((one) => ({ ...one, name: `opt/${String(one.name)}` }))], "0"),
      ),
    ).toBe(10);
  });
});
