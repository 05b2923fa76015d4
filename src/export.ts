/**
 * A profile in the words of another tool: one exporter per format, pure but for the digest. Takes a resolved profile, needs no host;
 * gives text to read, review and load.
 */
import { hash } from "node:crypto";
import { writeSelinuxModule } from "./compile/lsm/selinux-cil.ts";
import type { Checked } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { type ProfileRequest, resolveProfile } from "./profile/resolve.ts";
import type { ResolvedProfile } from "./profile/spec.ts";

interface Exporter {
  /** What it becomes, for help. */
  readonly about: string;
  readonly write: (profile: ResolvedProfile) => string;
}

const sha256 = (text: string): string => hash("sha256", text, "hex");

/** By the name that `--to` takes. */
export const EXPORTERS = {
  selinux: {
    about: "a module of SELinux policy (CIL)",
    write: (profile) => writeSelinuxModule(profile, sha256).text,
  },
} as const satisfies Readonly<Record<string, Exporter>>;

export type ExportFormat = keyof typeof EXPORTERS;

/** The text, or what is wrong with the profile. */
export function exportProfile(request: ProfileRequest, format: ExportFormat): Checked<string> {
  const resolved = resolveProfile(request, profileFiles());
  return resolved.ok ? { ok: true, value: EXPORTERS[format].write(resolved.value) } : resolved;
}
