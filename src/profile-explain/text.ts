/** An explanation for a terminal. Pure. */
import type { Abi } from "../compile/seccomp/abi.ts";
import { formatPlaceOf } from "../gate/formats/shared.ts";
import type { Place } from "../gate/rule.ts";
import { formatPlace, type Provenance } from "../problems.ts";
import { formatExposure } from "../profile-rules/exposure.ts";
import type { DecidedAnswer } from "./calls.ts";
import type { CapabilityAnswer } from "./capability.ts";
import { type Explanation, NOT_SAID } from "./explain.ts";
import type { PathAnswer } from "./path.ts";

const at = (places: readonly Place[]): string =>
  places.length === 0 ? "" : `  (${places.map(formatPlaceOf).join(", from ")})`;

export function explanationText({
  name,
  description,
  files,
  exposure,
  sections,
  properties,
  convention,
  calls,
  exposed,
}: Explanation): string {
  const lines = [`${name}: ${description}`, ...files.map((file) => `  from ${file}`), ""];
  for (const { title, settings } of sections) {
    lines.push(settings.length === 0 ? `${title}: ${NOT_SAID}` : title);
    const width = Math.max(...settings.map(({ what }) => what.length));
    for (const { what, value, origin } of settings)
      lines.push(`  ${what.padEnd(width)}  ${value}  (${formatOrigin(origin)})`);
    lines.push("");
  }
  lines.push("impossible, and which layers see to it");
  for (const { about, holds, undecided, layers } of properties) {
    const by = layers.filter((layer) => layer.holds).map(({ layer }) => layer);
    lines.push(
      `  ${holds ? "yes" : undecided ? "?  " : "NO "}  ${about}${by.length === 0 ? "" : `: ${by.join(", ")}`}`,
    );
    for (const { layer, says, holds: held, undecided: unsaid } of layers)
      if (!held) lines.push(`         ${unsaid === true ? "perhaps" : "not"} by ${layer}: ${says}`);
  }
  lines.push("", `system calls of ${nameOfConvention(convention)}`);
  if (calls.length === 0) lines.push("  all: there is no filter");
  for (const { group, allowed, conditional, refused } of calls) {
    const parts = [
      ...(allowed.length === 0
        ? []
        : [refused.length + conditional.length === 0 ? `all ${allowed.length}` : allowed.join(" ")]),
      ...conditional.map((call) => `${call.name} [${shorten(call.when)}]`),
    ];
    const none = parts.length === 0 ? "none" : parts.join(", ");
    const not = parts.length === 0 || refused.length === 0 ? "" : `; not ${refused.join(" ")}`;
    lines.push(`  ${group.padEnd(16)} ${none}${not}`);
  }
  if (exposed.length > 0) {
    lines.push("", "reaches beyond the sandbox");
    for (const { name: what, why, places } of exposed) lines.push(`  ${what}: ${why}${at(places)}`);
  }
  lines.push("", `exposure ${formatExposure(exposure)}`);
  for (const { about, points, most, decided } of exposure.parts.filter((part) => part.points >= 0.005))
    lines.push(`  ${points.toFixed(2)} of ${most.toFixed(2)}  ${about}${decided ? "" : ` (${NOT_SAID})`}`);
  return lines.join("\n");
}

/** "x86-64" as people write it; OCI's word for the others. */
export const nameOfConvention = (abi: Abi): string => (abi === "x86_64" ? "x86-64" : abi);

const shorten = (when: string): string => (when.length > 120 ? `${when.slice(0, 117)}...` : when);

/** Where a value was written, without the pointer: the line says enough. */
export function formatOrigin(origin: Provenance): string {
  if (origin.kind !== "profile") return formatPlace(origin);
  return formatPlaceOf({ file: origin.file, line: origin.line, column: origin.column });
}

/** One question about a system call: an answer a line, conventions that answer alike together. */
export function callText(name: string, answers: readonly DecidedAnswer[]): string {
  if (answers.length === 0) return `${name} gets through: there is no filter`;
  const lines = new Map<string, string[]>();
  for (const { abi, verdict, when, places } of answers) {
    const line = `${verdict} ${when === "always" ? "always" : `when ${when}`}${at(places)}`;
    lines.set(line, [...(lines.get(line) ?? []), abi]);
  }
  return [...lines].map(([line, abis]) => `${name} on ${abis.join(" and ")}: ${line}`).join("\n");
}

export function capabilityText({ capability, canBeHad, over, sets, why, places }: CapabilityAnswer): string {
  return [
    `${capability} ${canBeHad ? `can be had, over ${over}` : "can not be had"}: ${why}${at(places)}`,
    ...sets.map(({ set, places: where }) => `  in the ${set} set${at(where)}`),
  ].join("\n");
}

export function pathText({
  path,
  shown,
  readable,
  writable,
  executable,
  kept,
  unless,
  places,
}: PathAnswer): string {
  const can = [
    ...(readable ? ["read"] : []),
    ...(writable ? [kept ? "written, and kept on the host" : "written"] : []),
    ...(executable && readable ? ["executed"] : []),
  ];
  return [
    `${path}: ${shown}${at(places)}`,
    `  ${can.length === 0 ? "nothing can be done with it" : `can be ${can.join(", ")}, as far as its mode allows`}`,
    ...(unless === "" ? [] : [`  unless ${unless}`]),
  ].join("\n");
}
