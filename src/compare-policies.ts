/**
 * Two policies, named: read for each kind of machine, then proved or compared, system calls by what their filters do and every other layer field by field.
 * Takes names and files; gives results, or every mistake in what was named. Needs neither root nor the machine it speaks of.
 */
import { SERVED } from "./compile/seccomp/abi.ts";
import type { Arch } from "./host/facts.ts";
import { meaningOf } from "./policy-input/meaning.ts";
import { type InputQuestion, type PolicyInput, readPolicy } from "./policy-input/read.ts";
import { type ComparableLayers, comparableLayers } from "./policy-input/stated-layers.ts";
import { bug, type Checked } from "./problems.ts";
import type { ProfileFiles } from "./profile/resolve.ts";
import { type CallDifference, differencesOf } from "./prove/difference.ts";
import { compareLayers, type Difference } from "./prove/layers.ts";
import { type Conclusion, Prover, type Unknown } from "./prove/prover.ts";

export interface Comparison extends Omit<InputQuestion, "name" | "arch"> {
  readonly first: string;
  readonly second: string;
  readonly machines: readonly Arch[];
}

/** Of the system calls that one kind of machine can make. */
export interface Compared<T> {
  readonly machine: Arch;
  readonly first: PolicyInput;
  readonly second: PolicyInput;
  readonly result: T;
}

export interface Comparisons<T> {
  readonly calls: readonly Compared<T>[];
  /** Of every other layer; null where one of the two has none: a filter, or a container engine's seccomp JSON. */
  readonly layers: readonly Difference[] | null;
  /** What of the other layers could not be compared, and is not a difference. */
  readonly notes: readonly Pick<PolicyInput, "name" | "notes">[];
}

export type Relation = "at-most" | "equal";

/** Whether the first permits no call that the second forbids, or both answer alike; and how the second differs elsewhere. */
export function provePolicies(
  comparison: Comparison,
  relation: Relation,
  files: ProfileFiles,
): Checked<Comparisons<Conclusion>> {
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
): Checked<Comparisons<readonly CallDifference[] | Unknown>> {
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
): Checked<Comparisons<T>> {
  const calls: Compared<T>[] = [];
  for (const machine of machines) {
    const sides = [first, second].map((name) => readPolicy({ ...circumstances, name, arch: machine }, files));
    const problems = sides.flatMap((side) => (side.ok ? [] : side.problems));
    const [one, other] = sides;
    if (one?.ok !== true || other?.ok !== true) return { ok: false, problems };
    const result = compare(machine, one.value, other.value);
    calls.push({ machine, first: one.value, second: other.value, result });
  }
  const [pair] = calls;
  if (pair === undefined) return bug("policies are compared for no machine");
  const sides = [pair.first, pair.second].map((input) => comparableLayers(input, circumstances.cwd));
  const [a, b] = sides;
  if (a?.ok !== true || b?.ok !== true)
    return { ok: false, problems: sides.flatMap((side) => (side.ok ? [] : side.problems)) };
  if (a.value === null || b.value === null) return { ok: true, value: { calls, layers: null, notes: [] } };
  const layers = [...compareLayers(a.value.spec, b.value.spec), ...differUnjudged(a.value, b.value)];
  const notes = [
    { name: first, notes: a.value.notes },
    { name: second, notes: b.value.notes },
  ];
  return { ok: true, value: { calls, layers, notes } };
}

/** What only one document says, and no layer of ours has a word for, may permit or forbid anything. */
function differUnjudged(first: ComparableLayers, second: ComparableLayers): readonly Difference[] {
  const only = (side: ComparableLayers, other: ComparableLayers) =>
    side.unjudged.filter(({ text }) => !other.unjudged.some((known) => known.text === text));
  return [
    ...only(first, second).map(({ pointer, text }) => ({
      pointer,
      from: "said",
      to: "not said",
      witness: text,
    })),
    ...only(second, first).map(({ pointer, text }) => ({
      pointer,
      from: "not said",
      to: "said",
      witness: text,
    })),
  ].map((difference) => ({ ...difference, direction: "undecided" }));
}
