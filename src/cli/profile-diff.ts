/**
 * sandbox profile diff: what one policy does otherwise than another, for people and pull requests.
 */
import { Command, Option } from "commander";
import type { Comparisons } from "../compare-policies.ts";
import { unwrap } from "../problems.ts";
import type { CallDifference, Direction } from "../prove/difference.ts";
import type { LayerDirection } from "../prove/orders.ts";
import type { Unknown } from "../prove/prover.ts";
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
import { refuse } from "./sandbox-options.ts";

interface Flags {
  readonly format: "text" | "markdown" | "json";
  readonly failOn?: "looser" | "different";
  readonly arch?: string;
}

type PolicyDifferences = Comparisons<readonly CallDifference[] | Unknown>;

export function diffCommand(finish: (status: number) => void): Command {
  const command = new Command("diff")
    .summary("compare what two profiles do")
    .description(
      "Compares two profiles by what they do: each difference of the second from the first is stricter, looser, incomparable " +
        "or, of system calls, only-errno, with an example. Of an OCI config.json the layers that it states are compared; seccomp JSON and BPF have system calls only. " +
        "Ends with 0, with 1 if --fail-on says so, 2 on wrong use, 3 if that cannot be decided.",
    )
    .argument("<FIRST>", ANY_POLICY)
    .argument("<SECOND>", "what it is compared with")
    .addOption(
      new Option("--format <FORMAT>", "how to print it")
        .choices(["text", "markdown", "json"])
        .default("text"),
    )
    .addOption(
      new Option(
        "--fail-on <WHAT>",
        "end with 1 if the second is looser anywhere, or different at all",
      ).choices(["looser", "different"]),
    )
    .addOption(eachMachine());
  addCircumstances(command).action(async (first: string, second: string) => {
    finish(await decide(() => diff(command, first, second)));
  });
  return addExamples(
    command,
    ["sandbox profile diff strict standard", "what standard allows more"],
    ["sandbox profile diff old.json new.json --format markdown --fail-on looser", "for a pull request"],
  );
}

async function diff(command: Command, first: string, second: string): Promise<number> {
  const { format, failOn, arch } = command.opts<Flags>();
  const { circumstances, problems } = await readCircumstances(command);
  refuse(problems);
  const { comparePolicies, profileFiles } = await import("../toolkit.ts");
  const comparison = { ...circumstances, first, second, machines: machinesOf(arch), cwd: process.cwd() };
  const compared = unwrap(comparePolicies(comparison, profileFiles()));
  await sayNotes(compared.calls.flatMap((each) => [each.first, each.second]));
  await sayNotes(compared.notes);
  const { differencesJson, renderDifferences, renderLayers } = await import("./render-difference.ts");
  if (format === "json")
    print(toJson({ calls: compared.calls.map(differencesJson), layers: compared.layers }));
  else
    print(
      [
        ...compared.calls.map((each) => renderDifferences(each, format)),
        ...(compared.layers === null ? [] : [renderLayers(compared.layers, first, second, format)]),
      ].join("\n\n"),
    );
  return status(compared, failOn);
}

const FAILING: Readonly<Record<NonNullable<Flags["failOn"]>, readonly (Direction | LayerDirection)[]>> = {
  looser: ["looser", "incomparable"],
  different: ["looser", "incomparable", "stricter", "only-errno", "other"],
};

/** What cannot be decided weighs more than what was found: something worse may be in it. */
function status({ calls, layers }: PolicyDifferences, failOn: Flags["failOn"]): number {
  if (calls.some(({ result }) => "kind" in result)) return UNDECIDED;
  if (failOn !== undefined && layers?.some(({ direction }) => direction === "undecided") === true)
    return UNDECIDED;
  const failing = failOn === undefined ? [] : FAILING[failOn];
  const found = [...calls.flatMap(({ result }) => ("kind" in result ? [] : result)), ...(layers ?? [])];
  return found.some(({ direction }) => failing.includes(direction)) ? 1 : 0;
}
