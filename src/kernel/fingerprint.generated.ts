// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "abe5a47f430197115d91af1e8c5d5d1b621482f7a99a4bb194850919d071c823";
