/**
 * Two policies, named: read for each kind of machine, then proved or compared. Takes names and files; gives one result per machine, or every mistake in
 * what was named. Needs neither root nor the machine it speaks of.
 */
import { SERVED } from "./compile/seccomp/abi.ts";
import type { Arch } from "./host/facts.ts";
import { meaningOf } from "./policy-input/meaning.ts";
import { type InputQuestion, type PolicyInput, readPolicy } from "./policy-input/read.ts";
import type { Checked } from "./problems.ts";
import type { ProfileFiles } from "./profile/resolve.ts";
import { type CallDifference, differencesOf } from "./prove/difference.ts";
import { type Conclusion, Prover, type Unknown } from "./prove/prover.ts";

export interface Comparison extends Omit<InputQuestion, "name" | "arch"> {
  readonly first: string;
  readonly second: string;
  readonly machines: readonly Arch[];
}

/** Of one kind of machine; only calls that such a machine can make are looked at. */
export interface Compared<T> {
  readonly machine: Arch;
  readonly first: PolicyInput;
  readonly second: PolicyInput;
  readonly result: T;
}

export type Relation = "at-most" | "equal";

/** Whether the first permits nothing that the second forbids, or both answer alike. */
export function provePolicies(
  comparison: Comparison,
  relation: Relation,
  files: ProfileFiles,
): Checked<readonly Compared<Conclusion>[]> {
  return forEachMachine(comparison, files, (machine, first, second) => {
    const prover = new Prover();
    const sides = [meaningOf(prover, first.filter), meaningOf(prover, second.filter)] as const;
    const among = prover.callsOn(machine);
    return relation === "at-most" ? prover.atMost(...sides, among) : prover.equal(...sides, among);
  });
}

/** What the second does otherwise than the first. */
export function comparePolicies(
  comparison: Comparison,
  files: ProfileFiles,
): Checked<readonly Compared<readonly CallDifference[] | Unknown>[]> {
  return forEachMachine(comparison, files, (machine, first, second) => {
    const prover = new Prover();
    return differencesOf(
      prover,
      meaningOf(prover, first.filter),
      meaningOf(prover, second.filter),
      SERVED[machine],
    );
  });
}

function forEachMachine<T>(
  { machines, first, second, ...circumstances }: Comparison,
  files: ProfileFiles,
  compare: (machine: Arch, first: PolicyInput, second: PolicyInput) => T,
): Checked<readonly Compared<T>[]> {
  const results: Compared<T>[] = [];
  for (const machine of machines) {
    const sides = [first, second].map((name) => readPolicy({ ...circumstances, name, arch: machine }, files));
    const problems = sides.flatMap((side) => (side.ok ? [] : side.problems));
    const [one, other] = sides;
    if (one?.ok !== true || other?.ok !== true) return { ok: false, problems };
    results.push({
      machine,
      first: one.value,
      second: other.value,
      result: compare(machine, one.value, other.value),
    });
  }
  return { ok: true, value: results };
}
