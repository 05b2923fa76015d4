// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "dc198a8c5b43ac687b01a300ff65c3578ef30984fecf6bff580d935afc519c30";
