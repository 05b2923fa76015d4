/**
 * sandbox profile simulate: what a profile's filter answers to one call.
 */
import { Command, Option } from "commander";
import { type Problem, unwrap } from "../problems.ts";
import type { Simulated } from "../simulate.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import {
  ABI_NAMES,
  ANY_POLICY,
  addCircumstances,
  decide,
  readCircumstances,
  sayNotes,
} from "./policy-options.ts";
import { flagProblem, refuse } from "./sandbox-options.ts";

interface Flags {
  readonly arch: keyof typeof ABI_NAMES;
  readonly all?: true;
  readonly trace?: true;
  readonly ip?: string;
  readonly json?: true;
}

export function simulateCommand(finish: (status: number) => void): Command {
  const command = new Command("simulate")
    .summary("ask a filter about one call")
    .description(
      "Prints what the system-call filter of a profile answers to one call. Ends with 0 whatever the answer is, 2 on wrong use, 3 if the profile cannot be read.",
    )
    .argument("<PROFILE>", ANY_POLICY)
    .argument("<CALL>", "the name or number of a system call")
    .argument("[ARG...]", "its arguments, decimal or hexadecimal, 64 bits; those left out are 0")
    .addOption(
      new Option("--arch <ABI>", "the ABI that the call comes through")
        .choices(Object.keys(ABI_NAMES))
        .default("x86_64"),
    )
    .option("--all", "through every ABI that has the call")
    .option("--trace", "print the instructions that led to the answer")
    .option("--ip <ADDRESS>", "where the call is made from")
    .option("--json", "print it as JSON");
  addCircumstances(command).action(async (policy: string, call: string, args: readonly string[]) => {
    finish(await decide(() => ask(command, policy, call, args)));
  });
  return addExamples(
    command,
    ["sandbox profile simulate strict openat 0xffffff9c 0 0x241 0o4755", "may it make a set-user-id file?"],
    ["sandbox profile simulate strict keyctl --all", "through every ABI"],
    ["sandbox profile simulate ./docker.json clone 0x10000000 --cap SYS_ADMIN --trace", "step by step"],
  );
}

async function ask(command: Command, name: string, call: string, given: readonly string[]): Promise<number> {
  const flags = command.opts<Flags>();
  const { circumstances, problems } = await readCircumstances(command);
  if (given.length > 6)
    problems.push(flagProblem("ARG", `${given.length} arguments were given`, "at most six"));
  const args = given.map((text) => readWord("ARG", text, problems));
  const ip = flags.ip === undefined ? 0n : readWord("--ip", flags.ip, problems);
  refuse(problems);
  const { ABIS, profileFiles, simulate } = await import("../toolkit.ts");
  const abis = flags.all ? ABIS : [ABI_NAMES[flags.arch]];
  const results = unwrap(
    simulate({ name, call, args, ip, abis, cwd: process.cwd(), ...circumstances }, profileFiles()),
  );
  await sayNotes(results.map(({ policy }) => policy));
  if (flags.json) print(toJson(await Promise.all(results.map(asJson))));
  else print((await Promise.all(results.map((result) => asText(result, flags.trace === true)))).join("\n"));
  return 0;
}

/** An argument as the kernel gets it; a negative one as its 64 bits. */
function readWord(flag: string, text: string, problems: Problem[]): bigint {
  const written = /^(-?)(0x[0-9a-f]+|0o[0-7]+|\d+)$/i.exec(text);
  const value = written === null ? null : BigInt(written[2] as string) * (written[1] === "-" ? -1n : 1n);
  if (value !== null && value < 1n << 64n && value >= -(1n << 63n)) return BigInt.asUintN(64, value);
  problems.push(
    flagProblem(flag, `${JSON.stringify(text)} is not a number of 64 bits`, "such as 10, 0x10 or 0o755"),
  );
  return 0n;
}

async function asText({ call, verdict, trace }: Simulated, traced: boolean): Promise<string> {
  const { formatCall, formatLines, formatVerdict } = await import("../toolkit.ts");
  const answer = `${formatCall(call)}: ${formatVerdict(verdict)}`;
  return traced ? `${formatLines(trace)}\n${answer}` : answer;
}

async function asJson({ abi, call, verdict, trace }: Simulated): Promise<object> {
  const { callJson, formatVerdict } = await import("../toolkit.ts");
  return { abi, call: callJson(call), verdict: formatVerdict(verdict), trace };
}
