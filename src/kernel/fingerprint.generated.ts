// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "8690eb85481a0df9ae5098b300766a231847a34104b1bc9e56af12d4bd5b8442";
