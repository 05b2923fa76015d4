/**
 * A resolved profile as lines for people: field, value, and where the value comes from. Pure.
 */
import { formatPlace } from "../problems.ts";
import type { ResolvedProfile } from "../profile/spec.ts";

const escapeToken = (token: string): string => token.replaceAll("~", "~0").replaceAll("/", "~1");

/** Fields on lines of their own: objects are walked, everything else is a value. */
function* fields(value: unknown, pointer: string): Generator<readonly [pointer: string, text: string]> {
  const nested = typeof value === "object" && value !== null && !Array.isArray(value);
  const entries = nested ? Object.entries(value) : [];
  if (entries.length === 0) {
    yield [
      pointer,
      JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? Number(inner) : inner)),
    ];
  } else {
    for (const [key, inner] of entries) yield* fields(inner, `${pointer}/${escapeToken(key)}`);
  }
}

/** The entry of the nearest enclosing field. */
function placeOf(pointer: string, provenance: ResolvedProfile["provenance"]): string {
  for (let at = pointer; ; at = at.slice(0, at.lastIndexOf("/"))) {
    const found = provenance[at];
    if (found !== undefined) return formatPlace(found);
    if (at === "") return "default";
  }
}

/** One line per field. Arrays longer than a screen line are cut: --json has all of them. */
export function renderResolved({ spec, provenance, sources }: ResolvedProfile): string {
  const rows = [...fields(spec, "")].map(([pointer, text]) => {
    const shown = text.length > 100 ? `${text.slice(0, 97)}...` : text;
    return `${pointer} = ${shown}  (${placeOf(pointer, provenance)})`;
  });
  return [...sources.map(({ file, sha256 }) => `# ${file} sha256:${sha256}`), ...rows].join("\n");
}
