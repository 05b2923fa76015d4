/** Text of an image that looks for an expression that takes long: what is asked of it takes time in proportion to its length. */
import { describe, expect, test } from "vitest";
import { gateImages } from "../../src/gate-images.ts";
import { layout } from "./layout.ts";
import { file, tar } from "./tar-writer.ts";

const LENGTH = 80_000;
/** Text that begins what some expression looks for, again and again. */
const UNITS = [
  "a",
  "A_",
  "TOKEN",
  "a=",
  "ghp_",
  "$(",
  "apt-get ",
  "curl | ",
  "#(nop) ",
  "|1 a=b ",
  "<<",
  "\\",
  "/",
  ".",
  "\n",
  " ",
];

describe("history, variables, labels and commands", () => {
  test.for(UNITS)("of %j again and again are read at once", async (unit) => {
    const text = unit.repeat(LENGTH / unit.length);
    const path = layout({
      layers: [{ tar: tar(file("etc/passwd", text), file("etc/os-release", text)), createdBy: text }],
      config: {
        User: text.slice(0, 1000),
        Entrypoint: ["/bin/sh", "-c", text],
        Env: [`A=${text}`, `${text}=1`],
        Labels: { label: text },
        Healthcheck: { Test: ["CMD-SHELL", text] },
      },
    });
    const began = performance.now();
    const gated = await gateImages({
      images: [path],
      reading: { platform: null, tag: null },
      policy: "minimal-image",
      waivers: [],
      baseline: null,
      updateBaseline: false,
      cwd: "/",
      today: "2026-01-01",
    });
    expect(gated.ok && gated.value.report.failures).toEqual([]);
    // Milliseconds; what is quadratic takes several thousand.
    expect(performance.now() - began).toBeLessThan(2000);
  });
});
