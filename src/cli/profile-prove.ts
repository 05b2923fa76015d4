/**
 * sandbox profile prove: a statement about every system call, with a proof or a counter-example.
 */
import { Command } from "commander";
import type { Compared, Relation } from "../compare-policies.ts";
import { unwrap } from "../problems.ts";
import type { Difference } from "../prove/layers.ts";
import type { Conclusion } from "../prove/prover.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import {
  ANY_POLICY,
  addCircumstances,
  decide,
  eachMachine,
  machinesOf,
  readCircumstances,
  sayNotes,
  UNDECIDED,
} from "./policy-options.ts";
import { flagProblem, refuse } from "./sandbox-options.ts";

interface Flags {
  readonly atMost?: string;
  readonly equal?: string;
  readonly calls?: true;
  readonly arch?: string;
  readonly json?: true;
}

export function proveCommand(finish: (status: number) => void): Command {
  const command = new Command("prove")
    .summary("prove that a profile permits nothing that another forbids")
    .description(
      "Proves a statement about two profiles, or gives a counter-example: of system calls over every call and all arguments, of every other layer field by field. " +
        "Of an OCI config.json the layers that it states are compared; seccomp JSON and BPF have system calls only. " +
        "Ends with 0 if it is proved, 1 if it is refuted, 2 on wrong use, 3 if it cannot be decided.",
    )
    .argument("<PROFILE>", ANY_POLICY)
    .option("--at-most <PROFILE>", "it permits nothing that this one forbids")
    .option("--equal <PROFILE>", "both are the same")
    .option("--calls", "of system calls only")
    .addOption(eachMachine())
    .option("--json", "print the conclusion as JSON");
  addCircumstances(command).action(async (first: string) => {
    finish(await decide(() => prove(command, first)));
  });
  return addExamples(
    command,
    ["sandbox profile prove strict --at-most standard", "strict permits nothing that standard forbids"],
    ["sandbox profile prove ./filter.bpf --equal strict", "somebody else's filter does what strict says"],
  );
}

async function prove(command: Command, first: string): Promise<number> {
  const { atMost, equal, calls, arch, json } = command.opts<Flags>();
  const { circumstances, problems } = await readCircumstances(command);
  const second = atMost ?? equal;
  const count = [atMost, equal].filter((each) => each !== undefined).length;
  if (count !== 1)
    problems.push(
      flagProblem("sandbox profile prove", "one statement is proved at a time", "--at-most or --equal"),
    );
  refuse(problems);
  if (second === undefined) return UNDECIDED;
  const relation: Relation = atMost === undefined ? "equal" : "at-most";
  const { profileFiles, provePolicies } = await import("../toolkit.ts");
  const comparison = { ...circumstances, first, second, machines: machinesOf(arch), cwd: process.cwd() };
  const proofs = unwrap(provePolicies(comparison, relation, profileFiles()));
  await sayNotes(proofs.calls.flatMap((proof) => [proof.first, proof.second]));
  const layers = calls || proofs.layers === null ? null : await concludeLayers(proofs.layers, relation);
  if (layers !== null) await sayNotes(proofs.notes);
  const claim = { first, relation, second };
  print(
    json
      ? toJson(await asJson(proofs.calls, layers, claim))
      : (await asText(proofs.calls, layers, claim)).join("\n"),
  );
  const conclusions = [
    ...proofs.calls.map(({ result }) => result.kind),
    ...(layers === null ? [] : [layers.conclusion]),
  ];
  if (conclusions.includes("refuted")) return 1;
  return conclusions.includes("unknown") ? UNDECIDED : 0;
}

type CallProof = Compared<Conclusion>;

interface Claim {
  readonly first: string;
  readonly relation: Relation;
  readonly second: string;
}

interface LayersConclusion {
  readonly conclusion: Conclusion["kind"];
  /** What refutes the statement, else what keeps it from being decided. */
  readonly differences: readonly Difference[];
}

/** The differences are those of the second from the first: what it has less of, the first has more of. */
async function concludeLayers(layers: readonly Difference[], relation: Relation): Promise<LayersConclusion> {
  const { refutesAtMost } = await import("../toolkit.ts");
  const undecided = layers.filter(({ direction }) => direction === "undecided");
  const decided = layers.filter(({ direction }) => direction !== "undecided");
  const against = relation === "equal" ? decided : decided.filter(refutesAtMost);
  if (against.length > 0) return { conclusion: "refuted", differences: against };
  return { conclusion: undecided.length > 0 ? "unknown" : "proved", differences: undecided };
}

async function asText(
  proofs: readonly CallProof[],
  layers: LayersConclusion | null,
  { first, relation, second }: Claim,
): Promise<readonly string[]> {
  const { formatWitness } = await import("../toolkit.ts");
  const claims: Readonly<Record<Relation, string>> = {
    "at-most": `${first} permits no call that ${second} forbids`,
    equal: `${first} and ${second} answer alike to every call`,
  };
  const lines = proofs.map(({ machine, result }) => {
    switch (result.kind) {
      case "proved":
        return `${machine}: proved: ${claims[relation]}`;
      case "refuted":
        return `${machine}: refuted: ${formatWitness(result.witness, `${first} says`, `${second} says`)}`;
      case "unknown":
        return `${machine}: cannot be decided: ${result.reason}`;
    }
  });
  if (layers === null) return lines;
  const others: Readonly<Record<Relation, string>> = {
    "at-most": `${first} permits nothing that ${second} forbids`,
    equal: `${first} and ${second} are the same`,
  };
  if (layers.conclusion === "proved") return [...lines, `other layers: proved: ${others[relation]}`];
  const verdict = layers.conclusion === "refuted" ? "refuted" : "cannot be decided";
  return [
    ...lines,
    ...layers.differences.map(
      ({ pointer, from, to, witness }) =>
        `other layers: ${verdict}: ${pointer}: ${first} has ${from}, ${second} has ${to}${witness === "" ? "" : `: ${witness}`}`,
    ),
  ];
}

async function asJson(
  proofs: readonly CallProof[],
  layers: LayersConclusion | null,
  claim: Claim,
): Promise<object> {
  const { callJson, ENGINE, formatVerdict } = await import("../toolkit.ts");
  const calls = proofs.map(({ machine, result }) => {
    if (result.kind === "proved") return { machine, conclusion: result.kind };
    if (result.kind === "unknown") return { machine, conclusion: result.kind, reason: result.reason };
    const { call, first, second } = result.witness;
    const witness = { ...callJson(call), first: formatVerdict(first), second: formatVerdict(second) };
    return { machine, conclusion: result.kind, witness };
  });
  return { engine: ENGINE, ...claim, calls, layers };
}
