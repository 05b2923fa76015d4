/**
 * What a filter makes of the calls that one kernel has and another has not. A filter judges numbers, also those that nobody had given out when it was
 * written: a list of what is forbidden lets the next kernel's calls through, a list of what is allowed answers them as it answers everything else. Takes a
 * meaning and two tables; gives every number whose call differs, with a call that shows what happens to it. Pure.
 */
import { type Abi, AUDIT_ARCH } from "../compile/seccomp/abi.ts";
import { type Call, ENOSYS, errno, type Verdict, WORD } from "../compile/seccomp/ir.ts";
import { exampleOf } from "../prove/call-bits.ts";
import { type Alternatives, describeCondition } from "../prove/conditions.ts";
import { attempt, type Meaning, type Prover, permission, type Unknown } from "../prove/prover.ts";

/**
 * Of a call that the other kernel has: `exposed`, it gets through with some arguments; `broken`, it is refused with an answer that says other than "there is no
 * such call", so that what tries it does not fall back; `hidden`, it does not exist, as before.
 */
export type Fate = "exposed" | "broken" | "hidden";

export interface NewCall {
  readonly name: string;
  readonly nr: number;
  /** What the number was before; null: nothing. */
  readonly was: string | null;
  readonly fate: Fate;
  /** A rule speaks of it by name or group: somebody has thought of it. */
  readonly named: boolean;
  /** With which arguments it gets through; of one that does not, "always" it is refused. */
  readonly when: Alternatives;
  /** One such call, and the answer to it. */
  readonly example: Call;
  readonly verdict: Verdict;
}

export interface NewCalls {
  readonly abi: Abi;
  /** In the order of their numbers. */
  readonly calls: readonly NewCall[];
  /** Calls that the other kernel has no longer. */
  readonly gone: readonly string[];
}

type Numbers = ReadonlyMap<string, number>;

/** Every number whose call is another one, or one at all, in the second table. */
export function newCallsOf(
  prover: Prover,
  meaning: Meaning | Unknown,
  abi: Abi,
  { from, to, named }: { readonly from: Numbers; readonly to: Numbers; readonly named: ReadonlySet<string> },
): NewCalls | Unknown {
  if ("kind" in meaning) return meaning;
  const before = new Map([...from].map(([name, nr]) => [nr, name]));
  const after = new Set(to.values());
  const added = [...to].filter(([name, nr]) => before.get(nr) !== name).toSorted((a, b) => a[1] - b[1]);
  return attempt(() => ({
    abi,
    calls: added.map(([name, nr]) => ({
      name,
      nr,
      was: before.get(nr) ?? null,
      named: named.has(name),
      ...fateOf(prover, meaning, abi, nr),
    })),
    gone: [...from].flatMap(([name, nr]) => (after.has(nr) ? [] : [name])),
  }));
}

function fateOf(prover: Prover, meaning: Meaning, abi: Abi, nr: number) {
  const d = prover.diagrams;
  const rest = prover.ofCall(meaning, abi, nr);
  const fates: readonly (readonly [Fate, (verdict: Verdict) => boolean])[] = [
    // What a supervisor or tracer may let through is not closed.
    ["exposed", (verdict) => permission(verdict) > 0],
    ["broken", (verdict) => permission(verdict) === 0 && verdict !== errno(ENOSYS)],
  ];
  const [fate, is] = fates.find(([, each]) => exampleOf(d, d.where(rest, rest, each)) !== null) ?? [
    "hidden" as const,
    (): boolean => true,
  ];
  const where = d.where(rest, rest, is);
  const example = exampleOf(d, where) as Call;
  example[WORD.arch] = AUDIT_ARCH[abi];
  example[WORD.nr] = nr;
  return { fate, when: describeCondition(d, where), example, verdict: meaning.ask(example) };
}
