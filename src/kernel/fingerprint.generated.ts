// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "641fd1029cf2df20cad64812e4ea1d46aea80484cedec34ec0d3e74d58d5e82b";
