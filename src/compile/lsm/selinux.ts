/** SELinux: the payload's label, set for its execve, and the label of the file systems that are made for it. */
import type { Draft } from "../draft.ts";
import { lacksProc, setLabelOnExec } from "./label.ts";

/** False where the host has no SELinux. Else the decision is made, and the steps are in place. */
export function confineBySelinux(draft: Draft): boolean {
  const facts = draft.host.lsm.selinux;
  if (facts === null) return false;
  const { selinuxLabel } = draft.spec.lsm;
  const lacking =
    lacksProc(draft) ?? (selinuxLabel === null ? "SELinux is active, and no label of it is named" : null);
  if (lacking !== null || selinuxLabel === null) {
    draft.decide({
      id: "lsm",
      control: "lsm",
      setting: "no SELinux label",
      pointer: "/lsm/type",
      status: "none",
      reason: lacking ?? "",
    });
    return true;
  }
  const enforcing = facts.mode === "enforcing";
  const decision = draft.decide({
    id: "lsm",
    control: "lsm",
    setting: `SELinux label ${selinuxLabel}`,
    pointer: "/lsm/selinuxLabel",
    status: enforcing ? "full" : "partial",
    reason: enforcing ? "" : "SELinux is permissive: it logs what it would refuse",
    check: { kind: "label", expected: selinuxLabel },
  });
  setLabelOnExec(draft, decision, "exec", selinuxLabel);
  return true;
}
