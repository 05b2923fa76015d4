/** zstd layers: what the real tool writes is read, what a frame may ask for is bounded, and damage is told as damage. */
import { execFileSync, spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { ZstdFrames } from "../../src/image/formats/zstd-frames.ts";
import { need } from "../host/needs.ts";
import { layout, listing, readGood, refusalOf } from "./layout.ts";
import { file, tar } from "./tar-writer.ts";

const hasZstd = spawnSync("zstd", ["--version"]).status === 0;
const zstd = (bytes: Buffer, ...options: string[]): Buffer =>
  execFileSync("zstd", ["-q", "-c", ...options], { input: bytes, maxBuffer: 1 << 26 });

/** Some of it repeats, some does not. */
const body = Buffer.alloc(1_000_000, "The quick brown fox. ");
for (let at = 0; at < body.length; at += 7) body[at] = (at * 2_654_435_761) >>> 24;
const LAYER = tar(file("big", body), file("small", "x"));

const stored = (bytes: Buffer): string => layout({ layers: [{ tar: LAYER, stored: bytes }] });

describe("zstd", () => {
  test.for([["-1"], ["-19"], ["--no-check"], ["--long=24"]])(
    "of level or option %s is read",
    async (options, context) => {
      need(context, hasZstd, "zstd is not installed");
      const image = await readGood(stored(zstd(LAYER, ...options)));
      expect(listing(image)).toEqual(["big 1000000", "small 1"]);
      expect(image.layers[0]?.compression).toBe("zstd");
    },
  );

  test("of several frames, with skippable ones between, is read", async (context) => {
    need(context, hasZstd, "zstd is not installed");
    const skippable = Buffer.from("502a4d18030000006a756e", "hex");
    const parts = [zstd(LAYER.subarray(0, 100_000)), skippable, zstd(LAYER.subarray(100_000)), skippable];
    expect(listing(await readGood(stored(Buffer.concat(parts))))).toHaveLength(2);
  });

  test("that is cut or changed is damaged", async (context) => {
    need(context, hasZstd, "zstd is not installed");
    const whole = zstd(LAYER);
    expect(await refusalOf(stored(whole.subarray(0, whole.length - 10)))).toMatch(/^image-malformed: /);
    for (const at of [4, 5, 6, 9, 40, 1000, whole.length >> 1]) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x55;
      expect(await refusalOf(stored(changed))).toMatch(
        /^image-(malformed|digest|limit|unsupported|hostile): /,
      );
    }
    expect(await refusalOf(stored(Buffer.concat([whole, Buffer.from("tail")])))).toMatch(
      /^image-malformed: /,
    );
  });

  test("whose window is larger than the limit is refused before it is decoded", async (context) => {
    need(context, hasZstd, "zstd is not installed");
    const wide = zstd(LAYER, "-3", "--long=24", "--no-content-size");
    expect(await refusalOf(stored(wide), { limits: { window: 1 << 19 } })).toMatch(
      /^image-limit: a zstd frame asks for a window of \d+ bytes$/,
    );
  });

  test("windows of every form are computed as the format says", () => {
    const refusal = (hex: string, window: number): string => {
      try {
        for (const _ of new ZstdFrames(window).watch(Buffer.from(hex, "hex"))) void _;
        return "accepted";
      } catch (error) {
        return (error as Error).message;
      }
    };
    // No size, window byte 0x58: 2^21 bytes. 0xff: 2^41 and seven eighths.
    expect(refusal("28b52ffd0058", 2 ** 21)).toBe("accepted");
    expect(refusal("28b52ffd0058", 2 ** 21 - 1)).toBe("a zstd frame asks for a window of 2097152 bytes");
    expect(refusal("28b52ffd00ff", 2 ** 40)).toBe("a zstd frame asks for a window of 4123168604160 bytes");
    // One segment: the window is the content, of 2 bytes plus 256, of 8 bytes.
    expect(refusal("28b52ffd60ffff", 65_535 + 255)).toBe("a zstd frame asks for a window of 65791 bytes");
    expect(refusal("28b52ffde0ffffffffffffff7f", 2 ** 30)).toMatch(/window of 9223372036854775807 bytes/);
    expect(refusal("28b52ffd21aa", 2 ** 30)).toBe("a zstd frame needs a dictionary");
  });

  test("blocks that repeat one byte do not multiply within one step", () => {
    // A frame of 2000 blocks of 128 KiB, each four bytes long.
    const blocks = Buffer.concat(Array.from({ length: 2000 }, () => Buffer.from("02001000", "hex")));
    const pieces = [
      ...new ZstdFrames(1 << 27).watch(Buffer.concat([Buffer.from("28b52ffd0058", "hex"), blocks])),
    ];
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(66 * 4 + 10);
  });

  test("a bomb is stopped by its ratio", async () => {
    const blocks = Buffer.concat([
      ...Array.from({ length: 3000 }, () => Buffer.from("02001000", "hex")),
      Buffer.from("010000", "hex"),
    ]);
    const bomb = Buffer.concat([Buffer.from("28b52ffd0058", "hex"), blocks]);
    expect(await refusalOf(stored(bomb))).toMatch(/^image-limit: it unpacks to more than 200 times its size/);
  });
});
