/**
 * sandbox profile disasm: the program of a filter, readable.
 */
import { Command } from "commander";
import type { Arch } from "../host/facts.ts";
import { unwrap } from "../problems.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import {
  ANY_POLICY,
  addCircumstances,
  decide,
  oneMachine,
  openPolicy,
  readCircumstances,
  sayNotes,
} from "./policy-options.ts";
import { refuse } from "./sandbox-options.ts";

interface Flags {
  readonly arch: Arch;
  readonly json?: true;
}

export function disasmCommand(finish: (status: number) => void): Command {
  const command = new Command("disasm")
    .summary("print a filter's program")
    .description(
      "Prints the program of a policy's system-call filter: of a profile, the one that our emitter makes and that is proved to do what the profile says; " +
        "of a file of BPF, that file. Ends with 0, 2 on wrong use, 3 if it cannot be read.",
    )
    .argument("<PROFILE>", ANY_POLICY)
    .addOption(oneMachine())
    .option("--json", "print it as JSON");
  addCircumstances(command).action(async (name: string) => {
    finish(await decide(() => disassembleOne(command, name)));
  });
  return addExamples(
    command,
    ["sandbox profile disasm strict", "what the kernel is given"],
    ["sandbox profile disasm ./filter.bpf", "what somebody else gives it"],
  );
}

async function disassembleOne(command: Command, name: string): Promise<number> {
  const { arch, json } = command.opts<Flags>();
  const { circumstances, problems } = await readCircumstances(command);
  refuse(problems);
  const policy = await openPolicy(name, arch, circumstances);
  await sayNotes([policy]);
  const { disassemble, formatLines, programOf } = await import("../toolkit.ts");
  const lines = disassemble(unwrap(programOf(policy.filter)));
  print(json ? toJson(lines) : formatLines(lines));
  return 0;
}
