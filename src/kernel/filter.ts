/**
 * The one way to a seccomp filter: from the cache, or compiled and verified now and kept. A hit loads neither koffi nor libseccomp
 * nor the system-call tables, so its key is made of what is known without them: the spec as written, the target, and the
 * fingerprint of the compiler's own sources.
 */
import { createHash } from "node:crypto";
import { decode } from "../compile/seccomp/decode.ts";
import type { FilterTarget } from "../compile/seccomp/target.ts";
import type { Checked } from "../problems.ts";
import type { SeccompSpec } from "../profile/spec.ts";
import { cacheDirectory, readCache, writeCache } from "./filter-cache.ts";
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
  /** There is no other kind: what fails the check is never returned. */
  readonly verified: true;
  readonly cached: boolean;
}

export interface FilterOptions {
  /** Directory of the cache; null: none. Default: see `cacheDirectory`. */
  readonly cache?: string | null;
  /** Default: libseccomp where it is installed. "sandbox" uses our own emitter only. */
  readonly backend?: "libseccomp" | "sandbox";
}

/** A verified filter for a profile's `seccomp`, or every mistake in it. */
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
    if (hit !== null && decode(hit.bytes).ok)
      return { ok: true, value: describe(hit.bytes, hit.backend, hit.notes, flags, true) };
  }

  const { compileSeccomp, OWN_BACKEND } = await import("../compile/seccomp/compile.ts");
  const theirs = backend === "libseccomp" ? (await import("./libseccomp.ts")).libseccompBackend() : null;
  const backends = theirs === null ? [OWN_BACKEND] : [theirs, OWN_BACKEND];
  const compiled = compileSeccomp(spec, target, backends);
  if (!compiled.ok) return compiled;
  const { bytes, notes, backend: name } = compiled.value;
  if (directory !== null) writeCache(directory, key, { bytes, backend: name, notes });
  return { ok: true, value: describe(bytes, name, notes, flags, false) };
}

function describe(
  bytes: Uint8Array,
  backend: string,
  notes: readonly string[],
  flags: number,
  cached: boolean,
): CompiledFilter {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { bytes, sha256, instructions: bytes.length / 8, backend, notes, flags, verified: true, cached };
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
  return createHash("sha256").update(text).digest("hex");
}
