/**
 * Package databases, made by the tools they belong to where there are such tools here, give what those tools say; what is claimed and what is there
 * are told apart.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { factsOf, type ImageFacts } from "../../src/image/facts/facts.ts";
import { bdbValues } from "../../src/image/packages/rpm/bdb.ts";
import { parseHeader } from "../../src/image/packages/rpm/header.ts";
import { ndbBlobs } from "../../src/image/packages/rpm/ndb.ts";
import { sqliteBlobs } from "../../src/image/packages/rpm/sqlite.ts";
import { has, need } from "../host/needs.ts";
import { layoutOf, onDisk, readGood, scratch } from "./layout.ts";
import { directory, file, symlink, tar } from "./tar-writer.ts";

const facts = async (...layers: readonly Buffer[]): Promise<ImageFacts> =>
  await factsOf(await readGood(layoutOf(...layers)));

const lines = (program: string, args: readonly string[]): readonly string[] =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    .split("\n")
    .filter((line) => line !== "")
    .toSorted();

describe("dpkg", () => {
  const status = (name: string, state = "install ok installed", more = ""): string =>
    `Package: ${name}\nStatus: ${state}\nArchitecture: amd64\nVersion: 1-1\n${more}Description: text\n more text\n\n`;

  test("says what dpkg-query says about this machine's database", async (context) => {
    need(context, has("/usr/bin/dpkg-query") && existsSync("/var/lib/dpkg/status"), "no dpkg here");
    const root = scratch();
    const info = join(root, "var/lib/dpkg/info");
    mkdirSync(info, { recursive: true });
    copyFileSync("/var/lib/dpkg/status", join(root, "var/lib/dpkg/status"));
    for (const name of readdirSync("/var/lib/dpkg/info"))
      if (name.endsWith(".list")) copyFileSync(join("/var/lib/dpkg/info", name), join(info, name));
    const { packages } = await factsOf(await readGood(root));
    const format = "${Package} ${Version} ${Architecture} ${db:Status-Status}\n";
    const told = lines("dpkg-query", ["--admindir=/var/lib/dpkg", "-W", "-f", format])
      .filter((line) => !/ (?:config-files|not-installed)$/.test(line))
      .map((line) => line.replace(/ \S+$/, ""));
    expect(
      packages.map(({ name, version, architecture }) => `${name} ${version} ${architecture}`).toSorted(),
    ).toEqual(told);
    expect(packages.filter(({ claimed }) => claimed === null)).toEqual([]);
  });

  test("removed packages do not count, nor does what was diverted from them", async () => {
    const found = await facts(
      tar(
        file("var/lib/dpkg/status", status("a") + status("b", "deinstall ok config-files") + status("c")),
        file("var/lib/dpkg/info/a.list", "/.\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/bin/gone\n"),
        file("var/lib/dpkg/info/c:amd64.list", "/usr/bin/tool\n"),
        file("var/lib/dpkg/diversions", "/usr/bin/tool\n/usr/bin/tool.real\nc\n"),
        file("usr/bin/tool", "of c"),
        file("usr/bin/tool.real", "of a, aside"),
      ),
    );
    expect(
      found.packages.map(({ name, claimed, present, size }) => ({ name, claimed, present, size })),
    ).toEqual([
      { name: "a", claimed: 2, present: 1, size: 11 },
      { name: "c", claimed: 1, present: 1, size: 4 },
    ]);
    expect(found.managers).toEqual(["dpkg"]);
  });

  test("distroless: a file for each package, with checksums as its list", async () => {
    const found = await facts(
      tar(
        file("var/lib/dpkg/status.d/base-files", "Package: base-files\nVersion: 12\nSource: base (11)\n"),
        file(
          "var/lib/dpkg/status.d/base-files.md5sums",
          `${"0".repeat(32)}  etc/x\n${"1".repeat(32)}  etc/none\n`,
        ),
        file("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\n"),
        file("etc/x", "12345"),
      ),
    );
    expect(found.packages).toMatchObject([
      { name: "base-files", source: "base", claimed: 2, present: 1, size: 5 },
      { name: "tzdata", claimed: null, present: 0 },
    ]);
  });

  test("a file that the database names by a path through a link is found", async () => {
    const found = await facts(
      tar(
        directory("usr/bin"),
        symlink("bin", "usr/bin"),
        file("usr/bin/sh", "elf"),
        file("var/lib/dpkg/status", status("dash")),
        file("var/lib/dpkg/info/dash.list", "/bin/sh\n"),
      ),
    );
    expect(found.packages).toMatchObject([{ name: "dash", claimed: 1, present: 1, size: 3 }]);
  });

  test("a database that is a link to a file whose content was not kept is a gap, not an empty list", async () => {
    const found = await facts(tar(file("data", status("a")), symlink("var/lib/dpkg/status", "/data")));
    expect(found.packages).toEqual([]);
    expect(found.gaps).toEqual([
      { path: "var/lib/dpkg/status", reason: "it is stored as data, whose content was not kept" },
    ]);
  });

  test("a package belongs to the layer that most of it came in with", async () => {
    const found = await facts(
      tar(file("var/lib/dpkg/status", status("a"))),
      tar(
        file("var/lib/dpkg/status", status("a") + status("b")),
        file("var/lib/dpkg/info/b.list", "/usr/b\n"),
        file("usr/b", "x"),
      ),
    );
    expect(found.packages.map(({ name, layer }) => [name, layer])).toEqual([
      ["a", 1],
      ["b", 1],
    ]);
  });
});

describe("other databases", () => {
  test("apk, in its old and its new place", async () => {
    const text =
      "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1x=\nF:etc\nR:none\n\nP:zlib\nV:1.3-r2\nA:x86_64\nL:Zlib\n\n";
    for (const place of ["lib/apk/db/installed", "usr/lib/apk/db/installed"]) {
      const found = await facts(tar(file(place, text), file("lib/ld-musl-x86_64.so.1", "123")));
      expect(found.packages).toMatchObject([
        {
          manager: "apk",
          name: "musl",
          version: "1.2.4-r2",
          license: "MIT",
          claimed: 2,
          present: 1,
          size: 3,
        },
        { manager: "apk", name: "zlib", claimed: 0 },
      ]);
    }
  });

  test("opkg and pacman", async () => {
    const found = await facts(
      tar(
        file(
          "usr/lib/opkg/status",
          "Package: base-files\nVersion: 1\nStatus: install user installed\nArchitecture: all\n\nPackage: x\nStatus: deinstall ok not-installed\n",
        ),
        file("usr/lib/opkg/info/base-files.list", "/etc/banner\t0100644\n"),
        file("etc/banner", "hi"),
        file(
          "var/lib/pacman/local/bash-5.2-1/desc",
          "%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n%ARCH%\nx86_64\n\n%LICENSE%\nGPL\nMIT\n",
        ),
        file("var/lib/pacman/local/bash-5.2-1/files", "%FILES%\nusr/\nusr/bin/\nusr/bin/bash\n"),
        file("usr/bin/bash", "bash"),
      ),
    );
    expect(found.packages).toMatchObject([
      {
        manager: "pacman",
        name: "bash",
        version: "5.2-1",
        license: "GPL AND MIT",
        claimed: 1,
        present: 1,
        size: 4,
      },
      { manager: "opkg", name: "base-files", claimed: 1, present: 1, size: 2 },
    ]);
  });

  test("chisel's manifest", async (context) => {
    need(context, has("/usr/bin/zstd"), "zstd is not installed");
    const wall = [
      { jsonwall: "1.0", schema: "1.0", count: 5 },
      { kind: "content", slice: "libc6_libs", path: "/lib/libc.so.6" },
      { kind: "package", name: "libc6", version: "2.39", sha256: "00", arch: "amd64" },
      { kind: "path", path: "/lib/libc.so.6", mode: "0755", slices: ["libc6_libs"] },
      { kind: "slice", name: "libc6_libs" },
    ];
    const text = wall.map((line) => `${JSON.stringify(line)}\n`).join("");
    const packed = execFileSync("zstd", ["-q", "-c"], { input: text });
    const found = await facts(tar(file("var/lib/chisel/manifest.wall", packed), file("lib/libc.so.6", "so")));
    expect(found.packages).toMatchObject([
      { manager: "chisel", name: "libc6", version: "2.39", claimed: 1, present: 1 },
    ]);
    const broken = await facts(tar(file("var/lib/chisel/manifest.wall", "no zstd")));
    expect(broken.gaps).toHaveLength(1);
  });

  test("npm, Python and what they own", async () => {
    const found = await facts(
      tar(
        file("app/node_modules/left/package.json", '{"name":"left","version":"1.0.0","license":"MIT"}'),
        file("app/node_modules/left/index.js", "1234"),
        file(
          "app/node_modules/left/node_modules/@s/right/package.json",
          '{"name":"@s/right","version":"2.0.0"}',
        ),
        file("app/node_modules/left/test/package.json", '{"type":"module"}'),
        file("app/node_modules/bad/package.json", "not json"),
        file(
          "usr/lib/python3/dist-packages/six-1.16.dist-info/METADATA",
          "Name: six\nVersion: 1.16\nLicense: MIT\n\nName: text\n",
        ),
        file("usr/lib/python3/dist-packages/six-1.16.dist-info/RECORD", 'six.py,sha256=x,5\n"a,b.py",,\n'),
        file("usr/lib/python3/dist-packages/six.py", "12345"),
        file("usr/lib/python3/dist-packages/old.egg-info", "Name: old\nVersion: 0.1\n"),
      ),
    );
    expect(
      found.packages.map(({ manager, name, version }) => `${manager} ${name} ${version}`).toSorted(),
    ).toEqual(["npm @s/right 2.0.0", "npm left 1.0.0", "python old 0.1", "python six 1.16"]);
    expect(found.packages.find(({ name }) => name === "left")).toMatchObject({ claimed: 3, present: 3 });
    expect(found.packages.find(({ name }) => name === "six")).toMatchObject({ claimed: 2, present: 1 });
  });

  test("no database at all is not an empty one", async () => {
    const found = await facts(tar(file("app", "x")));
    expect([found.managers, found.packages]).toEqual([[], []]);
  });
});

describe("rpm", () => {
  const SPEC = (name: string, files: number): string => `Name: ${name}
Version: 1.2
Release: 3
Epoch: 4
Summary: s
License: MIT AND Zlib
BuildArch: noarch
%description
d
%install
mkdir -p %{buildroot}/usr/share/${name} %{buildroot}/etc
for i in $(seq ${files}); do echo $i > %{buildroot}/usr/share/${name}/file-with-a-long-name-$i; done
echo y > %{buildroot}/etc/${name}.conf
%files
/usr/share/${name}/*
/etc/${name}.conf
%ghost /var/log/${name}.log
`;
  const NAMES = ["alpha", "beta", "gamma"];

  let made: string | null = null;
  afterAll(() => {
    if (made !== null) rmSync(dirname(made), { recursive: true });
  });

  /** A database that rpm made of packages that rpmbuild made. */
  function database(): string {
    if (made !== null) return made;
    const top = mkdtempSync(join(tmpdir(), "sandbox-rpm-"));
    const rpm = ["--dbpath", join(top, "db")];
    mkdirSync(join(top, "db"));
    for (const [index, name] of NAMES.entries()) {
      writeFileSync(join(top, `${name}.spec`), SPEC(name, 3 + index * 80));
      const define = ["--define", `_topdir ${top}`, "--define", "_build_id_links none"];
      execFileSync("rpmbuild", ["-bb", "--quiet", ...define, join(top, `${name}.spec`)], { stdio: "ignore" });
      const built = join(top, "RPMS/noarch", `${name}-1.2-3.noarch.rpm`);
      execFileSync("rpm", [...rpm, "-i", "--justdb", "--nodeps", "--force-debian", built], {
        stdio: "ignore",
      });
    }
    made = join(top, "db");
    return made;
  }
  const NO_RPM = "rpm and rpmbuild are not installed";
  const hasRpm = has("/usr/bin/rpmbuild") && has("/usr/bin/rpm");

  test("databases in all three forms give what rpm says", async (context) => {
    need(context, hasRpm, NO_RPM);
    need(context, has("/usr/bin/db5.3_load"), "db5.3_load (db5.3-util) is not installed");
    const path = database();
    const format = "%{NAME} %{EPOCH}:%{VERSION}-%{RELEASE} %{ARCH} %{LICENSE}\n";
    const told = lines("rpm", ["--dbpath", path, "-qa", "--qf", format]);
    const files = lines("rpm", ["--dbpath", path, "-qal"]).filter((line) => !line.startsWith("/var/log/"));
    expect(told).toHaveLength(NAMES.length);
    const blobs = sqliteBlobs(readFileSync(join(path, "rpmdb.sqlite"))) ?? [];

    const hex = (bytes: Buffer): string => ` ${bytes.toString("hex")}\n`;
    const key = (number: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(number);
      return bytes;
    };
    const berkeley = join(scratch(), "Packages");
    const dump = `VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n${blobs.map((blob, index) => hex(key(index + 1)) + hex(blob)).join("")}DATA=END\n`;
    execFileSync("db5.3_load", [berkeley], { input: dump });
    const databases = {
      "var/lib/rpm/rpmdb.sqlite": readFileSync(join(path, "rpmdb.sqlite")),
      "usr/lib/sysimage/rpm/Packages.db": ndb(blobs),
      "usr/share/rpm/Packages": readFileSync(berkeley),
    };
    for (const [name, bytes] of Object.entries(databases)) {
      const found = await facts(tar(file(name, bytes), file("etc/beta.conf", "y\n")));
      expect(found.gaps).toEqual([]);
      expect(
        found.packages
          .map(
            ({ name: one, version, architecture, license }) => `${one} ${version} ${architecture} ${license}`,
          )
          .toSorted(),
      ).toEqual(told);
      expect(found.packages.reduce((sum, { claimed }) => sum + (claimed ?? 0), 0)).toBe(files.length);
      expect(found.packages.find(({ name: one }) => one === "beta")).toMatchObject({
        source: "beta",
        present: 1,
        size: 2,
      });
    }
  });

  /** SUSE's form, of blobs that rpm made: Debian's rpm cannot write it. */
  function ndb(blobs: readonly Buffer[]): Buffer {
    const slots = Buffer.alloc(4096);
    slots.write("RpmP", 0);
    slots.writeUInt32LE(1, 8);
    slots.writeUInt32LE(1, 12);
    slots.writeUInt32LE(blobs.length + 1, 16);
    const parts: Buffer[] = [];
    let block = 4096 / 16;
    for (let at = 32; at < 4096; at += 16) slots.write("Slot", at);
    for (const [index, blob] of blobs.entries()) {
      const length = Math.ceil((16 + blob.length + 12) / 16);
      const bytes = Buffer.alloc(length * 16);
      bytes.write("BlbS", 0);
      bytes.writeUInt32LE(index + 1, 4);
      bytes.writeUInt32LE(1, 8);
      bytes.writeUInt32LE(blob.length, 12);
      blob.copy(bytes, 16);
      bytes.write("BlbE", bytes.length - 4);
      slots.writeUInt32LE(index + 1, 32 + index * 16 + 4);
      slots.writeUInt32LE(block, 32 + index * 16 + 8);
      slots.writeUInt32LE(length, 32 + index * 16 + 12);
      parts.push(bytes);
      block += length;
    }
    return Buffer.concat([slots, ...parts]);
  }

  test("damaged databases are gaps or lists, and never anything else", async (context) => {
    need(context, hasRpm, NO_RPM);
    const whole = readFileSync(join(database(), "rpmdb.sqlite"));
    const blobs = sqliteBlobs(whole) ?? [];
    const originals = [
      { bytes: whole, read: sqliteBlobs },
      { bytes: ndb(blobs), read: ndbBlobs },
    ];
    for (const { bytes, read } of originals)
      for (let round = 0; round < 300; round++) {
        const copy = Buffer.from(bytes);
        for (let edit = 0; edit < 4; edit++)
          copy[(round * 7919 + edit * 104_729) % Math.min(copy.length, 8192)] = (round * 31 + edit) & 0xff;
        for (const blob of read(copy) ?? []) parseHeader(blob, "x");
      }
    for (const cut of [0, 10, 100, 4096, 5000]) {
      expect(() => sqliteBlobs(whole.subarray(0, cut))).not.toThrow();
      expect(() => bdbValues(whole.subarray(0, cut))).not.toThrow();
    }
    const found = await facts(tar(file("var/lib/rpm/rpmdb.sqlite", whole.subarray(0, 9000))));
    expect(found.gaps).toHaveLength(1);
  });

  test("the manifest of distroless images of Azure Linux", async () => {
    const line = "bash\t5.1.8-1.cm2\t1\t2\tMicrosoft\t(none)\t3\tx86_64\t0\tbash-5.1.8-1.cm2.src.rpm\n";
    const found = await facts(tar(file("var/lib/rpmmanifest/container-manifest-2", line)));
    expect(found.packages).toMatchObject([
      { manager: "rpm", name: "bash", version: "5.1.8-1.cm2", source: "bash" },
    ]);
  });
});

test("a database longer than may be kept is a gap", async () => {
  const path = onDisk(
    tar(
      file(
        "var/lib/dpkg/status",
        `Package: a\nStatus: install ok installed\nVersion: 1\n${"X: y\n".repeat(400)}`,
      ),
    ),
  );
  const image = await readGood(path, { limits: { kept: 1000 } });
  const found = await factsOf(image);
  expect(found.gaps).toEqual([{ path: "var/lib/dpkg/status", reason: "it is too long to be kept" }]);
});
