// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "b220141795ab9aed2c90c7b4f149e0558e86c63fbdd8eefa4669f577759d95ef";
