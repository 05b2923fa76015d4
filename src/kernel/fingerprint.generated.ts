// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "9755e402f8984fa3248728dc3752eba3581a914d674288ce8dc6dbad2b3570ff";
