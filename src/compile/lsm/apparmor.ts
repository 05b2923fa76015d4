/**
 * AppArmor: the payload's profile, set for its execve. Named by the author, or made from the sandbox profile and loaded under a name with
 * its digest before the launch. Never loosens what holds the caller: on a confined one the payload's profile is stacked.
 */
import type { AppArmorFacts } from "../../host/facts.ts";
import type { Draft } from "../draft.ts";
import { type AppArmorPolicy, writeAppArmor } from "./apparmor-policy.ts";
import { lacksProc, setLabelOnExec } from "./label.ts";

/** False where the host has no AppArmor. Else the decision is made, and the steps are in place. */
export function confineByAppArmor(draft: Draft): boolean {
  const facts = draft.host.lsm.apparmor;
  if (facts === null) return false;
  const { apparmorProfile } = draft.spec.lsm;
  const lacking = lacksProc(draft) ?? (apparmorProfile === null ? lacksLoading(draft, facts) : null);
  const policy =
    lacking !== null || apparmorProfile !== null
      ? null
      : writeAppArmor({
          profile: draft.profile,
          mounts: draft.mounts,
          abi: facts.abi ?? "3.0",
          digest: draft.target.digest,
        });
  const name = apparmorProfile ?? policy?.name ?? null;
  if (lacking !== null || name === null) {
    draft.decide({
      id: "lsm",
      control: "lsm",
      setting: "no AppArmor profile",
      pointer: "/lsm/type",
      status: "none",
      reason: lacking ?? "",
    });
    return true;
  }
  if (draft.supervised) draft.apparmor = policy;
  enterProfile(draft, facts, name, policy);
  return true;
}

/** Why the profile that would be made cannot be used here; null: it can. */
function lacksLoading(draft: Draft, { load }: AppArmorFacts): string | null {
  if (draft.supervised)
    return load.available ? null : `${load.reason}; lsm.apparmorProfile takes one that is loaded already`;
  // Wherever it runs later: asked for by name, it may count on somebody having loaded it there.
  if (draft.spec.lsm.type === "apparmor") return null;
  return 'a launcher without a supervisor loads no AppArmor profile; with lsm.type "apparmor" it takes one that is loaded already';
}

function enterProfile(
  draft: Draft,
  { label, confined: stacked }: AppArmorFacts,
  name: string,
  policy: AppArmorPolicy | null,
): void {
  // The outer profile must allow it (change_profile), which cannot be asked beforehand. It holds the payload in any case.
  const lenient = stacked && draft.spec.require.lsm !== "full";
  const outer = `; where ${label} does not allow that, it alone holds the payload`;
  const loaded =
    policy !== null && !draft.supervised
      ? "must be loaded before the launcher runs: see sandbox profile export"
      : "";
  const decision = draft.decide({
    id: "lsm",
    control: "lsm",
    setting: `AppArmor profile ${name}${stacked ? `, stacked on ${label}` : ""}`,
    pointer: policy === null ? "/lsm/apparmorProfile" : "/lsm/type",
    status: lenient ? "partial" : "full",
    reason: lenient ? `stacking takes the permission change_profile${outer}` : loaded,
    check: { kind: "label", expected: `${stacked ? `${label}//&` : ""}${name} (enforce)` },
  });
  setLabelOnExec(
    draft,
    decision,
    "apparmor/exec",
    `${stacked ? "stack" : "exec"} ${name}`,
    lenient ? "continue" : "fail",
  );
}
