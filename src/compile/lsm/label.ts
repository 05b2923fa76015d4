/** How a label is asked for, the same for both modules: a word in /proc/self/attr, which the kernel takes at the next execve. */

import { buffer, result } from "../../program/build.ts";
import { O_CLOEXEC, O_WRONLY } from "../../program/constants.ts";
import type { OnError, Operand } from "../../program/program.ts";
import type { Draft } from "../draft.ts";

/** A text known now, or one that an earlier step made in a buffer. */
export type Label = string | { readonly buffer: string; readonly length: Operand };

/**
 * Write `text` into a file of the payload's own /proc/self/attr: "exec" or "apparmor/exec". Only the task itself may (proc_pid_attr(5)). Through
 * the procfs that the launcher mounted itself, never through a path: a root of somebody else's could have put a plain file there (CVE-2019-16884).
 */
export function setLabelOnExec(
  draft: Draft,
  decision: string,
  file: string,
  text: Label,
  onError: OnError = "fail",
): void {
  const at = draft.phase("payload.label", decision);
  const target = typeof text === "string" ? text : `<${text.buffer}>`;
  const [address, length] =
    typeof text === "string"
      ? [draft.text(text), new TextEncoder().encode(text).length]
      : [buffer(text.buffer), text.length];
  at.call(
    "label.open",
    "the label at the next execve",
    "openat",
    [result("proc.mount"), draft.text(`thread-self/attr/${file}`), O_WRONLY | O_CLOEXEC, 0],
    { target, onError },
  );
  at.call("label.set", target, "write", [result("label.open"), address, length], { target, onError });
}

/** Why no label can be set, when the procfs that it goes through cannot be had; null: it can. */
export function lacksProc({ host }: Draft): string | null {
  return host.proc.available
    ? null
    : `it is set through a private /proc, which cannot be mounted: ${host.proc.reason}`;
}
