/**
 * A seccomp document as it reads against what container runtimes load of it: every place where they part, with a call that shows it. Takes a policy that was
 * read; gives findings in the order of the document. A deviation that changes no answer is none.
 */
import { SERVED } from "../compile/seccomp/abi.ts";
import type { Call, Verdict } from "../compile/seccomp/ir.ts";
import { locate } from "../compile/seccomp/target.ts";
import type { InputFilter } from "../policy-input/read.ts";
import type { Checked, Provenance } from "../problems.ts";
import { type Direction, differencesOf, overall } from "../prove/difference.ts";
import { Prover } from "../prove/prover.ts";
import { CASES, type Deviation, type DivergenceCase, deviations } from "./cases.ts";

export interface Divergence {
  readonly case: DivergenceCase;
  /** Who loads it otherwise. */
  readonly by: string;
  readonly about: string;
  readonly where: Provenance;
  /** Of what is loaded, seen from what is written; null where nothing of it is loaded. */
  readonly direction: Direction | null;
  /** Calls that are answered otherwise, by name or number; of an unknown name, that. */
  readonly calls: readonly string[];
  /** One of them, and both answers. */
  readonly witness: { readonly call: Call; readonly written: Verdict; readonly loaded: Verdict } | null;
  /** Why it could not be decided; null: it was. */
  readonly unknown: string | null;
}

/** Every divergence of rules; none for a program, which is loaded as it is. */
export function divergencesOf(filter: InputFilter): Checked<readonly Divergence[]> {
  if (filter.kind !== "rules") return { ok: true, value: [] };
  const { spec, target, policy } = filter;
  const found: Divergence[] = [];
  const prover = new Prover();
  const written = prover.rules(policy);
  const places = deviations(spec);
  for (const deviation of places.slice(0, MOST_PLACES)) {
    const common = {
      case: deviation.case,
      ...CASES[deviation.case],
      where: locate(target, deviation.pointer),
    };
    if (deviation.loaded === null) {
      // Nothing to compare: an unknown name says nothing to any kernel.
      found.push({ ...common, direction: null, calls: deviation.names, witness: null, unknown: null });
      continue;
    }
    const unsure = deviation.unsure?.(target) ?? null;
    if (unsure !== null) {
      found.push({ ...common, direction: null, calls: deviation.names, witness: null, unknown: unsure });
      continue;
    }
    const meant = deviation.loaded(target);
    if (!meant.ok) return meant;
    const loaded = prover.rules(meant.value);
    const differences = differencesOf(prover, written, loaded, SERVED[target.arch]);
    if ("kind" in differences) {
      found.push({ ...common, direction: null, calls: [], witness: null, unknown: differences.reason });
      continue;
    }
    const concerned = differences.filter((difference) => concerns(deviation, difference.name));
    const [change] = concerned[0]?.changes ?? [];
    if (change === undefined) continue;
    found.push({
      ...common,
      direction: overall(concerned.map(({ direction }) => direction)),
      calls: [...new Set(concerned.map(({ name, first }) => name ?? `0x${first.toString(16)}`))],
      witness: { call: change.example, written: change.from, loaded: change.to },
      unknown: null,
    });
  }
  const rest = places[MOST_PLACES];
  if (rest !== undefined) {
    const unknown = `${places.length - MOST_PLACES} more places of the document are not looked at`;
    const where = locate(target, rest.pointer);
    found.push({
      case: rest.case,
      ...CASES[rest.case],
      where,
      direction: null,
      calls: [],
      witness: null,
      unknown,
    });
  }
  return { ok: true, value: found };
}

/** Each place is compared with the whole document: this bounds what a hostile one costs. Real ones have a few dozen. */
const MOST_PLACES = 100;

const concerns = ({ names }: Deviation, name: string | null): boolean =>
  names.length === 0 || (name !== null && names.includes(name));
