// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "9d2aa689ca319f0389e43090a248393a6950a0fd6f791c816595a633e71eee10";
