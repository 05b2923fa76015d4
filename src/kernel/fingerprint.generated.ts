// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "4206fd9d7fb408b34541790a3dc82351f062aa6dd4f51fbfd4b04c0756105d85";
