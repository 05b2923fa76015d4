/** Rules over what runs of an image opened. Without --evidence there is nothing to judge, and nothing is found. */
import { matchesPattern } from "../gate/paths.ts";
import { defineRule, type Violation } from "../gate/rule.ts";
import type { Used } from "../image/evidence.ts";
import type { CheckedImage } from "./checked-image.ts";
import { ALLOW, type ImageRule, violation } from "./image-rule.ts";

/** A record of another root has thousands of files that are not here; the first say enough. */
const MOST_NAMED = 100;

const more = (facts: CheckedImage): readonly Violation[] => {
  const rest = (facts.evidence?.foreign.length ?? 0) - MOST_NAMED;
  return rest > 0 ? [violation(facts, "more", `${rest} more were opened and are not in the image`)] : [];
};

const ownerOf = ({ package: name }: Used): string => (name === null ? "" : ` of the package ${name}`);

export const EVIDENCE_RULES: readonly ImageRule[] = [
  {
    id: "evidence-fits",
    title: "What runs opened was recorded whole, and is of this image",
    rationale:
      "A record that lost something, or that is of another root file system, proves nothing about what this image needs.",
    remediation:
      "Record again: unpack this very image into a directory of its own and run it there with --record-files.",
    references: [],
    options: {},
    check: (facts) => [
      ...(facts.evidence?.missed ?? []).map((why) =>
        violation(facts, "missed", `the record is not whole: ${why}`),
      ),
      ...(facts.evidence?.foreign ?? [])
        .slice(0, MOST_NAMED)
        .map((path) => violation(facts, path, `${path} was opened and is not in the image`)),
      ...more(facts),
    ],
  },
  defineRule<CheckedImage, typeof ALLOW>({
    id: "no-unreached-opens",
    title: "Nothing ran or was loaded that the command does not reach",
    rationale:
      "What starts by a way that no header names, by dlopen, a shell or a script, is a dependency that nobody wrote down, or a program that should not have run.",
    remediation:
      "If it belongs there, name it in the policy's allow list or start it by its path; if not, find out what started it.",
    references: [],
    options: ALLOW,
    check: (facts, { allow }) =>
      of(facts, "unreached", allow).map((one) =>
        violation(
          facts,
          `/${one.path}`,
          `/${one.path}${ownerOf(one)} was opened, and nothing that the command names leads to it`,
          { layer: one.layer },
        ),
      ),
  }),
  defineRule<CheckedImage, typeof ALLOW>({
    id: "no-unused-programs",
    title: "Every program and library that the command reaches was used by a run",
    rationale:
      "What can be reached and is never used is what an attacker has and nobody else wants. Runs that try everything the program does make this worth asking.",
    remediation:
      "Build without the feature that needs it, or leave the package out; then record again to see that nothing is missing.",
    references: [],
    options: ALLOW,
    check: (facts, { allow }) =>
      of(facts, "unopened", allow).map((one) => ({
        ...violation(
          facts,
          `/${one.path}`,
          `/${one.path}${ownerOf(one)} can be reached, and no run opened it (${facts.evidence?.runs ?? 0} recorded)`,
          { layer: one.layer },
        ),
        amount: one.size,
      })),
  }),
];

const of = (
  { evidence }: CheckedImage,
  which: "unreached" | "unopened",
  allow: readonly string[],
): readonly Used[] =>
  (evidence?.[which] ?? []).filter(
    ({ path }) => !allow.some((pattern) => matchesPattern(pattern, `/${path}`)),
  );
