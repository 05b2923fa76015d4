/** Places of a profile in exported policy: short, since whoever reads it has the profile. */
import { formatPlace, type Provenance } from "../../problems.ts";

/** "strict.json:14 /filesystem/mounts/0", or the flag or default that gave the value of this pointer. */
export function placeOf(where: Provenance, pointer: string): string {
  if (where.kind !== "profile") return `${formatPlace(where)}, ${pointer}`;
  return `${where.file.slice(where.file.lastIndexOf("/") + 1)}:${where.line} ${pointer}`;
}
