/** What `sandbox image diff` does, loaded when it is asked for. Gives the exit status: 1 when something got worse. */
import { compareImages, printable } from "../image/index.ts";
import { parseSize } from "../profile/units.ts";
import { colorFor, type Palette, palette } from "./color.ts";
import type { ImageFlags } from "./image.ts";
import { readFacts } from "./inspect-image.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import { flagProblem, refuse } from "./sandbox-options.ts";

export interface DiffFlags extends ImageFlags {
  readonly json?: true;
  readonly maxGrowth?: string;
}

export async function diffImages(before: string, after: string, flags: DiffFlags): Promise<number> {
  const growth = flags.maxGrowth === undefined ? null : parseSize(flags.maxGrowth);
  if (flags.maxGrowth !== undefined && growth === null)
    refuse([
      flagProblem("--max-growth", `${JSON.stringify(flags.maxGrowth)} is not a size`, "a size such as 10M"),
    ]);
  const comparison = compareImages(await readFacts(before, flags), await readFacts(after, flags), growth);
  print(flags.json ? toJson(comparison) : render(comparison, palette(colorFor(1))));
  return comparison.changes.some(({ direction }) => direction === "worse") ? 1 : 0;
}

const TITLES = {
  worse: "more permissive",
  better: "less permissive",
  different: "different",
} as const;

function render({ changes }: ReturnType<typeof compareImages>, paint: Palette): string {
  if (changes.length === 0) return "nothing that the images expose differs";
  const color = { worse: paint.bad, better: paint.good, different: paint.strong } as const;
  return (["worse", "better", "different"] as const)
    .map((direction) => {
      const own = changes.filter((change) => change.direction === direction);
      const sign = { worse: "+", better: "-", different: "~" }[direction];
      const lines = own.map(({ kind, subject, detail, layer }) => {
        const more = [detail, layer === null ? "" : `layer ${layer + 1}`]
          .filter((part) => part !== "")
          .join(", ");
        return `  ${sign} ${kind.padEnd(19)} ${printable(subject)}${more === "" ? "" : paint.faint(`  (${printable(more)})`)}`;
      });
      return own.length === 0
        ? ""
        : [color[direction](`${TITLES[direction]}: ${own.length}`), ...lines].join("\n");
    })
    .filter((part) => part !== "")
    .join("\n");
}
