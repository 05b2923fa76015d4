/**
 * Names of a profile's SELinux module, and the labels that are made of them: what the loaded policy is asked about. Pure, and
 * little: a run from the cache needs it too.
 */
import type { SelinuxFacts } from "../../host/facts.ts";
import type { Spec } from "../../profile/spec.ts";

/** Inside of the module's block: what runs, what the sandbox shows, what the payload may write. */
export const PAYLOAD = "payload";
export const CONTENT = "content";
export const SCRATCH = "scratch";

/** "sandbox_minimal-image": what CIL takes as a name (letters, digits, "_" and "-"), of any profile's, whatever file it is named after. */
export function moduleName(profile: string): string {
  return `sandbox_${profile.replaceAll(/[^\w-]/g, "_").slice(0, 64)}`;
}

/** Another name of `payload` that no other rules have: it tells a loaded module of this profile from one of an older version. */
export function versionName(digest: string): string {
  return `rules_${digest.slice(0, 16)}`;
}

/** The whole of a label but its level: "user:role:type", and the level's sensitivity, "" without levels. */
export interface Subject {
  readonly user: string;
  readonly role: string;
  readonly sensitivity: string;
}

/** The caller's own: the payload keeps user and role, so that nothing is asked of a policy but a change of type. */
export function subjectOf({ label, mls }: SelinuxFacts): Subject {
  const [user = "", role = "", , low = "s0"] = label.split(":");
  return { user, role, sensitivity: mls ? (low.split("-")[0] ?? low) : "" };
}

/** Every category that a run can have: where all are valid together, each three of them are. The highest alone would say nothing of the lowest. */
const ALL = "c0.c767";

export function withLevel(label: string, level: string): string {
  return level === "" ? label : `${label}:${level}`;
}

/** Labels of the profile's own module, as a policy is asked about them. */
export function ownLabels(spec: Pick<Spec, "name">, facts: SelinuxFacts, digest: string) {
  const { user, role, sensitivity } = subjectOf(facts);
  const block = moduleName(spec.name);
  const probe = (type: string, categories: boolean): string =>
    withLevel(
      `${user}:${role}:${block}.${type}`,
      sensitivity === "" || !categories ? sensitivity : `${sensitivity}:${ALL}`,
    );
  return {
    payload: probe(PAYLOAD, false),
    version: probe(versionName(digest), false),
    apart: probe(PAYLOAD, true),
  };
}

/** Every label that the compiler will ask about. `digest` is that of the module's rules. */
export function labelsAsked(
  spec: Pick<Spec, "name" | "lsm">,
  facts: SelinuxFacts,
  digest: string,
): readonly string[] {
  const { selinuxLabel, mountLabel } = spec.lsm;
  const named = [selinuxLabel, mountLabel].filter((label) => label !== null);
  return selinuxLabel === null ? [...named, ...Object.values(ownLabels(spec, facts, digest))] : named;
}

/** The label whose domain is asked about: the payload's, whatever its categories will be. */
export function domainAsked(spec: Pick<Spec, "name" | "lsm">, facts: SelinuxFacts, digest: string): string {
  return spec.lsm.selinuxLabel ?? ownLabels(spec, facts, digest).payload;
}

/** Whether SELinux is active here and this profile would take it, under labels of its own module. */
export function takesSelinuxModule(
  { lsm }: Pick<Spec, "lsm">,
  facts: SelinuxFacts | null,
): facts is SelinuxFacts {
  return facts !== null && (lsm.type === "any" || lsm.type === "selinux");
}
