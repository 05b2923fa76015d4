/**
 * Stacks of layers, made at random of files, directories, links, hard links and whiteouts: what is read without a doubt is what umoci unpacks,
 * name by name, with contents and modes.
 */
import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { has, need } from "../host/needs.ts";
import { descriptorOf, layoutOf, manifestBlobs, read, scratch, writeLayout } from "./layout.ts";
import { directory, file, hardlink, type Member, symlink, tar } from "./tar-writer.ts";

const path = fc
  .tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom("", "/x", "/y", "/x/z", "/d/e"))
  .map(([first, rest]) => first + rest);
const mode = fc.constantFrom(0o644, 0o755, 0o4755);
const plain = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(path, mode, fc.nat(700))
      .map(([name, bits, size]) => file(name, "x".repeat(size), { mode: bits })),
  },
  path.map((name) => directory(name)),
  fc.tuple(path, fc.constantFrom("/a", "/c/x", "../b", ".")).map(([name, link]) => symlink(name, link)),
);
const whiteout = fc.oneof(
  path.map((name) => {
    const at = name.lastIndexOf("/") + 1;
    return file(`${name.slice(0, at)}.wh.${name.slice(at)}`);
  }),
  path.map((name) => file(`${name}/.wh..wh..opq`)),
);
/** Each hard link names a file of its own layer, as in the layers that tools write. */
const layer = fc
  .tuple(
    fc.array(whiteout, { maxLength: 2 }),
    fc.array(plain, { minLength: 1, maxLength: 5 }),
    fc.array(fc.tuple(path, fc.nat()), { maxLength: 1 }),
  )
  .map(([gone, made, links]) => {
    const files = made.filter(({ body }) => body !== undefined);
    const named = links.flatMap(([name, choice]): readonly Member[] => {
      const target = files[choice % Math.max(files.length, 1)];
      return target === undefined ? [] : [{ ...hardlink(name, String(target.name)), mode: target.mode ?? 0 }];
    });
    return tar(...gone, ...made, ...named);
  });

const shown = (name: string, sha256: string, bits: number): string =>
  `${name} ${sha256.slice(0, 8)} ${bits.toString(8)}`;

function unpacked(root: string, below = ""): readonly string[] {
  return readdirSync(join(root, below)).flatMap((name) => {
    const inside = below === "" ? name : `${below}/${name}`;
    const status = lstatSync(join(root, inside));
    if (status.isDirectory()) return [`${inside}/`, ...unpacked(root, inside)];
    if (status.isSymbolicLink()) return [`${inside} -> ${readlinkSync(join(root, inside))}`];
    return [shown(inside, hash("sha256", readFileSync(join(root, inside))), status.mode & 0o7777)];
  });
}

test("layers give the tree that umoci unpacks", async (context) => {
  need(context, has("/usr/bin/umoci"), "umoci is not installed");
  const rootless = process.getuid?.() === 0 ? [] : ["--rootless"];
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(layer, { minLength: 1, maxLength: 4 }), async (layers) => {
      const image = await read(layoutOf(...layers));
      // Refused, or said to be different things to different runtimes.
      if (!image.ok || image.value.anomalies.length > 0) return;
      const blobs = manifestBlobs({ layers: layers.map((one) => ({ tar: one })) });
      const annotations = { "org.opencontainers.image.ref.name": "x" };
      const place = writeLayout(scratch(), [descriptorOf(blobs[0], { annotations })], blobs);
      const root = join(scratch(), "root");
      execFileSync("umoci", ["raw", "unpack", ...rootless, "--image", `${place}:x`, root], {
        stdio: "ignore",
      });
      const found = image.value.tree
        .walk()
        .map(({ path: name, node: { inode } }) =>
          inode.type === "directory"
            ? `${name}/`
            : inode.type === "symlink"
              ? `${name} -> ${inode.link}`
              : shown(name, inode.content?.sha256 ?? "", inode.mode),
        );
      expect(found.toSorted()).toEqual([...unpacked(root)].toSorted());
      compared++;
    }),
    { numRuns: 60, seed: 7 },
  );
  // Otherwise nothing was tried.
  expect(compared).toBeGreaterThan(15);
});
