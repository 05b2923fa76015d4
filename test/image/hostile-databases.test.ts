/** Package databases and tables of users that are made to cost time or memory end in a gap within seconds, and none is believed to be whole. */
import { hash } from "node:crypto";
import { expect, test } from "vitest";
import { factsOf, type ImageFacts } from "../../src/image/facts/facts.ts";
import { bdbValues } from "../../src/image/packages/rpm/bdb.ts";
import { sqliteBlobs } from "../../src/image/packages/rpm/sqlite.ts";
import { onDisk, readGood, refusalOf } from "./layout.ts";
import { file, type Member, symlink, tar } from "./tar-writer.ts";

const facts = async (...members: readonly Member[]): Promise<ImageFacts> =>
  await factsOf(await readGood(onDisk(tar(...members))));

const gapsOf = ({ gaps }: ImageFacts): readonly string[] =>
  gaps.map(({ path, reason }) => `${path}: ${reason}`);

const DPKG = "var/lib/dpkg/status";
const stanza = (name: string): string => `Package: ${name}\nStatus: ok installed\n\n`;

/** An RPM header: tag, type, count and data of each entry. */
function rpmHeader(entries: readonly (readonly [number, number, number, string])[]): Buffer {
  const data: Buffer[] = [];
  let offset = 0;
  const index = Buffer.alloc(entries.length * 16);
  for (const [at, [tag, type, count, text]] of entries.entries()) {
    for (const [field, value] of [tag, type, offset, count].entries())
      index.writeUInt32BE(value, at * 16 + field * 4);
    data.push(Buffer.from(text));
    offset += text.length;
  }
  const counts = Buffer.alloc(8);
  counts.writeUInt32BE(entries.length, 0);
  counts.writeUInt32BE(offset, 4);
  return Buffer.concat([counts, index, ...data]);
}

const NAMED = [
  [1000, 6, 1, "n\0"],
  [1001, 6, 1, "1\0"],
  [1002, 6, 1, "1\0"],
] as const;

/** SUSE's form: one page of slots, then the blobs. */
function ndb(...blobs: readonly Buffer[]): Buffer {
  const slots = Buffer.alloc(4096);
  slots.writeUInt32LE(0x506d7052, 0);
  slots.writeUInt32LE(1, 12);
  for (let at = 32; at < slots.length; at += 16) slots.writeUInt32LE(0x746f6c53, at);
  const stored: Buffer[] = [slots];
  let at = slots.length;
  for (const [index, blob] of blobs.entries()) {
    slots.writeUInt32LE(index + 1, 32 + index * 16 + 4);
    slots.writeUInt32LE(at / 16, 32 + index * 16 + 8);
    const head = Buffer.alloc(16);
    head.writeUInt32LE(0x53626c42, 0);
    head.writeUInt32LE(index + 1, 4);
    head.writeUInt32LE(blob.length, 12);
    stored.push(head, blob, Buffer.alloc((16 - (blob.length % 16)) % 16));
    at += 16 + Math.ceil(blob.length / 16) * 16;
  }
  return Buffer.concat(stored);
}

test("a million files in a directory whose name is a megabyte long", async () => {
  const long = "a/".repeat(500_000);
  const apk = await facts(file("lib/apk/db/installed", `P:x\nV:1\nF:${long}\n${"R:a\n".repeat(1_000_000)}`));
  expect(apk.packages[0]).toMatchObject({ name: "x", claimed: 1_000_000, present: 0 });
  const header = rpmHeader([
    ...NAMED,
    [1118, 8, 1, `${long}\0`],
    [1117, 8, 1_000_000, "b\0".repeat(1_000_000)],
  ]);
  const rpm = await facts(file("var/lib/rpm/Packages.db", ndb(header)));
  expect(rpm.packages[0]).toMatchObject({ name: "n", claimed: 1_000_000, present: 0 });
});

test("more lines than a database has are a gap, of users too", async () => {
  const found = await facts(
    file(DPKG, stanza("x")),
    file("var/lib/dpkg/info/x.list", "a\n".repeat(4_000_001)),
    file("etc/passwd", "a:x:0:0::/:/bin/sh\n".repeat(100_001)),
  );
  expect(gapsOf(found)).toEqual(
    expect.arrayContaining([
      "var/lib/dpkg/info/x.list: it has more than 4000000 lines",
      "etc/passwd: it has more than 100000 lines",
    ]),
  );
  expect(found.packages).toMatchObject([{ name: "x", claimed: null }]);
});

test("users who all share one number", async () => {
  const { sharedIds } = await facts(file("etc/group", "g:x:0:\n".repeat(99_000)));
  expect(sharedIds[0]?.names).toHaveLength(99_000);
});

test("a package that is listed again and again, each time with all its files", async () => {
  const found = await facts(
    file(DPKG, stanza("x").repeat(100_000)),
    file("var/lib/dpkg/info/x.list", "/bin/sh\n".repeat(1000)),
  );
  expect(gapsOf(found)).toContain(
    `${DPKG}: it claims more files than are looked for, or ones that take too long to find`,
  );
});

test("more packages than there are", async () => {
  const found = await facts(file(DPKG, stanza("x").repeat(200_001)));
  expect(gapsOf(found)).toContain(`${DPKG}: databases list more than 200000 packages`);
});

test("files behind links that take long to follow", async () => {
  const links = Array.from({ length: 39 }, (_, at) => symlink(`l${at}`, `${"d/../".repeat(17)}l${at + 1}`));
  const found = await facts(
    ...links,
    file("d/x"),
    file("l39", "end"),
    file(DPKG, stanza("x")),
    file("var/lib/dpkg/info/x.list", "l0/x\n".repeat(500_000)),
  );
  expect(gapsOf(found)).toContain(
    `${DPKG}: it claims more files than are looked for, or ones that take too long to find`,
  );
});

test("manifests of packages that nest without end", async () => {
  const deep = `{"name":"a","version":"1","x":${"[".repeat(600_000)}${"]".repeat(600_000)}}`;
  const found = await facts(file("node_modules/a/package.json", deep));
  expect(gapsOf(found)).toContain("node_modules/a/package.json: it is too long for a manifest");
});

test("records of a database that lie over each other", () => {
  const size = 65_536;
  const hashed = Buffer.alloc(2 * size);
  hashed.writeUInt32LE(0x061561, 12);
  hashed.writeUInt32LE(size, 20);
  hashed[25] = 8;
  const page = hashed.subarray(size);
  page[25] = 13;
  page.writeUInt16LE(8000, 20);
  page[20_000] = 1;
  for (let item = 0; item < 8000; item++) page.writeUInt16LE(item % 2 === 0 ? 60_000 : 20_000, 26 + item * 2);
  expect(bdbValues(hashed)).toBeNull();

  const tables = Buffer.alloc(8192);
  tables.write("SQLite format 3\0", 0, "latin1");
  tables.writeUInt16BE(4096, 16);
  const row = (...parts: readonly (readonly [number, Buffer])[]): Buffer => {
    const types = parts.map(([type]) => (type < 128 ? [type] : [0x80 | (type >> 7), type & 0x7f])).flat();
    const body = Buffer.concat(parts.map(([, bytes]) => bytes));
    const length = 1 + types.length + body.length;
    const head = length < 128 ? [length] : [0x80 | (length >> 7), length & 0x7f];
    return Buffer.concat([Buffer.from([...head, 1, 1 + types.length, ...types]), body]);
  };
  const word = (text: string): readonly [number, Buffer] => [13 + 2 * text.length, Buffer.from(text)];
  const schema = row(
    word("table"),
    word("Packages"),
    word("Packages"),
    [1, Buffer.from([2])],
    [0, Buffer.alloc(0)],
  );
  const leaf = (at: number, cells: number, record: Buffer, from: number): void => {
    tables[at] = 0x0d;
    tables.writeUInt16BE(cells, at + 3);
    for (let cell = 0; cell < cells; cell++) tables.writeUInt16BE(from, at + 8 + cell * 2);
    record.copy(tables, at - (at % 4096) + from);
  };
  const blob = row([0, Buffer.alloc(0)], [12 + 2 * 900, Buffer.alloc(900, 1)]);
  leaf(100, 1, schema, 2000);
  leaf(4096, 2, blob, 2500);
  expect(sqliteBlobs(tables)?.map(({ length }) => length)).toEqual([900, 900]);
  leaf(4096, 1000, blob, 2500);
  expect(sqliteBlobs(tables)).toBeNull();
});

test("a package whose record is damaged is not passed over in silence", async () => {
  const good = rpmHeader(NAMED);
  const broken = Buffer.from(good);
  broken.writeUInt32BE(0x7fffffff, 4);
  const found = await facts(file("var/lib/rpm/Packages.db", ndb(good, broken)));
  expect(found.packages).toHaveLength(1);
  expect(gapsOf(found)).toContain("var/lib/rpm/Packages.db: 1 of its headers are damaged");
});

test("holes of sparse files are not read for minutes", async () => {
  const size = String(60 * 2 ** 30);
  const holes = file("var/log/lastlog", "", {
    pax: [
      ["GNU.sparse.size", size],
      ["GNU.sparse.map", `${size},0`],
    ],
  });
  expect(await refusalOf(onDisk(tar(holes)))).toMatch(
    /^image-limit: .* sparse files with [0-9]+ bytes of holes/,
  );
  const honest = file("var/log/lastlog", "", {
    pax: [
      ["GNU.sparse.size", String(2 ** 20)],
      ["GNU.sparse.map", `${2 ** 20},0`],
    ],
  });
  const image = await readGood(onDisk(tar(honest)));
  expect(image.tree.get("var/log/lastlog")?.inode.content?.sha256).toBe(
    hash("sha256", Buffer.alloc(2 ** 20)),
  );
});
