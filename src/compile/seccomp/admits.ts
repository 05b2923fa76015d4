/**
 * What a profile's system-call rules let through, for other layers that speak of the same things in their own words. Pure.
 *
 * Asked of the rules as written, on x86-64 and a kernel newer than any: a rule for other machines cannot make the answer of one
 * machine stricter than that of another.
 */
import type { ResolvedProfile } from "../../profile/spec.ts";
import { AUDIT_ARCH } from "./abi.ts";
import { call, judge, RET } from "./ir.ts";
import { normalise } from "./normalise.ts";
import { syscallTable } from "./tables.ts";

/** Whether a call with these arguments (zeros after them) is let through, logged or not. */
export type Admits = (name: string, ...args: readonly (number | bigint)[]) => boolean;

/** Without a filter everything is let through. Rules with mistakes in them let nothing through: they are reported elsewhere. */
export function admittedBy({ spec }: Pick<ResolvedProfile, "spec">): Admits {
  if (spec.seccomp === null) return () => true;
  const { bounding } = spec.capabilities;
  const meant = normalise(spec.seccomp, {
    arch: "x86_64",
    capabilities: bounding,
    kernel: { major: 99, minor: 0 },
  });
  if (!meant.ok) return () => false;
  const { policy } = meant.value;
  const { numbers } = syscallTable("x86_64");
  return (name, ...args) => {
    const number = numbers.get(name);
    if (number === undefined) return false;
    const verdict = judge(policy, call(AUDIT_ARCH.x86_64, number, args.map(BigInt)));
    return verdict === RET.allow || verdict === RET.log;
  };
}
