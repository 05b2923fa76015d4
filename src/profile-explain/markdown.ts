/** An explanation as Markdown, for a document or a review. Pure. */
import { escapeMarkdown } from "../gate/formats/markdown.ts";
import { formatPlaceOf } from "../gate/formats/shared.ts";
import type { Explanation } from "./explain.ts";
import { formatOrigin } from "./text.ts";

const row = (...cells: readonly string[]): string => `| ${cells.map(escapeMarkdown).join(" | ")} |`;

export function explanationMarkdown({
  name,
  description,
  exposure,
  sections,
  properties,
  calls,
  exposed,
}: Explanation): string {
  const lines = [
    `# ${escapeMarkdown(name)}`,
    "",
    escapeMarkdown(description),
    "",
    `Exposure **${exposure.score.toFixed(1)}** of 10 (${exposure.band}).`,
    "",
  ];
  for (const { title, settings } of sections) {
    lines.push(`## ${title[0]?.toUpperCase()}${title.slice(1)}`, "", "| | | decided at |", "|---|---|---|");
    for (const { what, value, origin } of settings) lines.push(row(what, value, formatOrigin(origin)));
    lines.push("");
  }
  lines.push("## What is impossible", "", "| | holds | by | not by |", "|---|---|---|---|");
  for (const { about, holds, layers } of properties) {
    const held = layers.filter((layer) => layer.holds).map(({ layer }) => layer);
    const open = layers.filter((layer) => !layer.holds).map(({ layer, says }) => `${layer} (${says})`);
    lines.push(row(about, holds ? "yes" : "no", held.join(", "), open.join(", ")));
  }
  lines.push("", "## System calls of x86-64", "");
  if (calls.length === 0) lines.push("All: there is no filter.");
  else {
    lines.push("| group | what it is | allowed | for some arguments | refused |", "|---|---|---|---|---|");
    for (const { group, about, allowed, conditional, refused } of calls) {
      const some = conditional.map((call) => `${call.name} (${call.when})`).join(", ");
      lines.push(row(group, about, allowed.join(" "), some, refused.join(" ")));
    }
  }
  lines.push("");
  if (exposed.length > 0) {
    lines.push("## What reaches beyond the sandbox", "", "| | why | decided at |", "|---|---|---|");
    for (const { name: what, why, places } of exposed)
      lines.push(row(what, why, places.map(formatPlaceOf).join(", from ")));
    lines.push("");
  }
  lines.push("## Exposure", "", "| | points | at most |", "|---|---|---|");
  for (const { about, points, most } of exposure.parts)
    if (points >= 0.005) lines.push(row(about, points.toFixed(2), most.toFixed(2)));
  return lines.join("\n");
}
