/**
 * A profile in the words of another tool: one exporter per format, pure but for the digest. Takes a resolved profile, needs no host;
 * gives text to read, review and load, and a list of what the other tool has no words for.
 */
import { hash } from "node:crypto";
import { type AppArmorAbi, type PolicyRequest, writeAppArmor } from "./compile/lsm/apparmor-policy.ts";
import { writeSelinuxModule } from "./compile/lsm/selinux-cil.ts";
import { authorMounts } from "./compile/wanted-mounts.ts";
import type { Arch } from "./host/facts.ts";
import type { Checked } from "./problems.ts";
import { profileFiles } from "./profile/files.ts";
import { locate } from "./profile/provenance.ts";
import { type ProfileRequest, resolveProfile } from "./profile/resolve.ts";
import type { ResolvedProfile } from "./profile/spec.ts";
import { NotStated, stated } from "./profile/stated.ts";
import { toBubblewrap } from "./profile-export/bubblewrap.ts";
import { toDockerSeccomp } from "./profile-export/docker-seccomp.ts";
import type { Exported, ExportRequest } from "./profile-export/exported.ts";
import { toKubernetes } from "./profile-export/kubernetes.ts";
import { toOci } from "./profile-export/oci.ts";
import { toSystemd } from "./profile-export/systemd.ts";

interface Exporter {
  /** What it becomes, for help. */
  readonly about: string;
  /** `cwd`: the directory that the profile's `filesystem.workdir` shows. */
  readonly write: (request: ExportRequest) => Checked<Exported>;
}

/** Of a target that takes no other words than its own: what it cannot say is in its document. */
const whole = (text: string): Checked<Exported> => ({ ok: true, value: { text, left: [] } });

const sha256 = (text: string): string => hash("sha256", text, "hex");

/** By the name that `--to` takes. */
export const EXPORTERS = {
  apparmor: {
    about: "an AppArmor profile, in the language of apparmor_parser 3",
    write: ({ profile, cwd }) => whole(writeAppArmor(appArmorRequest(profile, cwd, "3.0")).text),
  },
  "apparmor-4": {
    about: "the same in the language of apparmor_parser 4, which also speaks of user namespaces and rings",
    write: ({ profile, cwd }) => whole(writeAppArmor(appArmorRequest(profile, cwd, "4.0")).text),
  },
  selinux: {
    about: "a module of SELinux policy (CIL)",
    write: ({ profile }) => whole(writeSelinuxModule(profile, sha256).text),
  },
  "docker-seccomp": {
    about: "a seccomp profile for Docker, Podman and containerd",
    write: toDockerSeccomp,
  },
  oci: { about: "the config.json of an OCI bundle, for runc and crun", write: toOci },
  kubernetes: { about: "a pod, and a SeccompProfile of the Security Profiles Operator", write: toKubernetes },
  systemd: { about: "a drop-in for a service", write: toSystemd },
  bubblewrap: { about: "a shell script that runs its arguments under bwrap", write: toBubblewrap },
} as const satisfies Readonly<Record<string, Exporter>>;

export type ExportFormat = keyof typeof EXPORTERS;

/** The text and what it leaves out, or what is wrong with the profile. `arch`: for formats that carry a filter of one kind of machine. */
export function exportProfile(
  request: ProfileRequest,
  format: ExportFormat,
  arch: Arch = "x86_64",
): Checked<Exported> {
  const resolved = resolveProfile(request, profileFiles());
  if (!resolved.ok) return resolved;
  const made = stated(() => EXPORTERS[format].write({ profile: resolved.value, cwd: request.cwd, arch }));
  if (!(made instanceof NotStated)) return made;
  const where = locate(resolved.value, made.pointer);
  const { pointer, message } = made;
  return { ok: false, problems: [{ kind: "filter-undecided", where, pointer, message }] };
}

/** As a run without a particular command has it. */
function appArmorRequest(profile: ResolvedProfile, cwd: string, abi: AppArmorAbi): PolicyRequest {
  return { profile, mounts: authorMounts(profile.spec, cwd), abi, digest: sha256 };
}
