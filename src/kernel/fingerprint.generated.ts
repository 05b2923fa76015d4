// Written by scripts/syscall-tables.mjs; do not edit.
/** Digest of the filter compiler's sources: part of the key of cached filters, so that no filter outlives the code that made it. */
export const FINGERPRINT = "1998f731157b387c39b268a227031de97baccd0105a399557ff63dfd082e6d47";
