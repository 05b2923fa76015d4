/** AppArmor: the payload's profile, set for its execve. */
import type { AppArmorFacts } from "../../host/facts.ts";
import type { Draft } from "../draft.ts";
import { lacksProc, setLabelOnExec } from "./label.ts";

/** False where the host has no AppArmor. Else the decision is made, and the steps are in place. */
export function confineByAppArmor(draft: Draft): boolean {
  const facts = draft.host.lsm.apparmor;
  if (facts === null) return false;
  const { apparmorProfile } = draft.spec.lsm;
  const lacking =
    lacksProc(draft) ??
    (apparmorProfile === null ? "AppArmor is active, and no profile of it is named" : null);
  if (lacking !== null || apparmorProfile === null) {
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
  enterProfile(draft, facts, apparmorProfile);
  return true;
}

/** Never loosens what holds the caller: a confined caller's profile stays, and the payload's is stacked on it. */
function enterProfile(draft: Draft, { label }: AppArmorFacts, profile: string): void {
  const stacked = label !== "unconfined";
  const decision = draft.decide({
    id: "lsm",
    control: "lsm",
    setting: `AppArmor profile ${profile}${stacked ? `, stacked on ${label}` : ""}`,
    pointer: "/lsm/apparmorProfile",
    status: "full",
    check: { kind: "label", expected: `${stacked ? `${label}//&` : ""}${profile} (enforce)` },
  });
  setLabelOnExec(draft, decision, "apparmor/exec", `${stacked ? "stack" : "exec"} ${profile}`);
}
