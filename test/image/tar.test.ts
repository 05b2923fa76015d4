/**
 * The tar reader: every form of name, number and hole is understood, and nothing is accepted that another reader would understand differently.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Budget } from "../../src/image/budget.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/image/limits.ts";
import { Refusal } from "../../src/image/refusal.ts";
import type { Entry } from "../../src/image/tar/entry.ts";
import { TarReader } from "../../src/image/tar/reader.ts";
import {
  directory,
  END,
  file,
  hardlink,
  header,
  type Member,
  member,
  pad,
  paxRecord,
  symlink,
  tar,
} from "./tar-writer.ts";

interface Read {
  readonly entry: Entry;
  readonly body: string;
}

/** Reads in pieces of `step` bytes, so that every header and body is cut somewhere. */
function entries(bytes: Buffer, step = bytes.length, limits: Partial<Limits> = {}): readonly Read[] {
  const found: Read[] = [];
  const reader = new TarReader(
    (entry) => {
      const parts: Buffer[] = [];
      const index = found.length;
      found.push({ entry, body: "" });
      return {
        write: (part) => parts.push(Buffer.from(part)),
        end: () => {
          found[index] = { entry, body: Buffer.concat(parts).toString("latin1") };
        },
      };
    },
    new Budget({ ...DEFAULT_LIMITS, ...limits }),
  );
  for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
  reader.end();
  return found;
}

function refusal(bytes: Buffer, limits: Partial<Limits> = {}): string {
  try {
    entries(bytes, bytes.length, limits);
  } catch (error) {
    if (error instanceof Refusal) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "read";
}

const one = (bytes: Buffer): Read => {
  const [first, ...others] = entries(bytes);
  if (first === undefined || others.length > 0) throw new Error(`${others.length + 1} entries`);
  return first;
};

describe("understands", () => {
  test("every type of entry", () => {
    const found = entries(
      tar(
        directory("d/"),
        file("d/f", "abc", { mode: 0o104755, uid: 7, gid: 8, mtime: 9 }),
        symlink("s", "../x"),
        hardlink("h", "./d/f"),
        { name: "c", type: "3", major: 1, minor: 3 },
        { name: "b", type: "4", major: 8, minor: 0 },
        { name: "p", type: "6" },
        { name: "old", type: "\0", body: "v7", magic: "" },
        { name: "contiguous", type: "7", body: "z" },
        { name: "olddir/", type: "\0" },
      ),
    );
    expect(found.map(({ entry }) => [entry.path, entry.type])).toEqual([
      ["d", "directory"],
      ["d/f", "file"],
      ["s", "symlink"],
      ["h", "hardlink"],
      ["c", "character"],
      ["b", "block"],
      ["p", "fifo"],
      ["old", "file"],
      ["contiguous", "file"],
      ["olddir", "directory"],
    ]);
    expect(found[1]).toMatchObject({
      body: "abc",
      entry: { mode: 0o4755, uid: 7, gid: 8, size: 3, mtime: 9 },
    });
    expect(found[2]?.entry.link).toBe("../x");
    expect(found[3]?.entry.link).toBe("d/f");
    expect(found[4]?.entry.device).toEqual({ major: 1, minor: 3 });
  });

  const long = `${"a".repeat(120)}/${"b".repeat(120)}`;

  test("names: ustar prefix, GNU long names, PAX, bytes that are no UTF-8", () => {
    const prefixed = file("name", "x", { patch: (block) => void block.write("some/prefix", 345) });
    expect(one(tar(prefixed)).entry.path).toBe("some/prefix/name");
    const longName = member({ name: "././@LongLink", type: "L", body: `${long}\0`, magic: "ustar  \0" });
    expect(one(tar(longName, file("short", "x"))).entry.path).toBe(long);
    const longLink = member({ name: "././@LongLink", type: "K", body: `${long}\0`, magic: "ustar  \0" });
    expect(one(tar(longLink, symlink("s", "short"))).entry.link).toBe(long);
    expect(one(tar(file("short", "x", { pax: [["path", long]] }))).entry.path).toBe(long);
    const odd = entries(
      tar({ name: Buffer.from("ff", "hex") }, { name: Buffer.from("fe", "hex") }, file("ÿ")),
    );
    expect(new Set(odd.map(({ entry }) => entry.path)).size).toBe(3);
  });

  test("numbers: blanks, binary, PAX", () => {
    const binary = Buffer.alloc(12);
    binary[0] = 0x80;
    binary.writeUInt32BE(3, 8);
    expect(one(tar(file("f", "abc", { size: binary }))).body).toBe("abc");
    expect(one(tar(file("f", "abc", { size: Buffer.from("          3 ") }))).body).toBe("abc");
    const pax = one(
      tar(
        file("f", "abc", {
          size: 0,
          pax: [
            ["size", "3"],
            ["uid", "3000000"],
            ["mtime", "12.5"],
          ],
        }),
      ),
    );
    expect(pax).toMatchObject({ body: "abc", entry: { size: 3, uid: 3_000_000, mtime: 12 } });
  });

  test("extended attributes, with NUL bytes", () => {
    const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");
    const { entry } = one(tar(file("f", "", { pax: [["SCHILY.xattr.security.capability", capability]] })));
    expect(entry.xattrs).toEqual(new Map([["security.capability", capability]]));
  });

  test("extended attributes by name, and holds no more of a value than is read", () => {
    const huge = Buffer.alloc(100_000, 1);
    const { entry } = one(
      tar(
        file("f", "", {
          pax: [
            ["SCHILY.xattr.security.capability", huge],
            ["SCHILY.xattr.user.x", huge],
          ],
        }),
      ),
    );
    expect([...(entry.xattrs ?? [])].map(([name, value]) => [name, value.length])).toEqual([
      ["security.capability", 64],
      ["user.x", 0],
    ]);
    // A view would hold all of it.
    expect(entry.xattrs?.get("security.capability")?.buffer.byteLength).toBeLessThan(100_000);
  });

  const sparseBody = "AAABB";
  const expanded = `AAA${"\0".repeat(7)}BB${"\0".repeat(3)}`;
  const gnuSparse = (pieces: readonly (readonly [number, number])[], size: number, more = 0): Member => ({
    name: "hole",
    type: "S",
    body: sparseBody,
    magic: "ustar  \0",
    patch: (block) => {
      for (const [index, [offset, length]] of pieces.slice(0, 4).entries())
        block.write(
          `${offset.toString(8).padStart(11, "0")}\0${length.toString(8).padStart(11, "0")}\0`,
          386 + index * 24,
        );
      block[482] = more;
      block.write(`${size.toString(8).padStart(11, "0")}\0`, 483);
    },
  });

  test("sparse files in all four forms", () => {
    expect(
      one(
        tar(
          gnuSparse(
            [
              [0, 3],
              [10, 2],
              [15, 0],
            ],
            15,
          ),
        ),
      ),
    ).toMatchObject({ body: expanded, entry: { size: 15 } });
    const map = (version: readonly (readonly [string, string])[]): Member =>
      file("GNUSparseFile/hole", sparseBody, { pax: version });
    const forms = [
      map([
        ["GNU.sparse.size", "15"],
        ["GNU.sparse.numblocks", "2"],
        ["GNU.sparse.offset", "0"],
        ["GNU.sparse.numbytes", "3"],
        ["GNU.sparse.offset", "10"],
        ["GNU.sparse.numbytes", "2"],
      ]),
      map([
        ["GNU.sparse.size", "15"],
        ["GNU.sparse.name", "hole"],
        ["GNU.sparse.map", "0,3,10,2"],
      ]),
      file(
        "GNUSparseFile/hole",
        Buffer.concat([pad(Buffer.from("2\n0\n3\n10\n2\n")), Buffer.from(sparseBody)]),
        {
          pax: [
            ["GNU.sparse.major", "1"],
            ["GNU.sparse.minor", "0"],
            ["GNU.sparse.name", "hole"],
            ["GNU.sparse.realsize", "15"],
          ],
        },
      ),
    ];
    for (const form of forms) expect(one(tar(form))).toMatchObject({ body: expanded, entry: { size: 15 } });
  });

  test("an old sparse header that goes on in another block", () => {
    const extension = Buffer.alloc(512);
    extension.write(`${(20).toString(8).padStart(11, "0")}\0${(1).toString(8).padStart(11, "0")}\0`, 0);
    const whole = member(
      gnuSparse(
        [
          [0, 1],
          [5, 1],
          [10, 1],
          [15, 1],
        ],
        21,
        1,
      ),
    );
    const bytes = Buffer.concat([whole.subarray(0, 512), extension, whole.subarray(512), END]);
    expect(one(bytes).body).toBe(`A${"\0".repeat(4)}A${"\0".repeat(4)}A${"\0".repeat(4)}B${"\0".repeat(4)}B`);
  });

  test("the same in pieces of any size", () => {
    const bytes = tar(
      file("a", "x".repeat(1000), {
        pax: [
          ["path", long],
          ["SCHILY.xattr.user.k", "v"],
        ],
      }),
      gnuSparse(
        [
          [0, 3],
          [10, 2],
        ],
        15,
      ),
      directory("d"),
      file("empty"),
    );
    const whole = entries(bytes);
    for (const step of [1, 7, 511, 512, 513, 1024]) expect(entries(bytes, step)).toEqual(whole);
  });

  test("archives without the two blocks at their end, and without the padding before them", () => {
    expect(entries(member(file("f", "x")))).toHaveLength(1);
    expect(one(member(file("f", "x")).subarray(0, 513)).body).toBe("x");
  });

  test("comments for the whole archive, as git writes them", () => {
    const comment = member({ name: "pax_global_header", type: "g", body: paxRecord("comment", "0123abcd") });
    expect(one(tar(comment, file("f"))).entry.path).toBe("f");
  });
});

describe("refuses", () => {
  const binary = (high: number): Buffer => Buffer.from([high, ...Array.from({ length: 11 }, () => 0xff)]);
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ["a path out of the root", tar(file("../etc/passwd", "x")), /hostile: the name .* leads out/],
    ["a path out of the root in the middle", tar(file("a/../../etc/passwd", "x")), /hostile: .* leads out/],
    ["a hard link out of the root", tar(hardlink("x", "../../etc/shadow")), /hostile: .* leads out/],
    ["a PAX path out of the root", tar(file("x", "", { pax: [["path", "../x"]] })), /hostile: .* leads out/],
    [
      "a name of 256 bytes",
      tar(file("x", "", { pax: [["path", "n".repeat(256)]] })),
      /hostile: .* longer than 255/,
    ],
    [
      "a path beyond PATH_MAX",
      tar(file("x", "", { pax: [["path", "n/".repeat(2500) + "n"]] })),
      /limit: a name is longer/,
    ],
    [
      "a path of too many components",
      tar(file("x", "", { pax: [["path", "n/".repeat(200) + "n"]] })),
      /limit: a path has more/,
    ],
    ["a NUL byte in a PAX path", tar(file("x", "", { pax: [["path", "a\0b"]] })), /hostile: .* NUL/],
    [
      "a wrong checksum",
      Buffer.concat([header(file("x"), 0).fill(0x31, 0, 1), END]),
      /malformed: .* checksum/,
    ],
    [
      "a size that is no number",
      tar(file("x", "", { size: Buffer.from("12x         ") })),
      /malformed: .* size/,
    ],
    ["a negative size", tar(file("x", "", { size: binary(0xff) })), /hostile: .* negative size/],
    ["a size beyond 2^53", tar(file("x", "", { size: binary(0x80) })), /malformed: .* size/],
    ["a negative PAX size", tar(file("x", "", { pax: [["size", "-1"]] })), /hostile: .* negative/],
    [
      "a PAX size that is no number",
      tar(file("x", "", { pax: [["size", "1e3"]] })),
      /malformed: .* not a number/,
    ],
    [
      "a link with data",
      tar({ name: "l", type: "2", link: "x", body: "data" }),
      /hostile: l is no file and has data/,
    ],
    [
      "a directory with data",
      tar({ name: "d/", type: "5", body: "data" }),
      /hostile: d\/ is no file and has data/,
    ],
    ["an unknown type", tar({ name: "x", type: "D" }), /hostile: x has the type "D"/],
    [
      "PAX headers in a row",
      tar(
        member(file("p", "", { pax: [["path", "a"]] })).subarray(0, 1024),
        file("x", "", { pax: [["path", "b"]] }),
      ),
      /hostile: .* two extended headers/,
    ],
    [
      "a GNU and a PAX name that differ",
      tar(member({ name: "L", type: "L", body: "a\0" }), file("x", "", { pax: [["path", "b"]] })),
      /hostile: .* two different names/,
    ],
    [
      "global records",
      tar(member({ name: "g", type: "g", body: paxRecord("path", "evil") }), file("x")),
      /hostile: a global PAX header sets path/,
    ],
    [
      "an entry after a block of zeros",
      Buffer.concat([member(file("a")), Buffer.alloc(512), member(file("b")), END]),
      /hostile: an entry follows/,
    ],
    [
      "the end in a body",
      member(file("x", "y".repeat(600))).subarray(0, 700),
      /malformed: .* middle of an entry/,
    ],
    ["the end in a header", Buffer.concat([member(file("x")), Buffer.alloc(100, 1)]), /malformed: /],
    [
      "the end after an extended header",
      member(file("x", "", { pax: [["path", "a"]] })).subarray(0, 1024),
      /malformed: /,
    ],
    [
      "a PAX record of a wrong length",
      tar(member({ name: "p", type: "x", body: "99 path=x\n" }), file("x")),
      /malformed: a PAX record is longer/,
    ],
    [
      "a PAX record without a key",
      tar(member({ name: "p", type: "x", body: "8 pathx\n" }), file("x")),
      /malformed: a PAX record has no key/,
    ],
    [
      "a huge extended header",
      tar(member({ name: "p", type: "x", size: 2 ** 30 })),
      /limit: an extended header/,
    ],
    ["a symbolic link to nothing", tar(symlink("s", "")), /malformed: a symbolic link leads nowhere/],
    [
      "overlapping pieces",
      tar(
        file("h", "AAABB", {
          pax: [
            ["GNU.sparse.size", "15"],
            ["GNU.sparse.map", "0,3,1,2"],
          ],
        }),
      ),
      /hostile: .* overlap/,
    ],
    [
      "pieces beyond the end",
      tar(
        file("h", "AAABB", {
          pax: [
            ["GNU.sparse.size", "4"],
            ["GNU.sparse.map", "0,3,10,2"],
          ],
        }),
      ),
      /hostile: .* overlap/,
    ],
    [
      "pieces longer than the data",
      tar(
        file("h", "A", {
          pax: [
            ["GNU.sparse.size", "99"],
            ["GNU.sparse.map", "0,30"],
          ],
        }),
      ),
      /hostile: the pieces/,
    ],
    [
      "a map without an end",
      tar(
        file("h", "9".repeat(600), {
          pax: [
            ["GNU.sparse.major", "1"],
            ["GNU.sparse.minor", "0"],
            ["GNU.sparse.realsize", "9"],
          ],
        }),
      ),
      /malformed: /,
    ],
    [
      "a hole that fills memory",
      tar(
        file("h", "", {
          pax: [
            ["GNU.sparse.size", String(2 ** 50)],
            ["GNU.sparse.map", `${2 ** 50},0`],
          ],
        }),
      ),
      /limit: the image unpacks/,
    ],
    [
      "two kinds of holes",
      tar({
        ...file("h", "", {
          pax: [
            ["GNU.sparse.size", "9"],
            ["GNU.sparse.map", "9,0"],
          ],
        }),
        type: "S",
        magic: "ustar  \0",
      }),
      /hostile: h is sparse in two ways/,
    ],
    [
      "a directory in the place where GNU has times, which Go takes for the beginning of the name",
      tar(
        file("sh", "", {
          magic: "ustar  \0",
          patch: (block) => block.write("usr/local/bin", 345, "latin1"),
        }),
      ),
      /hostile: .* between its name and its times/,
    ],
    [
      "a name that fills star's shorter field",
      tar(
        file("sh", "", {
          patch: (block) => {
            block.write("d/".repeat(77), 345, "latin1");
            block.write("tar\0", 508, "latin1");
          },
        }),
      ),
      /hostile: .* between its name and its times/,
    ],
    [
      "a name for a sparse file on a link that is none",
      tar({ ...symlink("bin/sh", "/evil"), pax: [["GNU.sparse.name", "decoy"]] }),
      /hostile: a file is sparse in a way/,
    ],
    [
      "a link that is sparse",
      tar({
        ...symlink("bin/sh", "/evil"),
        pax: [
          ["GNU.sparse.name", "decoy"],
          ["GNU.sparse.size", "0"],
          ["GNU.sparse.map", "0,0"],
        ],
      }),
      /hostile: something that is no file/,
    ],
    [
      "a sparse file of a form that Go does not know",
      tar(
        file("evil", "x", {
          pax: [
            ["GNU.sparse.major", "9"],
            ["GNU.sparse.minor", "9"],
            ["GNU.sparse.name", "decoy"],
            ["GNU.sparse.size", "1"],
            ["GNU.sparse.map", "0,1"],
          ],
        }),
      ),
      /hostile: a file is sparse in a way/,
    ],
    [
      "a sparse file of two lengths",
      tar(
        file("f", "x", {
          pax: [
            ["GNU.sparse.size", "1"],
            ["GNU.sparse.realsize", "2"],
            ["GNU.sparse.map", "0,1"],
          ],
        }),
      ),
      /hostile: a sparse file has two lengths/,
    ],
    [
      "a sparse file with two maps",
      tar(
        file("f", "x", {
          pax: [
            ["GNU.sparse.size", "9"],
            ["GNU.sparse.map", "0,1"],
            ["GNU.sparse.offset", "5"],
            ["GNU.sparse.numbytes", "1"],
          ],
        }),
      ),
      /hostile: a file is sparse in a way/,
    ],
    [
      "an empty PAX path, which takes the name back",
      tar(directory("usr/bin", { pax: [["path", ""]] })),
      /hostile: the PAX record path is empty/,
    ],
    [
      "an empty long name",
      tar(member({ name: "L", type: "L", body: "\0" }), directory("usr/bin")),
      /hostile: a GNU header for a long name holds none/,
    ],
    [
      "a name that a global header separates from its entry",
      tar(
        member(file("p", "", { pax: [["path", "decoy"]] })).subarray(0, 1024),
        member({ name: "g", type: "g", body: paxRecord("comment", "x") }),
        file("evil"),
      ),
      /hostile: a global PAX header stands between/,
    ],
    ["a file whose name is a directory's", tar(file("etc/motd/")), /hostile: .* a file to some readers/],
    [
      "an old directory with data",
      tar({ name: "d/", type: "\0", body: "x" }),
      /hostile: d\/ is no file and has data/,
    ],
    [
      "a device of two numbers",
      tar({ name: "zero", type: "3", major: 0, minor: 0, pax: [["SCHILY.devmajor", "1"]] }),
      /hostile: a device has two numbers/,
    ],
  ];

  test.for(cases)("%s", ([, bytes, reason]) => {
    expect(refusal(bytes)).toMatch(reason);
  });

  test("more entries than the limit", () => {
    expect(refusal(tar(file("a"), file("b"), file("c")), { entries: 2 })).toBe(
      "image-limit: the image has more than 2 entries",
    );
  });

  test("names that fill memory: of files, targets of links, names of attributes", () => {
    const long = `${"n".repeat(200)}/${"m".repeat(200)}`;
    const attributes = Array.from(
      { length: 3 },
      (_, i) => [`SCHILY.xattr.user.${i}${"a".repeat(200)}`, ""] as const,
    );
    for (const members of [
      [file("a", "", { pax: [["path", long]] }), file("b", "", { pax: [["path", `${long}2`]] })],
      [symlink("a", "x"), file("s", "", { type: "2", pax: [["linkpath", `${long}${long}`]] })],
      [file("a", "", { pax: attributes })],
    ])
      expect(refusal(tar(...members), { names: 500 })).toBe(
        "image-limit: the names in the image are longer than 500 bytes together",
      );
  });

  test("a link that takes long to follow, an attribute whose name no kernel takes", () => {
    expect(refusal(tar(file("s", "", { type: "2", pax: [["linkpath", "a/../".repeat(100)]] })))).toBe(
      "image-limit: a symbolic link has more than 128 components",
    );
    expect(refusal(tar(file("f", "", { pax: [[`SCHILY.xattr.user.${"a".repeat(300)}`, "x"]] })))).toMatch(
      /^image-hostile: the name of an extended attribute is longer/,
    );
  });

  test("what follows the end, by saying that it is there", () => {
    const reader = new TarReader(() => null, new Budget(DEFAULT_LIMITS));
    reader.push(Buffer.concat([tar(file("a")), member(file("hidden"))]));
    reader.end();
    expect(reader.hasTrailingData).toBe(true);
  });
});

test("any bytes are read or refused, never anything else", () => {
  const valid = tar(
    file("a", "x".repeat(700), { pax: [["path", "b/c"]] }),
    symlink("s", "t"),
    directory("d"),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      (edits, fixChecksums) => {
        const bytes = Buffer.from(valid);
        for (const [at, value] of edits) bytes[at] = value;
        if (fixChecksums)
          for (let at = 0; at + 512 <= bytes.length; at += 512) {
            const block = bytes.subarray(at, at + 512);
            block.fill(0x20, 148, 156);
            block.write(
              `${block
                .reduce((sum, byte) => sum + byte, 0)
                .toString(8)
                .padStart(6, "0")}\0 `,
              148,
              "latin1",
            );
          }
        expect(refusal(bytes, { unpacked: 1 << 20 })).toMatch(/^(read|image-(malformed|hostile|limit): .)/);
      },
    ),
    { numRuns: 500 },
  );
});
