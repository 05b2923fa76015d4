/** Why a package is in an image: by whom it is needed, from one that nobody needs, as dpkg and apk write it. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { renderWhy } from "../../src/cli/render-why.ts";
import { factsOf, type ImageFacts } from "../../src/image/facts/facts.ts";
import { whyPackage } from "../../src/image/facts/why.ts";
import { layout, readGood } from "./layout.ts";
import { file, type Member, tar } from "./tar-writer.ts";

const stanza = (name: string, more = ""): string =>
  `Package: ${name}\nStatus: install ok installed\nVersion: 1\n${more}\n`;
const STATUS = [
  stanza("git", "Depends: perl, libc6 (>= 2.34)"),
  stanza("perl", "Pre-Depends: perl-base (= 1)\nDepends: awk | nothing, python3:any"),
  stanza("perl-base", "Depends: libc6"),
  stanza("mawk", "Provides: awk (= 2)"),
  stanza("python3"),
  stanza("libc6"),
  stanza("egg", "Depends: hen"),
  stanza("hen", "Depends: egg, hen"),
].join("\n");

async function facts(...members: readonly Member[]): Promise<ImageFacts> {
  const layers = [{ tar: tar(...members), createdBy: "COPY rootfs /" }];
  return await factsOf(await readGood(layout({ layers, config: { Entrypoint: ["/usr/bin/perl"] } })));
}

describe("a package of dpkg", () => {
  const chain = async (name: string) => {
    const { packages } = await facts(file("var/lib/dpkg/status", STATUS));
    return whyPackage(packages, name).map(({ neededBy, chain: way }) => [neededBy, way.join(" > ")]);
  };
  test.for<readonly [string, readonly string[], string]>([
    ["git", [], "git"],
    ["perl", ["git"], "git > perl"],
    ["perl-base", ["perl"], "git > perl > perl-base"],
    // By the name that it provides, one of two alternatives; with a version, an architecture.
    ["mawk", ["perl"], "git > perl > mawk"],
    ["python3", ["perl"], "git > perl > python3"],
    // The shortest way.
    ["libc6", ["git", "perl-base"], "git > libc6"],
    ["egg", ["hen"], ""],
    ["hen", ["egg"], ""],
  ])("%s is needed by %j", async ([name, neededBy, way]) => {
    expect(await chain(name)).toEqual([[neededBy, way]]);
  });
  test("that is not there has no answer", async () => expect(await chain("perl5")).toEqual([]));
});

test("a package of apk is needed by the library that it provides", async () => {
  const installed = [
    "P:app\nV:1\nD:so:libz.so.1 !busybox\n",
    "P:zlib\nV:1\np:so:libz.so.1=1.3\nD:musl>=1.2\n",
    "P:musl\nV:2\n",
  ].join("\n");
  const { packages } = await facts(file("lib/apk/db/installed", installed));
  expect(whyPackage(packages, "musl").map(({ chain }) => chain)).toEqual([["app", "zlib", "musl"]]);
});

test("a database that does not say what needs what is said not to", async () => {
  const found = await facts(file("app/node_modules/left/package.json", '{"name":"left","version":"1.0.0"}'));
  expect(renderWhy(found, "left")).toContain("its database does not say what needs it");
});

test("a program is explained by its layer, its reach and its package", async () => {
  const list = "/usr/bin\n/usr/bin/perl\n";
  const elf = readFileSync("/bin/true");
  const found = await facts(
    file("var/lib/dpkg/status", STATUS),
    file("var/lib/dpkg/info/perl-base.list", list),
    file("usr/bin/perl", elf, { mode: 0o755 }),
    file("usr/bin/odd", elf, { mode: 0o755 }),
  );
  expect(renderWhy(found, "/usr/bin/perl")).toMatch(
    /^\/usr\/bin\/perl, interpreter: from layer 1 \(COPY rootfs \/\)\n {2}the entry point reaches it\nperl-base 1 \(dpkg\), [^\n]+\n {2}needed by 1 package: perl\n {2}git needs perl needs perl-base$/,
  );
  expect(renderWhy(found, "/usr/bin/odd")).toMatch(
    /by no name, interpreter or library\n {2}no package database lists it$/,
  );
  expect(renderWhy(found, "/usr/bin/none")).toBeNull();
});

test("a database in which everything needs and provides one name is explained in time that grows with it", async () => {
  const many = Array.from({ length: 20_000 }, (_, index) => stanza(`p${index}`, "Provides: x\nDepends: x"));
  const { packages } = await facts(file("var/lib/dpkg/status", many.join("\n")));
  const start = performance.now();
  expect(whyPackage(packages, "p0")[0]?.chain).toEqual([]);
  expect(performance.now() - start).toBeLessThan(5_000);
});
