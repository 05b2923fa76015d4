/**
 * JSON for output. JSON has no 64-bit numbers: bigints are written as decimal text.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, inner: unknown) => (typeof inner === "bigint" ? inner.toString() : inner),
    2,
  );
}
