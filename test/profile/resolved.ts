/** Shipped profiles as the compiler gets them, with changes by flags. */
import { unwrap } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import type { Override, ResolvedProfile } from "../../src/profile/spec.ts";

/** JSON pointers and what they are set to. */
export type Changes = Readonly<Record<string, unknown>>;

const FLAG: Override["source"] = { kind: "flag", flag: "--set" };

export function toOverrides(changes: Changes, source: Override["source"] = FLAG): readonly Override[] {
  return Object.entries(changes).map(([pointer, value]) => ({ pointer, value, source }));
}

/** Throws ProfileError, with every problem. */
export function resolved(
  profile: string,
  changes: Changes = {},
  { cwd = "/", source = FLAG }: { readonly cwd?: string; readonly source?: Override["source"] } = {},
): ResolvedProfile {
  return unwrap(resolveProfile({ profile, overrides: toOverrides(changes, source), cwd }, profileFiles()));
}
