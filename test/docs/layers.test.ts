/** docs/layers.md says what the shipped profiles become: made anew from them with UPDATE_DOCS=1, compared otherwise. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CONTROLS } from "../../src/profile/spec.ts";
import { factsOf, LAYERS, layersOf, PROFILES, ROWS } from "./layers.ts";
import { PROJECT } from "./markdown.ts";

const FACTS = PROFILES.map((name) => ({ name, facts: factsOf(name) }));

function table(): string {
  const cells = ROWS.map((row) => {
    const each = FACTS.map(({ facts }) => layersOf(row, facts)).map((layers) =>
      layers === null ? "*allowed*" : layers.join(", "),
    );
    return `| \`${row.control}\` | ${row.what} | ${each.join(" | ")} |\n`;
  });
  const head = `| section | what is kept from happening | ${PROFILES.map((name) => `\`${name}\``).join(" | ")} |\n`;
  return `${head}|---|---|${"---|".repeat(PROFILES.length)}\n${cells.join("")}`;
}

it("the table is what the profiles come to", () => {
  const file = join(PROJECT, "docs/layers.md");
  const text = readFileSync(file, "utf8");
  const [whole, begin, made, end] =
    /(<!-- layers:[^>]*-->\n)([\s\S]*?)(<!-- end of layers -->)/.exec(text) ?? [];
  if (whole === undefined) throw new Error("docs/layers.md has no part to fill");
  const update = process.env["UPDATE_DOCS"] === "1";
  if (update)
    writeFileSync(
      file,
      text.replace(whole, () => `${begin}${table()}${end}`),
    );
  expect(update ? table() : made).toBe(table());
});

describe.each(FACTS)("$name", ({ facts }) => {
  it.for(ROWS.map((row) => [row.what, row] as const))("%s: by a layer, unless it is allowed", ([, row]) => {
    expect(layersOf(row, facts)).not.toEqual([]);
  });
});

it("every section of a profile but those that are layers themselves has a row", () => {
  const rows = new Set<string>(ROWS.map(({ control }) => control));
  expect(CONTROLS.filter((control) => !rows.has(control))).toEqual(["lsm", "landlock"]);
});

it("every layer holds something under strict", () => {
  const strict = factsOf("strict");
  const holding = new Set(ROWS.flatMap((row) => layersOf(row, strict) ?? []));
  expect(LAYERS.filter((layer) => !holding.has(layer))).toEqual([]);
});
