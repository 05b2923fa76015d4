/** Rules over the facts of an image. Most ask for one kind of exposure; what a policy allows is named by pattern. */
import { matchesPattern } from "../gate/paths.ts";
import { defineRule, type Rule, type RuleText, type Violation } from "../gate/rule.ts";
import { type Exposure, type ExposureKind, exposuresOf } from "../image/diff/exposures.ts";
import type { ImageFacts } from "../image/facts/facts.ts";

export type ImageRule = Rule<ImageFacts>;

/** A violation in the image as a whole, or in one of its layers, with the line of the history that made it. */
export function violation(
  facts: ImageFacts,
  object: string,
  message: string,
  layer: number | null = null,
): Violation {
  const made = layer === null ? null : (facts.layers[layer]?.createdBy ?? null);
  const where =
    layer === null
      ? ""
      : `, from layer ${layer + 1}${made === null || made === "" ? "" : ` (${shorten(made)})`}`;
  return { object, message: `${message}${where}`, places: [{ file: facts.path, line: 0, column: 0 }] };
}

const shorten = (line: string): string => {
  const plain = line.replaceAll(/\s+/g, " ").trim();
  return plain.length > 80 ? `${plain.slice(0, 77)}...` : plain;
};

const ALLOW = {
  allow: {
    type: "words",
    about: "what is accepted; `*` stands for anything",
    default: [],
  },
} as const;

/** A rule that every exposure of some kinds breaks, unless the policy allows its subject. */
export function forbids(
  text: RuleText,
  kinds: readonly ExposureKind[],
  message: (exposure: Exposure) => string,
  applies: (exposure: Exposure, facts: ImageFacts) => boolean = () => true,
): ImageRule {
  return defineRule<ImageFacts, typeof ALLOW>({
    ...text,
    options: ALLOW,
    check: (facts, { allow }) =>
      exposuresOf(facts)
        .filter((one) => kinds.includes(one.kind) && applies(one, facts))
        .filter(({ subject }) => !allow.some((pattern) => matchesPattern(pattern, subject)))
        .map((one) => violation(facts, one.subject, message(one), one.layer)),
  });
}
