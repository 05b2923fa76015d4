/** Where a value of a resolved profile was written. Pure. */
import type { Provenance } from "../problems.ts";
import type { ResolvedProfile } from "./spec.ts";

/** The entry at this pointer, or at the nearest one around it. */
export function locate({ provenance }: ResolvedProfile, pointer: string): Provenance {
  return around(pointer, (at) => provenance[at]) ?? { kind: "default" };
}

/** The same of any map by pointers. */
export function nearestPointer<T>(entries: ReadonlyMap<string, T>, pointer: string): T | undefined {
  return around(pointer, (at) => entries.get(at));
}

function around<T>(pointer: string, find: (pointer: string) => T | undefined): T | undefined {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
    const found = find(at);
    if (found !== undefined || at === "") return found;
  }
}
