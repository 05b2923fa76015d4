/**
 * JSON for output. JSON has no 64-bit numbers: bigints are written as decimal text. In a log of a CI system no name in it is a command
 * (printable.ts): the same text is written otherwise, with an escape of JSON.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, inner: unknown) => (typeof inner === "bigint" ? inner.toString() : inner),
    2,
  ).replaceAll("##", "#\\u0023");
}
