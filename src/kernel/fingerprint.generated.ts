// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "e02a8fb9cad7205125bf9852b8de0c60e034edf4baabc49e762591dd47faf061";
