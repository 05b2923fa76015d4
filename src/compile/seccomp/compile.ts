/**
 * Seccomp spec -> proved filter, in the order of the stages: what is meant, the bytes, the proof. Pure: a backend that needs the
 * outside (libseccomp) is passed in. Backends are interchangeable because the proof decides: one that cannot express the policy
 * or gets it wrong is passed over with a note.
 */
import type { Checked, Problem } from "../../problems.ts";
import type { SeccompSpec } from "../../profile/spec.ts";
import type { Proof } from "../../prove/certificate.ts";
import { generate } from "./codegen.ts";
import type { FilterPolicy } from "./ir.ts";
import { normalise } from "./normalise.ts";
import { type FilterTarget, locate } from "./target.ts";
import { verify } from "./verify.ts";

/** Emits a policy, or says why not. */
export interface Backend {
  /** "libseccomp 2.5.4" */
  readonly name: string;
  emit(policy: FilterPolicy): Uint8Array | { readonly reason: string };
}

/** Our own emitter. */
export const OWN_BACKEND: Backend = {
  name: "sandbox",
  emit: (policy) => generate(policy) ?? { reason: "the filter needs more than 4096 instructions" },
};

export interface Compiled {
  /** struct sock_filter[], little-endian. */
  readonly bytes: Uint8Array;
  readonly backend: string;
  readonly notes: readonly string[];
  /** That the bytes do what the spec says. */
  readonly proof: Proof;
}

/**
 * The shortest of the backends' filters that is proved, or every reason why there is none. All of them do what the policy says:
 * that is what is proved; what a shorter one saves is the kernel's time, at every launch (it is translated and checked) and at
 * every call.
 */
export function compileSeccomp(
  spec: SeccompSpec,
  target: FilterTarget,
  backends: readonly Backend[] = [OWN_BACKEND],
): Checked<Compiled> {
  const meant = normalise(spec, target);
  if (!meant.ok) return meant;
  const { policy } = meant.value;
  const notes = [...meant.value.notes];
  const problems: Problem[] = [];
  const candidates: { readonly backend: Backend; readonly emitted: Uint8Array }[] = [];
  for (const backend of backends) {
    const emitted = backend.emit(policy);
    if (emitted instanceof Uint8Array) {
      candidates.push({ backend, emitted });
      continue;
    }
    notes.push(`${backend.name} was passed over: ${emitted.reason}`);
    problems.push({
      kind: "seccomp-rule",
      where: locate(target, "/seccomp"),
      pointer: "/seccomp",
      message: `${backend.name} cannot emit this filter: ${emitted.reason}`,
    });
  }
  for (const { backend, emitted } of candidates.toSorted((a, b) => a.emitted.length - b.emitted.length)) {
    const proved = verify(emitted, policy, target);
    if (proved.ok)
      return { ok: true, value: { bytes: emitted, backend: backend.name, notes, proof: proved.value } };
    problems.push(...proved.problems);
    notes.push(`${backend.name} got the policy wrong and was passed over: ${proved.problems[0]?.message}`);
  }
  return { ok: false, problems };
}
