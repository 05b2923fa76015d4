// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "c12f5773341c6ca28c2b078b2d117377d37434a561a8a3b576f3b916a1294206";
