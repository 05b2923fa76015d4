/**
 * One verdict on how minimal an image is: the highest of the shipped grades that it holds, why not the next one, and a score of what it
 * exposes. A grade and a score rank and show a trend; whether an image is good enough is for a policy to say.
 */
import type { Policy } from "../gate/policy.ts";
import type { Registry } from "../gate/rule.ts";
import { type ExposureKind, exposuresOf } from "../image/diff/exposures.ts";
import type { ImageFacts } from "../image/facts/facts.ts";
import type { CheckedImage } from "./checked-image.ts";

/** Shipped policies of which each one refuses what the one before refuses. */
export const GRADES = ["base", "runtime", "distroless", "static"] as const;
export type Grade = (typeof GRADES)[number];

export interface Verdict {
  /** Null: not even the lowest. */
  readonly grade: Grade | null;
  /** The next grade and the rules for whose errors it is not reached; null for the highest. */
  readonly missed: { readonly grade: Grade; readonly rules: readonly string[] } | null;
}

/** `policies`: those of the grades, in their order. */
export function gradeOf(
  image: CheckedImage,
  registry: Registry<CheckedImage>,
  policies: readonly Policy[],
): Verdict {
  let grade: Grade | null = null;
  for (const [index, next] of GRADES.entries()) {
    const settings = policies[index]?.settings;
    const rules = registry.rules.filter((rule) => {
      const setting = settings?.get(rule.id);
      if (setting?.severity !== "error") return false;
      return [...rule.check(image, setting.options)].length > 0;
    });
    if (rules.length > 0) return { grade, missed: { grade: next, rules: rules.map(({ id }) => id) } };
    grade = next;
  }
  return { grade, missed: null };
}

interface Part {
  readonly kinds: readonly ExposureKind[];
  /** What it adds at most; all together ten. */
  readonly weight: number;
  /** How many count in full; between one and that by the logarithm. 1: any counts in full. */
  readonly most: number;
}

const PARTS: readonly Part[] = [
  { kinds: ["root-user"], weight: 1.5, most: 1 },
  { kinds: ["set-user-id", "set-group-id", "capability", "device"], weight: 1.5, most: 16 },
  { kinds: ["secret", "empty-password"], weight: 1.5, most: 1 },
  { kinds: ["shell"], weight: 1, most: 1 },
  { kinds: ["package-manager"], weight: 0.75, most: 4 },
  { kinds: ["compiler", "debugger", "version-control"], weight: 0.75, most: 8 },
  { kinds: ["network-tool"], weight: 0.5, most: 4 },
  { kinds: ["privilege"], weight: 0.5, most: 8 },
  { kinds: ["interpreter"], weight: 0.5, most: 2 },
  { kinds: ["world-writable", "login-user", "shared-id"], weight: 0.5, most: 4 },
  { kinds: ["unowned-program", "weak-program", "anomaly", "gap"], weight: 0.5, most: 16 },
  { kinds: ["package"], weight: 0.5, most: 400 },
];

/** 0 to 10, one decimal, rounded up: nothing is rounded away. A part grows with what is exposed and with nothing else. */
export function scoreOf(image: ImageFacts): number {
  const count = new Map<ExposureKind, number>();
  for (const { kind } of exposuresOf(image)) count.set(kind, (count.get(kind) ?? 0) + 1);
  const points = PARTS.map(({ kinds, weight, most }) => {
    const found = kinds.reduce((sum, kind) => sum + (count.get(kind) ?? 0), 0);
    return weight * Math.min(1, Math.log2(1 + found) / Math.log2(1 + most));
  });
  const sum = points.reduce((total, one) => total + one, 0);
  return Math.min(10, Math.ceil(Number((sum * 10).toFixed(6))) / 10);
}

/** One line for a report. */
export function describeVerdict(
  { grade, missed }: Verdict,
  { score, base }: { readonly score: number; readonly base: number | null },
): string {
  const held = `grade ${grade ?? "none"}`;
  const why = missed === null ? "" : `, not ${missed.grade} for ${listed(missed.rules)}`;
  const below = base === null ? "" : ` (its base alone ${base.toFixed(1)})`;
  return `exposure ${score.toFixed(1)} of 10${below}, ${held}${why}`;
}

const SHOWN = 4;
const listed = (rules: readonly string[]): string =>
  rules.length <= SHOWN
    ? rules.join(", ")
    : `${rules.slice(0, SHOWN).join(", ")} and ${rules.length - SHOWN} more`;
