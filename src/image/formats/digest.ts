/**
 * Digests: `sha256:...` as OCI writes them. What is read is compared with what was promised, while it is read; nothing that does not
 * match is used.
 */
import { createHash, hash, timingSafeEqual } from "node:crypto";
import { malformed, Refusal, unsupported } from "../refusal.ts";

export interface Digest {
  readonly algorithm: "sha256" | "sha512";
  readonly hex: string;
}

const LENGTHS = { sha256: 64, sha512: 128 } as const;

export function parseDigest(text: string): Digest {
  const [algorithm = "", hex = ""] = text.split(":");
  if (algorithm !== "sha256" && algorithm !== "sha512")
    throw unsupported(
      `the digest ${text.slice(0, 40)} is of no algorithm that is known`,
      "images use sha256",
    );
  if (!/^[0-9a-f]+$/.test(hex) || hex.length !== LENGTHS[algorithm] || text !== `${algorithm}:${hex}`)
    throw malformed(`${text.slice(0, 80)} is not a digest`);
  return { algorithm, hex };
}

export const formatDigest = ({ algorithm, hex }: Digest): string => `${algorithm}:${hex}`;

/** Where a layout has the content of that digest. */
export const blobName = ({ algorithm, hex }: Digest): string => `blobs/${algorithm}/${hex}`;

export function verifyBytes(bytes: Buffer, digest: Digest, what: string): void {
  if (hash(digest.algorithm, bytes) !== digest.hex) throw mismatch(what, formatDigest(digest));
}

export function mismatch(what: string, promised: string): Refusal {
  return new Refusal(
    "image-digest",
    `${what} does not have the digest ${promised}`,
    "it was changed or damaged after it was made: get it again from where it comes from",
  );
}

/** Passes bytes on, and at their end throws unless they are what was promised. */
export async function* verified(
  chunks: AsyncIterable<Buffer>,
  digest: Digest,
  size: number | null,
  what: string,
): AsyncGenerator<Buffer> {
  const state = createHash(digest.algorithm);
  let length = 0;
  for await (const chunk of chunks) {
    state.update(chunk);
    length += chunk.length;
    if (size !== null && length > size) break;
    yield chunk;
  }
  const found = state.digest();
  if ((size !== null && length !== size) || !timingSafeEqual(found, Buffer.from(digest.hex, "hex")))
    throw mismatch(what, formatDigest(digest));
}
