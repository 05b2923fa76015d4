/**
 * Mandatory access control: the payload under the major security module of the host, and the decision that says which. The
 * label is asked for in the payload and taken at its execve; init and the monitor keep the caller's.
 */
import type { Draft } from "../draft.ts";
import { confineByAppArmor } from "./apparmor.ts";
import { confineBySelinux } from "./selinux.ts";

export function confine(draft: Draft): void {
  const { type } = draft.spec.lsm;
  if (type === "none") {
    draft.decide({
      id: "lsm",
      control: "lsm",
      setting: "not asked for",
      pointer: "/lsm/type",
      status: "full",
    });
    return;
  }
  // A kernel labels processes by one of the two at most.
  const done =
    ((type === "any" || type === "apparmor") && confineByAppArmor(draft)) ||
    ((type === "any" || type === "selinux") && confineBySelinux(draft));
  if (done) return;
  draft.decide({
    id: "lsm",
    control: "lsm",
    setting: "no label",
    pointer: "/lsm/type",
    status: "none",
    reason: missing(draft),
  });
}

const NAMES = { apparmor: "AppArmor", selinux: "SELinux" } as const;

function missing({ spec, host }: Draft): string {
  const { type } = spec.lsm;
  if (type !== "apparmor" && type !== "selinux") return "this kernel enforces neither AppArmor nor SELinux";
  const other = type === "apparmor" ? "selinux" : "apparmor";
  const instead = host.lsm[other] === null ? "" : `, but ${NAMES[other]}`;
  return `this kernel does not enforce ${NAMES[type]}${instead}`;
}
