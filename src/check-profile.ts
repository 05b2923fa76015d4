/**
 * Checking a profile without a host to run it on: resolved, and its system calls and groups looked up. What only a host can say is left to
 * `plan` and `doctor`.
 */
import { normalise } from "./compile/seccomp/normalise.ts";
import { NEWEST_KERNEL } from "./compile/seccomp/target.ts";
import type { Checked } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { locate } from "./profile/provenance.ts";
import { type ProfileRequest, resolveProfile } from "./profile/resolve.ts";
import type { ResolvedProfile } from "./profile/spec.ts";

/** Every problem of a profile, for both architectures that launchers are made for. */
export function checkProfile(request: ProfileRequest): Checked<ResolvedProfile> {
  const resolved = resolveProfile(request, profileFiles());
  if (!resolved.ok || resolved.value.spec.seccomp === null) return resolved;
  const { seccomp, capabilities } = resolved.value.spec;
  for (const arch of ["x86_64", "aarch64"] as const) {
    const policy = normalise(seccomp, {
      arch,
      capabilities: capabilities.bounding,
      kernel: NEWEST_KERNEL,
      locate: (pointer) => locate(resolved.value, pointer),
    });
    if (!policy.ok) return policy;
  }
  return resolved;
}
