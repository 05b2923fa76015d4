/** What a new image exposes more than an old one is worse, what it no longer exposes is better, and nothing else is either. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compareImages } from "../../src/image/diff/compare.ts";
import { factsOf, type ImageFacts } from "../../src/image/facts/facts.ts";
import { layout, readGood } from "./layout.ts";
import { file, type Member, tar } from "./tar-writer.ts";

const SH = readFileSync("/bin/dash");

async function image(
  members: readonly Member[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<ImageFacts> {
  const base = { User: "1000", Healthcheck: { Test: ["CMD", "/x"] }, ...config };
  return await factsOf(
    await readGood(layout({ layers: [{ tar: tar(file("etc/motd", "x"), ...members) }], config: base })),
  );
}

const status = (...names: readonly string[]): Member =>
  file(
    "var/lib/dpkg/status",
    names
      .map(
        (name) =>
          `Package: ${name.split("=")[0]}\nStatus: install ok installed\nVersion: ${name.split("=")[1] ?? "1"}\n\n`,
      )
      .join(""),
  );

const told = (before: ImageFacts, after: ImageFacts, growth: number | null = null): readonly string[] =>
  compareImages(before, after, growth)
    .changes.filter(({ kind }) => kind !== "size")
    .map(({ direction, kind, subject }) => `${direction} ${kind} ${subject}`);

const opposite = (line: string): string =>
  line.replace(/^(?:worse|better)/, (word) => (word === "worse" ? "better" : "worse"));

describe("compared with an image", () => {
  test.for<[string, readonly Member[], Readonly<Record<string, unknown>>, readonly string[]]>([
    [
      "a user that becomes root",
      [],
      { User: "" },
      ["worse root-user no user", "different configuration user"],
    ],
    ["a set-user-id bit", [file("su", "x", { mode: 0o4755 })], {}, ["worse set-user-id /su"]],
    [
      "a capability",
      [
        file("ping", "x", {
          pax: [
            [
              "SCHILY.xattr.security.capability",
              Buffer.from("0100000200200000000000000000000000000000", "hex"),
            ],
          ],
        }),
      ],
      {},
      ["worse capability /ping: CAP_NET_RAW"],
    ],
    ["a file that all may write", [file("conf", "x", { mode: 0o666 })], {}, ["worse world-writable /conf"]],
    [
      "a shell",
      [file("bin/x", SH, { mode: 0o755 })],
      {},
      ["worse shell /bin/x", "worse unowned-program /bin/x"],
    ],
    ["an open port", [], { ExposedPorts: { "22/tcp": {} } }, ["worse port 22/tcp"]],
    [
      "a health check that is gone",
      [],
      { Healthcheck: null },
      [
        "worse no-healthcheck image",
        "better missing-library /x is not in the image",
        "different configuration healthcheck",
      ],
    ],
    ["an empty password", [file("etc/passwd", "a::1:1::/:/bin/false\n")], {}, ["worse empty-password a"]],
    ["a variable", [], { Env: ["X=1"] }, ["different configuration environment X"]],
  ])("%s is told, and its removal is the opposite", async ([, members, config, expected]) => {
    const plain = await image([]);
    const other = await image(members, config);
    expect(told(plain, other)).toEqual(expected);
    expect(told(other, plain).toSorted()).toEqual(expected.map(opposite).toSorted());
  });

  test("packages that come are worse, that go are better, that change are different", async () => {
    const changes = told(await image([status("a", "b=1")]), await image([status("b=2", "c")]));
    expect(changes).toEqual(["worse package dpkg: c", "better package dpkg: a", "different version dpkg: b"]);
  });

  test("growth is worse beyond what was allowed", async () => {
    const plain = await image([]);
    const larger = await image([file("data", "x".repeat(5000))]);
    const direction = (growth: number | null): string | undefined =>
      compareImages(plain, larger, growth).changes.find(({ subject }) => subject.startsWith("files"))
        ?.direction;
    expect([direction(null), direction(5000), direction(4999)]).toEqual(["different", "different", "worse"]);
    expect(compareImages(larger, plain, 0).growth).toBe(-5000);
  });

  test("itself nothing differs", async () => {
    const one = await image([status("a"), file("bin/x", SH, { mode: 0o4755 })], { User: "" });
    expect(compareImages(one, one, 0).changes).toEqual([]);
  });

  test("values of the environment are not told", async () => {
    const before = await image([], { Env: ["TOKEN=abcdefgh"] });
    const after = await image([], { Env: ["TOKEN=ijklmnop"] });
    expect(JSON.stringify(compareImages(before, after, null))).not.toMatch(/abcdefgh|ijklmnop/);
  });
});
