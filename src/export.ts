/**
 * A profile in the words of another tool: one exporter per format, pure but for the digest. Takes a resolved profile, needs no host;
 * gives text to read, review and load.
 */
import { hash } from "node:crypto";
import { type AppArmorAbi, type PolicyRequest, writeAppArmor } from "./compile/lsm/apparmor-policy.ts";
import { writeSelinuxModule } from "./compile/lsm/selinux-cil.ts";
import { authorMounts } from "./compile/wanted-mounts.ts";
import type { Checked } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { type ProfileRequest, resolveProfile } from "./profile/resolve.ts";
import type { ResolvedProfile } from "./profile/spec.ts";

interface Exporter {
  /** What it becomes, for help. */
  readonly about: string;
  /** `cwd`: the directory that the profile's `filesystem.workdir` shows. */
  readonly write: (profile: ResolvedProfile, cwd: string) => string;
}

const sha256 = (text: string): string => hash("sha256", text, "hex");

/** By the name that `--to` takes. */
export const EXPORTERS = {
  apparmor: {
    about: "an AppArmor profile, in the language of apparmor_parser 3",
    write: (profile, cwd) => writeAppArmor(appArmorRequest(profile, cwd, "3.0")).text,
  },
  "apparmor-4": {
    about: "the same in the language of apparmor_parser 4, which also speaks of user namespaces and rings",
    write: (profile, cwd) => writeAppArmor(appArmorRequest(profile, cwd, "4.0")).text,
  },
  selinux: {
    about: "a module of SELinux policy (CIL)",
    write: (profile) => writeSelinuxModule(profile, sha256).text,
  },
} as const satisfies Readonly<Record<string, Exporter>>;

export type ExportFormat = keyof typeof EXPORTERS;

/** The text, or what is wrong with the profile. */
export function exportProfile(request: ProfileRequest, format: ExportFormat): Checked<string> {
  const resolved = resolveProfile(request, profileFiles());
  return resolved.ok ? { ok: true, value: EXPORTERS[format].write(resolved.value, request.cwd) } : resolved;
}

/** As a run without a particular command has it. */
function appArmorRequest(profile: ResolvedProfile, cwd: string, abi: AppArmorAbi): PolicyRequest {
  return { profile, mounts: authorMounts(profile.spec, cwd), abi, digest: sha256 };
}
