/** Layers on top of each other are what a container would see; what runtimes disagree about is refused or noted. */
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { layoutOf, listing, onDisk, readGood, refusalOf, scratch } from "./layout.ts";
import { directory, file, hardlink, symlink, tar } from "./tar-writer.ts";

const list = async (...layers: readonly Buffer[]): Promise<readonly string[]> =>
  listing(await readGood(layoutOf(...layers)));

describe("layers", () => {
  test("whiteouts hide names of lower layers, whole directories too", async () => {
    const base = tar(file("a/x", "1"), file("a/y", "2"), file("b", "3"));
    expect(await list(base, tar(file("a/.wh.x"), file(".wh.b")))).toEqual(["a/", "a/y 1"]);
    expect(await list(base, tar(file(".wh.a")))).toEqual(["b 1"]);
    expect(await list(base, tar(file(".wh.nothing")))).toEqual(["a/", "a/x 1", "a/y 1", "b 1"]);
  });

  test("opaque directories hide what was in them, and keep what their own layer brings, in any order", async () => {
    const base = tar(file("a/x", "1"), file("a/d/y", "2"));
    const expected = ["a/", "a/new 1"];
    expect(await list(base, tar(directory("a"), file("a/.wh..wh..opq"), file("a/new", "n")))).toEqual(
      expected,
    );
    expect(await list(base, tar(directory("a"), file("a/new", "n"), file("a/.wh..wh..opq")))).toEqual(
      expected,
    );
  });

  test("a whiteout and then the file anew is the new file", async () => {
    expect(await list(tar(file("a/x", "1")), tar(file(".wh.a"), file("a", "now a file")))).toEqual(["a 10"]);
  });

  test("a directory over a directory keeps what is in it; anything else replaces", async () => {
    const base = tar(directory("d", { mode: 0o755 }), file("d/x", "1"));
    const image = await readGood(layoutOf(base, tar(directory("d", { mode: 0o1777 }))));
    expect([listing(image), image.tree.get("d")?.inode.mode]).toEqual([["d/", "d/x 1"], 0o1777]);
    expect(await list(base, tar(file("d", "f")))).toEqual(["d 1"]);
    expect(await list(base, tar(symlink("d", "/e")))).toEqual(["d -> /e"]);
    expect(await list(tar(symlink("l", "d"), directory("d")), tar(directory("l")))).toEqual(["d/", "l/"]);
  });

  test("aufs' own files are passed over", async () => {
    expect(await list(tar(file(".wh..wh.plnk/1", "x"), file(".wh..wh.aufs"), file("f")))).toEqual([
      ".wh..wh.plnk/",
      ".wh..wh.plnk/1 1",
      "f 0",
    ]);
  });

  test("a hard link is another name of the same file, across layers too", async () => {
    const image = await readGood(
      layoutOf(tar(file("a", "x")), tar(hardlink("d/b", "a")), tar(file(".wh.a"))),
    );
    expect(listing(image)).toEqual(["d/", "d/b 1"]);
    expect(image.tree.get("d/b")?.inode).toMatchObject({ layer: 0, names: 1 });
    expect(image.shadowed).toEqual([]);
  });

  test("a file below a directory that is a link goes where the link leads, inside, and that is noted", async () => {
    const image = await readGood(
      layoutOf(tar(directory("usr/lib"), symlink("lib", "/../usr/lib")), tar(file("lib/x", "1"))),
    );
    expect(listing(image)).toEqual(["lib -> /../usr/lib", "usr/", "usr/lib/", "usr/lib/x 1"]);
    expect(image.anomalies).toEqual([{ layer: 1, path: "lib/x", what: "through-link" }]);
  });

  test("a whiteout through a link deletes nothing, and is noted: overlayfs keeps what the link leads to", async () => {
    const base = tar(file("b/evil", "1"), symlink("a", "b"));
    for (const [layer, noted] of [
      [tar(file("a/.wh.evil")), "a/.wh.evil"],
      [tar(directory("a"), file("a/.wh.evil")), "a/.wh.evil"],
      [tar(file("a/.wh..wh..opq")), "a/.wh..wh..opq"],
    ] as const) {
      const image = await readGood(layoutOf(base, layer));
      expect(listing(image)).toContain("b/evil 1");
      expect(image.anomalies).toEqual([{ layer: 1, path: noted, what: "through-link" }]);
    }
    const replaced = await readGood(
      layoutOf(tar(file("a/x", "1"), file("c/x", "2")), tar(symlink("a", "c"), file("a/.wh.x"))),
    );
    expect(listing(replaced)).toEqual(["a -> c", "c/", "c/x 1"]);
    expect(replaced.anomalies).toEqual([{ layer: 1, path: "a/.wh.x", what: "through-link" }]);
  });

  test("the header of a hard link gives its file other rights, as docker and containerd do, and that is noted", async () => {
    const capability: [string, Buffer] = [
      "SCHILY.xattr.security.capability",
      Buffer.from("0100000200200000", "hex"),
    ];
    const image = await readGood(
      layoutOf(
        tar(
          file("ping", "x", { mode: 0o755 }),
          { ...hardlink("again", "ping"), mode: 0o755 },
          { ...hardlink("root", "ping"), mode: 0o4755, uid: 7, pax: [capability] },
        ),
      ),
    );
    const { mode, uid, xattrs } = image.tree.get("ping")?.inode ?? {};
    expect([mode, uid, [...(xattrs?.keys() ?? [])]]).toEqual([0o4755, 7, ["security.capability"]]);
    expect(image.anomalies).toEqual([{ layer: 0, path: "root", what: "link-changes-file" }]);
  });

  test("what only overlayfs understands is noted", async () => {
    const image = await readGood(
      layoutOf(
        tar(
          { name: "dev0", type: "3", major: 0, minor: 0 },
          directory("d", { pax: [["SCHILY.xattr.trusted.overlay.redirect", "/etc"]] }),
          file("twice", "1"),
          file("twice", "2"),
        ),
      ),
    );
    expect(image.anomalies.map(({ path, what }) => `${path} ${what}`)).toEqual([
      "dev0 overlay-whiteout",
      "d overlay-xattr",
      "twice named-twice",
    ]);
    expect(image.tree.get("twice")?.inode.content?.sha256).not.toBe(image.shadowed[0]?.inode.content?.sha256);
  });

  test("data after the end of a layer is noted", async () => {
    const hidden = tar(file("hidden", "x"));
    const image = await readGood(layoutOf(Buffer.concat([tar(file("seen", "x")), hidden])));
    expect(listing(image)).toEqual(["seen 1"]);
    expect(image.anomalies).toEqual([{ layer: 0, path: "", what: "data-after-end" }]);
  });

  test("bytes that no container sees are listed with the layer that hid them", async () => {
    const image = await readGood(
      layoutOf(
        tar(file("a", "secret"), file("b", "same"), file("c", "old")),
        tar(file(".wh.a"), file("b", "same", { mode: 0o755 }), file("c", "new!")),
      ),
    );
    expect(image.shadowed.map(({ path, how, same, by, inode }) => [path, how, same, by, inode.size])).toEqual(
      [
        ["a", "deleted", false, 1, 6],
        ["b", "replaced", true, 1, 4],
        ["c", "replaced", false, 1, 3],
      ],
    );
  });

  test.for<[string, readonly Buffer[], RegExp]>([
    [
      "a hard link to nothing",
      [tar(hardlink("a", "b"))],
      /malformed: it is a hard link to b, which is not there/,
    ],
    [
      "a hard link to a directory",
      [tar(directory("d"), hardlink("a", "d"))],
      /hostile: it is a hard link to d, a dir/,
    ],
    [
      "a hard link in the place of the directory of its file",
      [tar(file("a/x", "1"), hardlink("a", "a/x"))],
      /malformed: it takes the place of the directory/,
    ],
    [
      "a file below a file",
      [tar(file("a", "x"), file("a/b", "y"))],
      /malformed: a, a directory in its path, is not/,
    ],
    [
      "a file below a link to nothing",
      [tar(symlink("a", "/b"), file("a/c", "y"))],
      /malformed: a, .* link to no dir/,
    ],
    [
      "a circle of links",
      [tar(symlink("a", "b"), symlink("b", "a"), file("a/c", "y"))],
      /malformed: a, .* no directory/,
    ],
    [
      "a whiteout of the directory above",
      [tar(file("d/.wh..."))],
      /hostile: a whiteout hides nothing, its own/,
    ],
    ["a whiteout of nothing", [tar(file("d/.wh."))], /hostile: a whiteout hides nothing/],
    [
      "a whiteout after its own file",
      [tar(file("x", "1"), file(".wh.x"))],
      /hostile: a whiteout follows the file/,
    ],
    ["a whiteout after what is below", [tar(file("x/y", "1"), file(".wh.x"))], /hostile: a whiteout follows/],
  ])("refuse %s", async ([, layers, reason]) => {
    expect(await refusalOf(layoutOf(...layers))).toMatch(reason);
  });

  test("a path through links is looked up inside of the image", async () => {
    const { tree } = await readGood(
      layoutOf(
        tar(
          symlink("bin", "usr/bin"),
          file("usr/bin/sh", "x"),
          symlink("a", "../../bin/../bin/sh"),
          symlink("loop", "loop"),
          symlink("dead", "/nothing"),
        ),
      ),
    );
    expect(tree.resolve("/bin/sh")?.path).toBe("usr/bin/sh");
    expect(tree.resolve("a")?.path).toBe("usr/bin/sh");
    expect(tree.resolve("a", false)?.path).toBe("a");
    expect(tree.resolve("../../bin/./sh")?.path).toBe("usr/bin/sh");
    for (const path of ["loop", "dead", "usr/bin/sh/x", "none"]) expect(tree.resolve(path)).toBeNull();
  });

  test("the limits count for all layers together", async () => {
    const layer = tar(file("f", "x".repeat(3000)));
    const path = layoutOf(layer, layer, layer);
    expect(await refusalOf(path, { limits: { unpacked: layer.length * 2 } })).toMatch(
      /^image-limit: .* unpacks/,
    );
    expect(await refusalOf(path, { limits: { entries: 2 } })).toMatch(/^image-limit: .* more than 2 entries/);
    expect(await refusalOf(path, { limits: { layers: 2 } })).toMatch(/3 layers/);
  });
});

describe("a directory", () => {
  test("is read as it is, its links recorded and not followed", async () => {
    const root = scratch();
    mkdirSync(join(root, "etc"));
    writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\n", { mode: 0o600 });
    linkSync(join(root, "etc/passwd"), join(root, "etc/z"));
    symlinkSync("/etc/shadow", join(root, "evil"));
    symlinkSync("/", join(root, "host"));
    execFileSync("mkfifo", [join(root, "pipe")]);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from("ff41", "hex")]), "bytes");
    const image = await readGood(root);
    expect(image.kind).toBe("rootfs-directory");
    expect(listing(image)).toEqual([
      "etc/",
      "etc/passwd 22",
      "etc/z 22",
      "evil -> /etc/shadow",
      "host -> /",
      "pipe fifo",
      "\uDCFFA 5",
    ]);
    expect(image.tree.get("etc/z")?.inode).toBe(image.tree.get("etc/passwd")?.inode);
    expect(image.tree.get("etc/passwd")?.inode.content?.bytes?.toString()).toMatch(/^root:/);
  });

  test("without anything in it is no image", async () => {
    expect(await refusalOf(scratch())).toBe("image-malformed: the directory is empty");
  });

  test("is the same as the tar file of it", async () => {
    const root = scratch();
    mkdirSync(join(root, "d"));
    writeFileSync(join(root, "d/f"), "x".repeat(3_000_000));
    symlinkSync("f", join(root, "d/l"));
    const packed = execFileSync("tar", ["-C", root, "-c", "."], { maxBuffer: 8 << 20 });
    const fromTar = await readGood(onDisk(packed));
    const fromDirectory = await readGood(root);
    expect(listing(fromTar)).toEqual(listing(fromDirectory));
    expect(fromTar.tree.get("d/f")?.inode.content).toEqual(fromDirectory.tree.get("d/f")?.inode.content);
  });
});
