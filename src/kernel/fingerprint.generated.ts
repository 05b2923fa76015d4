// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "6198113a9abf95940b618423112d4459c926db663bde0722a331184e16a8e2de";
