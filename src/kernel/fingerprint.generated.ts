// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "1f8d629b15b39c7ca9d9268fb87821bbb709d002a68a6d1900a5d40b73950a64";
