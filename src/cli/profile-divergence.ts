/**
 * sandbox profile divergence: what container runtimes load of a document otherwise than it reads.
 */
import { Command } from "commander";
import type { Divergence } from "../divergence/report.ts";
import type { Arch } from "../host/facts.ts";
import { formatPlace, unwrap } from "../problems.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import {
  addCircumstances,
  decide,
  oneMachine,
  openPolicy,
  readCircumstances,
  sayNotes,
  UNDECIDED,
} from "./policy-options.ts";
import { refuse } from "./sandbox-options.ts";

interface Flags {
  readonly arch: Arch;
  readonly json?: true;
}

export function divergenceCommand(finish: (status: number) => void): Command {
  const command = new Command("divergence")
    .summary("compare a seccomp document with what runtimes load of it")
    .description(
      "Compares the rules of a seccomp document as they read with what runc, crun and libseccomp make of them, and gives a call for every place where they part. " +
        "Ends with 0 if there is none, 1 if there is one, 2 on wrong use, 3 if it cannot be decided.",
    )
    .argument("<FILE>", "a container engine's seccomp JSON, an OCI config.json or a profile")
    .addOption(oneMachine())
    .option("--json", "print it as JSON");
  addCircumstances(command).action(async (name: string) => {
    finish(await decide(() => diverge(command, name)));
  });
  return addExamples(command, [
    "sandbox profile divergence ./seccomp.json",
    "what a review of the file does not see",
  ]);
}

async function diverge(command: Command, name: string): Promise<number> {
  const { arch, json } = command.opts<Flags>();
  const { circumstances, problems } = await readCircumstances(command);
  refuse(problems);
  const policy = await openPolicy(name, arch, circumstances);
  await sayNotes([policy]);
  const { divergencesOf } = await import("../toolkit.ts");
  const found = unwrap(divergencesOf(policy.filter));
  if (json) print(toJson(await Promise.all(found.map(asJson))));
  else if (found.length === 0) print(`${name}: loaded as it reads`);
  else print((await Promise.all(found.map(asText))).join("\n"));
  if (found.some(({ unknown }) => unknown !== null)) return UNDECIDED;
  return found.length === 0 ? 0 : 1;
}

async function asText(divergence: Divergence): Promise<string> {
  const { formatWitness } = await import("../toolkit.ts");
  const { where, by, about, direction, calls, witness, unknown } = divergence;
  const effect = direction === null ? "" : ` (${direction})`;
  const head = `${formatPlace(where)}: ${about} [${divergence.case}: ${by}]${effect}`;
  if (unknown !== null) return `${head}\n    cannot be decided: ${unknown}`;
  const list =
    calls.length > 12 ? `${calls.slice(0, 12).join(", ")} and ${calls.length - 12} more` : calls.join(", ");
  if (witness === null) return `${head}\n    ${list}`;
  const { call, written, loaded } = witness;
  return `${head}\n    ${list}\n    ${formatWitness({ call, first: written, second: loaded }, "as written", "as loaded")}`;
}

async function asJson({ witness, ...rest }: Divergence): Promise<object> {
  const { callJson, formatVerdict } = await import("../toolkit.ts");
  if (witness === null) return { ...rest, witness };
  const { call, written, loaded } = witness;
  return {
    ...rest,
    witness: { ...callJson(call), written: formatVerdict(written), loaded: formatVerdict(loaded) },
  };
}
