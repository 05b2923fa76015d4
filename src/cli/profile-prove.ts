/**
 * sandbox profile prove: a statement about every system call, with a proof or a counter-example.
 */
import { Command, Option } from "commander";
import type { Compared, Relation } from "../compare-policies.ts";
import { unwrap } from "../problems.ts";
import type { Conclusion } from "../prove/prover.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import {
  addCircumstances,
  decide,
  MACHINES,
  machinesOf,
  readCircumstances,
  sayNotes,
  UNDECIDED,
} from "./policy-options.ts";
import { flagProblem, refuse } from "./sandbox-options.ts";

interface Flags {
  readonly atMost?: string;
  readonly equal?: string;
  readonly arch?: string;
  readonly json?: true;
}

export function proveCommand(finish: (status: number) => void): Command {
  const command = new Command("prove")
    .summary("prove that a filter permits nothing that another forbids")
    .description(
      "Proves a statement about the system-call filters of two profiles, over every call and all arguments, or gives a call that refutes it. " +
        "Ends with 0 if it is proved, 1 if it is refuted, 2 on wrong use, 3 if it cannot be decided.",
    )
    .argument(
      "<PROFILE>",
      "a profile, a container engine's seccomp JSON, an OCI config.json or a file of BPF",
    )
    .option("--at-most <PROFILE>", "it permits nothing that this one forbids")
    .option("--equal <PROFILE>", "both answer alike to every call")
    .addOption(new Option("--arch <MACHINE>", "the kind of machine (default: each)").choices(MACHINES))
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
  const { atMost, equal, arch, json } = command.opts<Flags>();
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
  sayNotes(proofs.flatMap((proof) => [proof.first, proof.second]));
  if (json) print(toJson(await Promise.all(proofs.map((proof) => asJson(proof, relation)))));
  else print((await Promise.all(proofs.map((proof) => asText(proof, relation)))).join("\n"));
  if (proofs.some(({ result }) => result.kind === "refuted")) return 1;
  return proofs.every(({ result }) => result.kind === "proved") ? 0 : UNDECIDED;
}

type PolicyProof = Compared<Conclusion>;

async function asText({ machine, first, second, result }: PolicyProof, relation: Relation): Promise<string> {
  const { formatWitness } = await import("../toolkit.ts");
  const claims: Readonly<Record<Relation, string>> = {
    "at-most": `${first.name} permits nothing that ${second.name} forbids`,
    equal: `${first.name} and ${second.name} answer alike to every call`,
  };
  switch (result.kind) {
    case "proved":
      return `${machine}: proved: ${claims[relation]}`;
    case "refuted":
      return `${machine}: refuted: ${formatWitness(result.witness, `${first.name} says`, `${second.name} says`)}`;
    case "unknown":
      return `${machine}: unknown: ${result.reason}`;
  }
}

async function asJson({ machine, first, second, result }: PolicyProof, relation: Relation): Promise<object> {
  const { callJson, ENGINE, formatVerdict } = await import("../toolkit.ts");
  const claim = { engine: ENGINE, machine, first: first.name, relation, second: second.name };
  if (result.kind !== "refuted") return { ...claim, ...result, kind: undefined, conclusion: result.kind };
  const { witness } = result;
  return {
    ...claim,
    conclusion: result.kind,
    witness: {
      ...callJson(witness.call),
      first: formatVerdict(witness.first),
      second: formatVerdict(witness.second),
    },
  };
}
