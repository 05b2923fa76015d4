/** Java archives: what they say they are and hold, as their own tools write them, and what a hostile one can do, which is nothing. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type JarContent, readJar } from "../../src/image/content/jar.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { toCycloneDx } from "../../src/image/sbom/cyclonedx.ts";
import { has, need } from "../host/needs.ts";
import { layoutOf, readGood, refusalOf, scratch } from "./layout.ts";
import { file, tar } from "./tar-writer.ts";
import { type Member, zip } from "./zip-writer.ts";

const pom = (group: string, name: string, version: string): Member => ({
  name: `META-INF/maven/${group}/${name}/pom.properties`,
  body: `#Created by Apache Maven\r\n#Mon Jan 01\r\nversion=${version}\r\ngroupId=${group}\r\nartifactId=${name}\r\n`,
  deflate: true,
});
const manifest = (text: string): Member => ({ name: "META-INF/MANIFEST.MF", body: text, deflate: true });
const read = (bytes: Buffer): JarContent | null => readJar(bytes, () => undefined);
const libraries = (bytes: Buffer) =>
  read(bytes)?.libraries.map(({ group, name, version, inside }) => [group, name, version, inside]);

describe("a Java archive", () => {
  test("is what Maven wrote into it, and holds what its archives say", () => {
    const inner = zip([pom("org.inner", "deep", "2")]);
    const library = zip([pom("org.lib", "lib", "1.5"), { name: "x/inner.jar", body: inner, deflate: true }]);
    const app = zip(
      [
        manifest("Manifest-Version: 1.0\r\nImplementation-Title: app\r\nImplementation-Version: 9\r\n"),
        pom("org.app", "app", "3.1"),
        { name: "BOOT-INF/lib/lib-1.5.jar", body: library },
      ],
      "#!/bin/sh\nexec java -jar $0\n",
      "a comment",
    );
    expect(libraries(app)).toEqual([
      ["org.app", "app", "3.1", ""],
      ["org.lib", "lib", "1.5", "BOOT-INF/lib/lib-1.5.jar"],
      ["org.inner", "deep", "2", "BOOT-INF/lib/lib-1.5.jar!x/inner.jar"],
    ]);
    expect(read(app)?.gap).toBeNull();
  });

  test.for<readonly [string, string, readonly (string | null)[] | undefined]>([
    [
      "an OSGi bundle",
      "Bundle-SymbolicName: org.x.core;singleton:=true\nBundle-Version: 1.2.3\n",
      [null, "org.x.core", "1.2.3", ""],
    ],
    ["a module", "automatic-module-name: a.b\nSpecification-Version: 4\n", [null, "a.b", "4", ""]],
    [
      "a long name",
      `Implementation-Title: ${"n".repeat(40)}\r\n ${"m".repeat(20)}\r\nImplementation-Version: 1\r\n`,
      [null, `${"n".repeat(40)}${"m".repeat(20)}`, "1", ""],
    ],
    [
      "another section's name",
      "Manifest-Version: 1.0\n\nName: a/\nImplementation-Title: a\nImplementation-Version: 1\n",
      undefined,
    ],
    ["no version", "Implementation-Title: a\n", undefined],
  ])("says in its manifest that it is %s", ([, text, expected]) => {
    expect(libraries(zip([manifest(text)]))).toEqual(expected === undefined ? [] : [expected]);
  });

  test("with a template that nobody filled in is nothing", () => {
    expect(libraries(zip([pom("${project.groupId}", "${artifactId}", "1")]))).toEqual([]);
  });

  test("of its own tool is read in an image, with its layer and its URL", async (context) => {
    need(context, has("/usr/bin/zip"), "zip is not installed");
    const directory = scratch();
    const path = "META-INF/maven/com.example/web/pom.properties";
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    writeFileSync(join(directory, path), "groupId=com.example\nartifactId=web\nversion=7.0\n");
    execFileSync("zip", ["-qr", "web.war", "META-INF"], { cwd: directory });
    const image = layoutOf(
      tar(file("etc/os-release", "ID=x\n")),
      tar(file("srv/web.war", readFileSync(join(directory, "web.war"))), file("srv/text.jar", "not one")),
    );
    const facts = await factsOf(await readGood(image));
    expect(facts.packages).toMatchObject([
      { manager: "java", name: "com.example:web", version: "7.0", layer: 1, database: "srv/web.war" },
    ]);
    expect(facts.gaps).toEqual([]);
    expect(JSON.stringify(toCycloneDx(facts, new Date(0)))).toContain('"pkg:maven/com.example/web@7.0"');
  });
});

describe("a hostile archive", () => {
  const good = zip([pom("g", "a", "1")]);
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(good);
    change(bytes);
    return bytes;
  };
  const end = good.length - 22;
  test.for<readonly [string, Buffer, RegExp]>([
    [
      "more entries than its directory has",
      changed((bytes) => bytes.writeUInt16LE(500, end + 10)),
      /damaged/,
    ],
    [
      "a directory before its beginning",
      changed((bytes) => bytes.writeUInt32LE(0x7fffffff, end + 16)),
      /outside/,
    ],
    ["64-bit fields", changed((bytes) => bytes.writeUInt32LE(0xffffffff, end + 16)), /64 bits/],
    ["its end cut off", good.subarray(0, -1), /no zip file/],
    [
      "an entry that is not where it should be",
      changed((bytes) => bytes.writeUInt32LE(1, bytes.readUInt32LE(end + 16) + 42)),
      /not where/,
    ],
    ["a size that is not its own", zip([{ ...pom("g", "a", "1"), size: 5 }]), /is damaged|two sizes/],
    [
      "a stored size that is not its own",
      zip([{ ...pom("g", "a", "1"), deflate: false, size: 5 }]),
      /two sizes/,
    ],
    ["an unknown method", zip([{ ...pom("g", "a", "1"), method: 99 }]), /by a method \(99\)/],
    ["encryption", zip([{ ...pom("g", "a", "1"), flags: 1 }]), /encrypted/],
    ["a manifest of gigabytes", zip([{ ...manifest("x"), size: 2 ** 31 }]), /too long/],
    [
      "archives in archives without end",
      zip([{ name: "1.jar", body: zip([{ name: "2.jar", body: zip([{ name: "3.jar", body: good }]) }]) }]),
      /1\.jar!2\.jar!3\.jar: archives are nested deeper/,
    ],
  ])("with %s is said not to be known", ([, bytes, why]) => {
    const content = read(bytes);
    expect(content?.libraries).toEqual([]);
    expect(content?.gap).toMatch(why);
  });

  test("that inflates to much more than it is costs no more than it may", () => {
    const bomb = deflateRawSync(Buffer.alloc(40 * 2 ** 20), { level: 9 });
    const one = { name: "n.jar", body: bomb, method: 8, size: 40 * 2 ** 20 };
    let unpacked = 0;
    const content = readJar(zip(Array.from({ length: 60 }, () => one)), (bytes) => (unpacked += bytes));
    expect(content?.gap).toMatch(/is too long|no zip file/);
    expect(unpacked).toBeLessThanOrEqual(512 * 2 ** 20);
  });

  test("counts against what the image may unpack to", async () => {
    const jar = zip([{ name: "META-INF/MANIFEST.MF", body: Buffer.alloc(2 ** 20), deflate: true }]);
    const files = Array.from({ length: 40 }, (_, index) => file(`${index}.jar`, jar));
    const refusal = await refusalOf(layoutOf(tar(...files)), { limits: { unpacked: 2 ** 23 } });
    expect(refusal).toMatch(/^image-limit: the image unpacks to more than 8388608 bytes/);
  });

  test("never throws, whatever its bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
        const content = read(
          changed((bytes) => {
            for (const [at, value] of changes) bytes[at] = value;
          }),
        );
        return content === null || Array.isArray(content.libraries);
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});
