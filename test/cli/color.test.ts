import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { palette, wantsColor } from "../../src/cli/color.ts";

describe("colour", () => {
  it.each([
    [{}, true, true],
    [{}, false, false],
    [{ TERM: "dumb" }, true, false],
    [{ TERM: "xterm" }, true, true],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "0" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "3", TERM: "dumb" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
    [{ FORCE_COLOR: "false" }, true, false],
    [{ FORCE_COLOR: "" }, false, false],
    [{ FORCE_COLOR: "1", NO_COLOR: "1" }, true, true],
  ])("%j on a terminal (%s): %s", (env, terminal, expected) => {
    expect(wantsColor(env, terminal)).toBe(expected);
  });

  it("is the only difference between coloured and plain text", () => {
    for (const paint of Object.values(palette(true))) {
      const painted = paint("x");
      expect(painted).not.toBe("x");
      expect(stripVTControlCharacters(painted)).toBe("x");
    }
    for (const paint of Object.values(palette(false))) expect(paint("x")).toBe("x");
  });
});
