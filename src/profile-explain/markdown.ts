/** An explanation as Markdown, for a document or a review. Pure. */
import { escapeMarkdown } from "../gate/formats/markdown.ts";
import { formatPlaceOf } from "../gate/formats/shared.ts";
import { formatExposure } from "../profile-rules/exposure.ts";
import { type Explanation, NOT_SAID } from "./explain.ts";
import { formatOrigin, nameOfConvention } from "./text.ts";

const row = (...cells: readonly string[]): string => `| ${cells.map(escapeMarkdown).join(" | ")} |`;

export function explanationMarkdown({
  name,
  description,
  exposure,
  sections,
  properties,
  convention,
  calls,
  exposed,
}: Explanation): string {
  const lines = [
    `# ${escapeMarkdown(name)}`,
    "",
    escapeMarkdown(description),
    "",
    exposure.atMost
      ? `Exposure ${formatExposure(exposure)}.`
      : `Exposure **${exposure.score.toFixed(1)}** of 10 (${exposure.band}).`,
    "",
  ];
  for (const { title, settings } of sections) {
    lines.push(`## ${title[0]?.toUpperCase()}${title.slice(1)}`, "");
    if (settings.length === 0) lines.push(`${NOT_SAID[0]?.toUpperCase()}${NOT_SAID.slice(1)}.`);
    else lines.push("| | | decided at |", "|---|---|---|");
    for (const { what, value, origin } of settings) lines.push(row(what, value, formatOrigin(origin)));
    lines.push("");
  }
  lines.push("## What is impossible", "", "| | holds | by | not by |", "|---|---|---|---|");
  for (const { about, holds, undecided, layers } of properties) {
    const held = layers.filter((layer) => layer.holds).map(({ layer }) => layer);
    const open = layers.filter((layer) => !layer.holds).map(({ layer, says }) => `${layer} (${says})`);
    lines.push(row(about, holds ? "yes" : undecided ? NOT_SAID : "no", held.join(", "), open.join(", ")));
  }
  lines.push("", `## System calls of ${nameOfConvention(convention)}`, "");
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
  for (const { about, points, most, decided } of exposure.parts)
    if (points >= 0.005)
      lines.push(row(decided ? about : `${about} (${NOT_SAID})`, points.toFixed(2), most.toFixed(2)));
  return lines.join("\n");
}
