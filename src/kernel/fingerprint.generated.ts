// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "f92ed28dd714485578f272e375f072ace39f719096ddbcdfd2d5fe64ba2d54d7";
