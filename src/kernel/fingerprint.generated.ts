// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "0796bbb2ebc0610fbaa8f7310cb95a21d8bec2565eca250137dbf2cbb8d02f6c";
