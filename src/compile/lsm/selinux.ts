/**
 * SELinux: the payload's label, set for its execve, and what is said about it. The labels of what is mounted are set where it is made.
 *
 * A policy is changed by whoever runs the host, not by a run: where the profile's module is not loaded there is no label, and
 * the decision says which commands would change that.
 */
import type { SelinuxFacts } from "../../host/facts.ts";
import type { Status } from "../../profile/spec.ts";
import type { Draft } from "../draft.ts";
import { type Label, lacksProc, setLabelOnExec } from "./label.ts";
import { type ModuleState, moduleState, payloadLabel } from "./selinux-labels.ts";
import { moduleName, subjectOf } from "./selinux-names.ts";

/** False where the host has no SELinux. Else the decision is made, and the steps are in place. */
export function confineBySelinux(draft: Draft): boolean {
  const facts = draft.host.lsm.selinux;
  if (facts === null) return false;
  const { selinuxLabel, mountLabel } = draft.spec.lsm;
  refuseUnknown(draft, "/lsm/selinuxLabel", selinuxLabel);
  refuseUnknown(draft, "/lsm/mountLabel", mountLabel);
  const lacking = lacksProc(draft);
  if (lacking !== null) decideNone(draft, lacking);
  else if (selinuxLabel === null) enterModule(draft, facts);
  else {
    const weaker =
      mountLabel === null ? ["what the sandbox mounts has the host's labels: lsm.mountLabel is not set"] : [];
    enter(draft, facts, selinuxLabel, selinuxLabel, "/lsm/selinuxLabel", weaker);
  }
  return true;
}

function refuseUnknown(draft: Draft, pointer: string, label: string | null): void {
  if (label === null || draft.request.selinux?.known[label] !== false) return;
  draft.problem({
    kind: "host-cannot",
    pointer,
    message: `the loaded SELinux policy does not know the label ${label}`,
    hint: "load the module that defines its type, and see that its user may have its role and level (seinfo -x -u)",
  });
}

function decideNone(draft: Draft, reason: string): void {
  draft.decide({
    id: "lsm",
    control: "lsm",
    setting: "no SELinux label",
    pointer: "/lsm/type",
    status: "none",
    reason,
  });
}

/** Words for the commands that load the module of a profile. */
export function howToLoad(profile: string): string {
  const file = `${moduleName(profile)}.cil`;
  return `sandbox profile export ${profile} --to selinux > ${file}, then sudo semodule -i ${file}`;
}

function enterModule(draft: Draft, facts: SelinuxFacts): void {
  const { name } = draft.spec;
  const state = moduleState(draft);
  if (state.loaded === "none" || state.loaded === "unknown") {
    decideNone(
      draft,
      state.loaded === "none"
        ? `the SELinux module of this profile is not loaded: ${howToLoad(name)}`
        : "whether its SELinux module is loaded cannot be asked: /sys/fs/selinux/context is not open to the caller",
    );
    return;
  }
  const weaker = [
    ...(state.loaded === "others"
      ? [`the loaded module ${moduleName(name)} has other rules than this profile now: ${howToLoad(name)}`]
      : []),
    ...notApart(facts, state),
  ];
  const label = payloadLabel(draft, state);
  const shown =
    typeof label === "string" ? label : `${moduleName(name)}.payload, with three categories of its own`;
  enter(draft, facts, label, shown, "/lsm/type", weaker);
}

/** Why sandboxes that run at the same time may have equal categories; []: they cannot. */
function notApart(facts: SelinuxFacts, { apart }: ModuleState): readonly string[] {
  if (!apart)
    return [
      facts.mls
        ? `the caller's SELinux user has not all of the categories c0 to c767, so the label does not keep sandboxes apart (semanage user -m -r s0-s0:c0.c1023 ${subjectOf(facts).user} gives them)`
        : "the loaded policy has no categories, so the label does not keep sandboxes apart",
    ];
  if (!facts.initialPidNamespace)
    return [
      "categories come from pids, and this is not the first pid namespace: a sandbox of another one may have the same",
    ];
  return [];
}

/** Why a label refuses nothing, whatever else is in order; null: it holds. */
function holdsNothing(facts: SelinuxFacts, label: Label, permissive: boolean | null): string | null {
  if (facts.mode === "permissive") return "SELinux is permissive: it logs what it would refuse";
  if (permissive === true)
    return "the loaded policy has made this domain permissive: it logs what it would refuse (semanage permissive -l lists such domains)";
  const typeOf = (text: string): string | undefined => text.split(":")[2];
  return typeof label === "string" && typeOf(label) === typeOf(facts.label)
    ? "it is of the caller's own type: the payload is held as the caller is, and no more"
    : null;
}

function enter(
  draft: Draft,
  facts: SelinuxFacts,
  label: Label,
  shown: string,
  pointer: string,
  weaker: readonly string[],
): void {
  const permissive = draft.request.selinux?.permissive ?? null;
  const idle = holdsNothing(facts, label, permissive);
  const reasons = [
    ...(idle === null ? [] : [idle]),
    ...(permissive === null
      ? ["whether its domain is permissive cannot be asked: /sys/fs/selinux/access is not open to the caller"]
      : []),
    ...weaker,
  ];
  const status: Status = idle !== null ? "none" : reasons.length === 0 ? "full" : "partial";
  const decision = draft.decide({
    id: "lsm",
    control: "lsm",
    setting: `SELinux label ${shown}`,
    pointer,
    status,
    reason: reasons.join("; "),
    check: {
      kind: "label",
      expected: shown,
      ...(typeof label === "string" ? {} : { from: label.buffer }),
    },
  });
  setLabelOnExec(draft, decision, "exec", label);
}
