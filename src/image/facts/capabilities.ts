/** File capabilities (xattr security.capability, capabilities(7) "File capabilities"; linux/capability.h vfs_ns_cap_data) → names. */
import { CAPABILITIES } from "../../profile/capability-names.ts";

export interface FileCapabilities {
  readonly permitted: readonly string[];
  readonly inheritable: readonly string[];
  /** Raised when the file is executed, without the program asking. */
  readonly effective: boolean;
  /** Of the user namespace in which they count; null for version 2, which counts in the first one. */
  readonly rootId: number | null;
}

const EFFECTIVE = 1;

/** Null for bytes that the kernel would not take. */
export function decodeCapabilities(bytes: Buffer): FileCapabilities | null {
  if (bytes.length < 4) return null;
  const magic = bytes.readUInt32LE(0);
  const version = magic >>> 24;
  const words = version === 1 ? 1 : version === 2 || version === 3 ? 2 : 0;
  if (words === 0 || bytes.length !== 4 + words * 8 + (version === 3 ? 4 : 0)) return null;
  const set = (at: number): readonly string[] => {
    let bits = 0n;
    for (let word = 0; word < words; word++)
      bits |= BigInt(bytes.readUInt32LE(4 + word * 8 + at)) << BigInt(32 * word);
    return names(bits);
  };
  return {
    permitted: set(0),
    inheritable: set(4),
    effective: (magic & EFFECTIVE) !== 0,
    rootId: version === 3 ? bytes.readUInt32LE(20) : null,
  };
}

function names(bits: bigint): readonly string[] {
  const found: string[] = [];
  for (let number = 0; number < 64; number++)
    if ((bits >> BigInt(number)) & 1n) found.push(CAPABILITIES[number] ?? `CAP_${number}`);
  return found;
}
