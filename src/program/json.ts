/** Canonical JSON of plans and programs: bigints as decimal strings, keys in the order of construction. Equal plans give equal text. */
export function toCanonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "bigint" ? `${member}` : member,
  );
}
