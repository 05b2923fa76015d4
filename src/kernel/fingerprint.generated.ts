// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "e1777d28c17c4497bb865c812e4cd415f83842f10c32421b205c36d8140cb251";
