/**
 * The check that every filter passes before use, whoever emitted it: a proof that program and policy answer alike to every call there is, all
 * numbers, architectures and 64-bit arguments included. Takes bytes and a policy; trusts neither an emitter nor a library (libseccomp up to
 * 2.6.0 could merge 64-bit comparisons wrongly, GHSA-4q85-33p6-j5g6), nor the prover alone: of every region of calls that it tells
 * apart, the evaluator and the policy's judge are asked about some, one by one.
 *
 * What cannot be decided is refused like what is wrong.
 */
import type { Checked, Problem } from "../../problems.ts";
import { type Proof, rulesText } from "../../prove/certificate.ts";
import { formatWitness } from "../../prove/format-call.ts";
import { ENGINE, Prover, type Unknown } from "../../prove/prover.ts";
import { callsOf } from "../../prove/regions.ts";
import { decode } from "./decode.ts";
import type { FilterPolicy } from "./ir.ts";
import { type FilterTarget, locate } from "./target.ts";

/** Reported at most; one is enough to refuse the filter. */
const MAX_PROBLEMS = 8;

/** The proof that `bytes` do what the policy says, or where they do not. */
export function verify(bytes: Uint8Array, policy: FilterPolicy, target: FilterTarget): Checked<Proof> {
  const refuse = (...messages: readonly string[]): Checked<Proof> => ({
    ok: false,
    problems: messages.map(
      (message): Problem => ({
        kind: "seccomp-miscompiled",
        where: locate(target, "/seccomp"),
        pointer: "/seccomp",
        message,
      }),
    ),
  });

  const decoded = decode(bytes);
  if (!decoded.ok)
    return refuse(`instruction ${decoded.instruction} of the emitted filter: ${decoded.reason}`);
  const { bpf } = decoded;
  const prover = new Prover();
  const undecided = ({ reason }: Unknown) => refuse(`the emitted filter cannot be proved right: ${reason}`);
  const meant = prover.rules(policy);
  if ("kind" in meant) return undecided(meant);
  const emitted = prover.filter(bpf);
  if ("kind" in emitted) return undecided(emitted);
  const differences = prover.differences(meant, emitted, MAX_PROBLEMS);
  if ("kind" in differences) return undecided(differences);
  if (differences.length > 0)
    return refuse(...differences.map((witness) => formatWitness(witness, "the policy says", "the filter")));

  const regions = prover.regions(emitted);
  if ("kind" in regions) return undecided(regions);
  let replayed = 0;
  for (const region of regions) {
    for (const words of callsOf(region)) {
      replayed += 1;
      const first = meant.ask(words);
      const second = emitted.ask(words);
      if (first === region.answer && second === region.answer) continue;
      const witness = { call: words, first, second };
      return refuse(`a proof did not stand: ${formatWitness(witness, "the policy says", "the filter")}`);
    }
  }
  return {
    ok: true,
    value: {
      engine: ENGINE,
      instructions: bpf.length,
      regions: regions.length,
      replayed,
      meaning: prover.canonical(emitted),
      rules: rulesText(policy),
    },
  };
}
