/**
 * What an image has from the image it was built on: each violation gets its origin. A violation is the base's only when that is proved: the
 * base's layers are the lowest of the image, what it is about lies in them, and the same rule finds the same in the base alone, and as much.
 * Everything else counts as the image's own.
 */
import type { Violation } from "../gate/rule.ts";
import type { ImageRule } from "./image-rule.ts";

/** The same rule, whose violations say whose they are; nothing where no base is known. */
export function withOrigin(rule: ImageRule): ImageRule {
  return {
    ...rule,
    check: (image, options) => {
      const found = [...rule.check(image, options)];
      if (image.below === null) return found;
      const below = new Map<string, Violation[]>();
      for (const one of rule.check(image.below, options))
        below.set(one.object, [...(below.get(one.object) ?? []), one]);
      return found.map((one) => {
        const inBase = below.get(one.object)?.some((other) => isSame(one, other)) === true;
        return { ...one, origin: inBase && one.origin !== "own" ? "base" : "own" };
      });
    },
  };
}

/** No more than the base has. What is in no layer and has no amount is the same when it is said in the same words. */
function isSame(one: Violation, other: Violation): boolean {
  if (one.undecided === true) return false;
  if (one.amount !== undefined) return one.amount <= (other.amount ?? -1);
  return one.origin === "base" || one.message === other.message;
}
