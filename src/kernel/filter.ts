/**
 * The one way to a seccomp filter: from the cache, or compiled and proved now and kept. A hit loads neither koffi nor libseccomp
 * nor the system-call tables, so its key is made of what is known without them: the spec as written, the target, and the
 * fingerprint of the compiler's own sources.
 */
import { createHash } from "node:crypto";
import { decode } from "../compile/seccomp/decode.ts";
import type { FilterTarget } from "../compile/seccomp/target.ts";
import type { Checked } from "../problems.ts";
import type { SeccompSpec } from "../profile/spec.ts";
import type { FilterCertificate, Proof } from "../prove/certificate.ts";
import { type CachedFilter, cacheDirectory, readCache, writeCache } from "./filter-cache.ts";
import { FINGERPRINT } from "./fingerprint.generated.ts";

export interface CompiledFilter {
  /** struct sock_filter[], little-endian, as the kernel takes it. */
  readonly bytes: Uint8Array;
  /** Of the bytes, lower-case hex. */
  readonly sha256: string;
  readonly instructions: number;
  /** "libseccomp 2.5.4" or "sandbox". */
  readonly backend: string;
  /** What was left out or passed over, for the audit log. */
  readonly notes: readonly string[];
  /** SECCOMP_FILTER_FLAG_* for seccomp(2). */
  readonly flags: number;
  /** There is no filter without one: what is not proved is never returned. */
  readonly certificate: FilterCertificate;
  readonly cached: boolean;
}

export interface FilterOptions {
  /** Directory of the cache; null: none. Default: see `cacheDirectory`. */
  readonly cache?: string | null;
  /** Default: libseccomp where it is installed. "sandbox" uses our own emitter only. */
  readonly backend?: "libseccomp" | "sandbox";
}

/** A proved filter for a profile's `seccomp`, or every mistake in it. */
export async function compileFilter(
  spec: SeccompSpec,
  target: FilterTarget,
  options: FilterOptions = {},
): Promise<Checked<CompiledFilter>> {
  const directory = options.cache === undefined ? cacheDirectory() : options.cache;
  const backend = options.backend ?? "libseccomp";
  const key = cacheKey(spec, target, backend);
  const flags = filterFlags(spec);

  if (directory !== null) {
    const hit = readCache(directory, key);
    // The proof is as old as the entry, and speaks of these bytes alone.
    if (hit !== null && hit.certificate.filter === digest(hit.bytes) && decode(hit.bytes).ok)
      return { ok: true, value: { ...describe(hit, flags), cached: true } };
  }

  const { compileSeccomp, OWN_BACKEND } = await import("../compile/seccomp/compile.ts");
  const theirs = backend === "libseccomp" ? (await import("./libseccomp.ts")).libseccompBackend() : null;
  const backends = theirs === null ? [OWN_BACKEND] : [theirs, OWN_BACKEND];
  const compiled = compileSeccomp(spec, target, backends);
  if (!compiled.ok) return compiled;
  const { bytes, notes, backend: name, proof } = compiled.value;
  const made = { bytes, backend: name, notes, certificate: certify(bytes, proof) };
  if (directory !== null) writeCache(directory, key, made);
  return { ok: true, value: { ...describe(made, flags), cached: false } };
}

function digest(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

function certify(bytes: Uint8Array, proof: Proof): FilterCertificate {
  const content = {
    engine: proof.engine,
    filter: digest(bytes),
    rules: digest(proof.rules),
    meaning: digest(proof.meaning),
    instructions: proof.instructions,
    regions: proof.regions,
    replayed: proof.replayed,
  };
  return { ...content, digest: digest(JSON.stringify(content)) };
}

function describe(
  { bytes, backend, notes, certificate }: CachedFilter,
  flags: number,
): Omit<CompiledFilter, "cached"> {
  const { filter: sha256, instructions } = certificate;
  return { bytes, sha256, instructions, backend, notes, flags, certificate };
}

// linux/seccomp.h. TSYNC is left to the launcher, which has one thread; WAIT_KILLABLE_RECV concerns notifications only.
const FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
};

/** The flags of a spec that change what seccomp(2) does for one thread. */
export function filterFlags(spec: SeccompSpec): number {
  return (spec.flags ?? []).reduce((bits, flag) => bits | (FLAGS[flag] ?? 0), 0);
}

/** Changes whenever the filter might. Where values were written plays no part. */
function cacheKey(spec: SeccompSpec, target: FilterTarget, backend: string): string {
  const text = JSON.stringify(
    [
      FINGERPRINT,
      backend,
      target.arch,
      target.capabilities.toSorted(),
      target.kernel.major,
      target.kernel.minor,
      spec,
    ],
    (_, value: unknown) => (typeof value === "bigint" ? `0x${value.toString(16)}` : value),
  );
  return digest(text);
}
