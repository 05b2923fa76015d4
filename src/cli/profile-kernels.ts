/**
 * sandbox profile kernels: what a filter makes of the calls that another kernel brings.
 */
import { Command, Option } from "commander";
import { unwrap } from "../problems.ts";
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
  UNDECIDED,
} from "./policy-options.ts";
import { refuse } from "./sandbox-options.ts";

interface Flags {
  readonly from: string;
  readonly to: string;
  readonly arch: keyof typeof ABI_NAMES;
  readonly json?: true;
}

export function kernelsCommand(finish: (status: number) => void): Command {
  const command = new Command("kernels")
    .summary("see what a filter makes of the calls of another kernel")
    .description(
      "Compares the system calls of two kernels and says of each that only the second has what a filter makes of it: exposed, it gets through; broken, it is refused so that programs that try it do not fall back; " +
        "hidden, it does not exist, as before. Ends with 0 if all are hidden or named by a rule, 1 if another one is exposed or broken, 2 on wrong use, 3 if it cannot be decided.",
    )
    .argument("<PROFILE>", ANY_POLICY)
    .addOption(
      new Option(
        "--from <RELEASE|FILE>",
        "the kernel that the filter is used on: a release such as 6.1, or its table of system calls",
      ).makeOptionMandatory(),
    )
    .addOption(new Option("--to <RELEASE|FILE>", "the kernel that comes next").makeOptionMandatory())
    .addOption(
      new Option("--arch <ABI>", "the ABI whose calls are compared")
        .choices(Object.keys(ABI_NAMES))
        .default("x86_64"),
    )
    .option("--json", "print it as JSON");
  addCircumstances(command).action(async (name: string) => {
    finish(await decide(() => compare(command, name)));
  });
  return addExamples(
    command,
    ["sandbox profile kernels ./seccomp.json --from 6.1 --to 6.12", "before the hosts are upgraded"],
    [
      "sandbox profile kernels strict --from 6.12 --to ./linux/arch/x86/entry/syscalls/syscall_64.tbl",
      "a kernel that is newer than this program",
    ],
  );
}

async function compare(command: Command, name: string): Promise<number> {
  const { from, to, arch, json } = command.opts<Flags>();
  const { circumstances, problems } = await readCircumstances(command);
  refuse(problems);
  const { callJson, compareKernels, formatAlternatives, formatVerdict, profileFiles } = await import(
    "../toolkit.ts"
  );
  const abi = ABI_NAMES[arch];
  const { policy, result } = unwrap(
    compareKernels({ ...circumstances, name, from, to, abi, cwd: process.cwd() }, profileFiles()),
  );
  await sayNotes([policy]);
  if ("kind" in result) {
    print(json ? toJson({ undecided: result.reason }) : `cannot be decided: ${result.reason}`);
    return UNDECIDED;
  }
  const { calls, gone } = result;
  const open = calls.filter(({ fate }) => fate !== "hidden");
  const hidden = calls.filter(({ fate }) => fate === "hidden");
  if (json)
    print(
      toJson({
        abi,
        calls: calls.map(({ example, verdict, when, ...rest }) => ({
          ...rest,
          when: formatAlternatives(when),
          example: { ...callJson(example), verdict: formatVerdict(verdict) },
        })),
        gone,
      }),
    );
  else
    print(
      [
        `${name} on ${arch}: ${calls.length} calls of ${to} that ${from} does not have`,
        ...open.map(({ fate, name: call, nr, was, named, when, verdict }) => {
          const old = was === null ? "" : `, which was ${was}`;
          const how =
            fate === "exposed"
              ? `gets through ${whenText(formatAlternatives(when))}`
              : `is answered ${formatVerdict(verdict)}`;
          return `${fate}: ${call} (0x${nr.toString(16)}${old}) ${how}${named ? ", as a rule says" : ""}`;
        }),
        ...(hidden.length === 0 ? [] : [`hidden: ${hidden.map((call) => call.name).join(", ")}`]),
        ...(gone.length === 0 ? [] : [`not there any more: ${gone.join(", ")}`]),
      ].join("\n"),
    );
  // What a rule names was decided by somebody; the rest by a default that knew nothing of it.
  return open.some(({ named }) => !named) ? 1 : 0;
}

const whenText = (when: string): string => (when === "always" ? "with any arguments" : `where ${when}`);
