// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "722e15da8a7d8af46ca874b5b16ff20e7c44308869e36646218057089cd885ce";
