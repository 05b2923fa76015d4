/** Where a value of a resolved profile was written. Pure. */
import type { Provenance } from "../problems.ts";
import type { ResolvedProfile } from "./spec.ts";

/** The entry at this pointer, or at the nearest one around it. */
export function locate({ provenance }: ResolvedProfile, pointer: string): Provenance {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
    const found = provenance[at];
    if (found !== undefined) return found;
    if (at === "") return { kind: "default" };
  }
}
