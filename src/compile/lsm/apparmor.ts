/**
 * AppArmor: the payload's profile, set for its execve. Named by the author, or made from the sandbox profile and loaded under a name with
 * its digest before the launch. Never loosens what holds the caller: on a confined one the payload's profile is stacked.
 */
import type { AppArmorFacts } from "../../host/facts.ts";
import type { Status } from "../../profile/spec.ts";
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
  const held = policy === null ? holding(draft, name) : { mode: "enforce", weaker: null };
  const status: Status = held.weaker?.status ?? (lenient ? "partial" : "full");
  const decision = draft.decide({
    id: "lsm",
    control: "lsm",
    setting: `AppArmor profile ${name}${stacked ? `, stacked on ${label}` : ""}`,
    pointer: policy === null ? "/lsm/apparmorProfile" : "/lsm/type",
    status,
    reason: [
      ...(held.weaker === null ? [] : [held.weaker.reason]),
      ...(lenient
        ? [`stacking takes the permission change_profile${outer}`]
        : [loaded].filter((each) => each !== "")),
    ].join("; "),
    check: {
      kind: "label",
      // Profiles of a stack that are held in different ways are "mixed".
      expected: `${stacked ? `${label}//&` : ""}${name} (${stacked && held.mode !== "enforce" ? "mixed" : held.mode})`,
    },
  });
  setLabelOnExec(
    draft,
    decision,
    "apparmor/exec",
    `${stacked ? "stack" : "exec"} ${name}`,
    lenient ? "continue" : "fail",
  );
}

/** How a profile that the author named is held, and what that is short of. */
function holding(
  draft: Draft,
  name: string,
): { readonly mode: string; readonly weaker: { readonly status: Status; readonly reason: string } | null } {
  const mode = draft.request.apparmorMode;
  switch (mode) {
    case "enforce":
    case "kill":
      return { mode, weaker: null };
    case "complain":
    case "prompt":
      return {
        mode,
        weaker: { status: "none", reason: `${name} is in mode ${mode}: what it would refuse is let through` },
      };
    case "unconfined":
      return { mode, weaker: { status: "none", reason: `${name} confines nobody` } };
    case "absent":
      // A launcher may run where it is loaded, or later than now.
      if (draft.supervised)
        draft.problem({
          kind: "host-cannot",
          pointer: "/lsm/apparmorProfile",
          message: `no AppArmor profile ${name} is loaded on this host`,
          hint: "load it with apparmor_parser --replace; sudo aa-status shows what is loaded",
        });
      return { mode: "enforce", weaker: null };
    case null:
      return {
        mode: "enforce",
        weaker: {
          status: "partial",
          reason: `whether ${name} is enforced cannot be asked: it is in no list below /sys/kernel/security/apparmor that the caller sees`,
        },
      };
  }
}
