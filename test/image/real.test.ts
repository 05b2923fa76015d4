/**
 * Images that other tools wrote, in forms that other tools chose: umoci makes layers and layouts, skopeo turns them into every other form. What is
 * seen in each is what umoci unpacks to disk.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { factsOf } from "../../src/image/facts/facts.ts";
import type { Image } from "../../src/image/read-image.ts";
import { has, need, needRoot } from "../host/needs.ts";
import { readGood } from "./layout.ts";

const tools = has("/usr/bin/umoci") && has("/usr/bin/skopeo");
const WHY = "umoci and skopeo are not installed";
const rootless = process.getuid?.() === 0 ? [] : ["--rootless"];
let work = "";
const run = (program: string, ...args: readonly string[]): void => {
  execFileSync(program, args, { cwd: work, stdio: ["ignore", "ignore", "pipe"] });
};

beforeAll(() => {
  if (!tools) return;
  work = mkdtempSync(join(tmpdir(), "sandbox-real-"));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), text);
  };
  write("base/etc/os-release", 'ID=debian\nVERSION_ID="12"\n');
  write("base/etc/gone", "a later layer deletes it");
  write("base/usr/bin/tool", "#!/bin/sh\n");
  chmodSync(join(work, "base/usr/bin/tool"), 0o4755);
  linkSync(join(work, "base/usr/bin/tool"), join(work, "base/usr/bin/tool2"));
  symlinkSync("tool", join(work, "base/usr/bin/link"));
  write(`base/${"deep/".repeat(30)}${"name".repeat(30)}`, "a path longer than the header's fields");
  write("base/usr/share/big", "x".repeat(300_000));
  write("cache/x", "1");
  write("more/ü ñ", "names");
  write("more/app", "#!/usr/bin/tool\n");
  run("umoci", "init", "--layout", "image");
  run("umoci", "new", "--image", "image:v1");
  run("umoci", "insert", ...rootless, "--image", "image:v1", "base", "/");
  run("umoci", "insert", ...rootless, "--image", "image:v1", "cache", "/var/cache");
  run("umoci", "insert", ...rootless, "--image", "image:v1", "--whiteout", "/etc/gone");
  run("umoci", "insert", ...rootless, "--image", "image:v1", "--opaque", "more", "/var/cache");
  run(
    "umoci",
    "config",
    "--image",
    "image:v1",
    "--config.user",
    "1000:1000",
    "--config.entrypoint",
    "/usr/bin/tool",
    "--config.exposedports",
    "80/tcp",
  );
});
afterAll(() => {
  if (work !== "") rmSync(work, { recursive: true, force: true });
});

/** Names, types, modes and sizes: what all forms must agree on. */
function seen(image: Image): readonly string[] {
  return image.tree
    .walk()
    .map(({ path, node: { inode } }) =>
      [
        path,
        inode.type,
        inode.type === "symlink" ? inode.link : (inode.mode & 0o7777).toString(8),
        inode.size,
      ].join(" "),
    );
}

const FORMS: readonly (readonly [string, string, readonly string[]])[] = [
  ["oci-layout", "image", []],
  ["oci-archive", "out.oci", ["oci:image:v1", "oci-archive:out.oci:v1"]],
  ["docker-archive", "out.docker", ["oci:image:v1", "docker-archive:out.docker:app:v1"]],
  [
    "oci-layout",
    "zstd",
    ["--dest-compress-format", "zstd", "--dest-force-compress-format", "oci:image:v1", "oci:zstd:v1"],
  ],
  ["oci-layout", "plain", ["--dest-decompress", "oci:image:v1", "oci:plain:v1"]],
];

describe("an image of umoci", () => {
  test.for(FORMS)("as %s (%s) is what umoci unpacks", async ([kind, name, copy], context) => {
    need(context, tools, WHY);
    if (copy.length > 0) {
      try {
        run("skopeo", "copy", "-q", "--insecure-policy", ...copy);
      } catch (error) {
        // Older versions of skopeo have no such flag: then the form is not what it should be, but still an image.
        if (!String((error as { stderr?: unknown }).stderr).includes("unknown flag")) throw error;
        run(
          "skopeo",
          "copy",
          "-q",
          "--insecure-policy",
          ...copy.filter((word) => word !== "--dest-force-compress-format"),
        );
      }
    }
    const bundle = `bundle-${name}`;
    run("umoci", "unpack", ...rootless, "--image", "image:v1", bundle);
    const unpacked = await readGood(join(work, bundle, "rootfs"));
    const image = await readGood(join(work, name));
    expect(image.kind).toBe(kind);
    expect(seen(image)).toEqual(seen(unpacked));
    expect(image.source?.config).toMatchObject({
      user: "1000:1000",
      entrypoint: ["/usr/bin/tool"],
      ports: ["80/tcp"],
    });
    expect(image.tree.get("usr/bin/tool")?.inode).toBe(image.tree.get("usr/bin/tool2")?.inode);
  });

  test("has its facts in the layer that brought them", async (context) => {
    need(context, tools, WHY);
    const facts = await factsOf(await readGood(join(work, "image")));
    expect(facts.layers).toHaveLength(4);
    expect(facts.distribution).toEqual({ id: "debian", version: "12", name: "" });
    expect(facts.permissions.setuid.map(({ path, layer }) => [path, layer])).toEqual([
      ["usr/bin/tool", 0],
      ["usr/bin/tool2", 0],
    ]);
    expect(facts.waste.largest.map(({ path, layer, by, how }) => [path, layer, by, how])).toEqual([
      ["etc/gone", 0, 2, "deleted"],
      ["var/cache/x", 1, 3, "deleted"],
    ]);
  });

  test("that a tool of tar wrote with extended attributes has its capabilities", async (context) => {
    needRoot(context);
    need(context, has("/usr/sbin/setcap"), "setcap (libcap2-bin) is not installed");
    const root = join(work === "" ? tmpdir() : work, "caps");
    mkdirSync(root);
    writeFileSync(join(root, "ping"), "x");
    execFileSync("/usr/sbin/setcap", ["cap_net_raw,cap_net_admin+ep", join(root, "ping")]);
    execFileSync("tar", ["--xattrs", "--xattrs-include=*", "-C", root, "-cf", `${root}.tar`, "."]);
    const { permissions } = await factsOf(await readGood(`${root}.tar`));
    expect(permissions.capable).toMatchObject([
      {
        path: "ping",
        capabilities: { permitted: ["CAP_NET_ADMIN", "CAP_NET_RAW"], effective: true, rootId: null },
      },
    ]);
  });
});

describe("GNU tar", () => {
  test.for(["v7", "ustar", "gnu", "pax"])(
    "in the format %s is read as it was written",
    async (format, context) => {
      need(context, has("/usr/bin/tar"), "tar is not installed");
      const root = mkdtempSync(join(tmpdir(), "sandbox-tar-"));
      try {
        mkdirSync(join(root, "in/d"), { recursive: true });
        writeFileSync(join(root, "in/d/f"), "content");
        linkSync(join(root, "in/d/f"), join(root, "in/d/g"));
        symlinkSync("f", join(root, "in/l"));
        if (format === "gnu" || format === "pax") {
          const long = `in/${"long-name-".repeat(20)}`;
          writeFileSync(join(root, long), "x");
          execFileSync("truncate", ["-s", "10M", join(root, "in/sparse")]);
          writeFileSync(join(root, "in/sparse"), "end", { flag: "a" });
        }
        const sparse = format === "gnu" || format === "pax" ? ["--sparse"] : [];
        execFileSync("tar", [
          "-C",
          join(root, "in"),
          `--format=${format}`,
          ...sparse,
          "-cf",
          join(root, "out.tar"),
          ".",
        ]);
        const fromTar = await readGood(join(root, "out.tar"));
        const fromDirectory = await readGood(join(root, "in"));
        expect(seen(fromTar)).toEqual(seen(fromDirectory));
        for (const { path, node } of fromTar.tree.walk())
          expect(node.inode.content).toEqual(fromDirectory.tree.get(path)?.inode.content);
      } finally {
        rmSync(root, { recursive: true });
      }
    },
  );
});
