/**
 * sandbox profile export: a profile in the words of another tool on stdout, and on stderr what that tool has no words for.
 */
import { Command, Option } from "commander";
import type { Arch } from "../host/facts.ts";
import { ProfileError } from "../problems.ts";
import { addExamples } from "./examples.ts";
import { complain, print } from "./output.ts";
import { MACHINES } from "./policy-options.ts";
import { addProfileOptions, flagProblem, readRequest, refuseRequest } from "./sandbox-options.ts";

/** The formats of src/export.ts, named here so that help loads no compiler; a test holds them together. */
export const EXPORT_FORMATS = [
  "apparmor",
  "apparmor-4",
  "selinux",
  "docker-seccomp",
  "oci",
  "kubernetes",
  "systemd",
  "bubblewrap",
] as const;

/** Those that carry a filter for one kind of machine. */
const ONE_MACHINE: readonly string[] = ["oci", "kubernetes", "bubblewrap"];

interface Flags {
  readonly arch?: Arch;
  readonly to: (typeof EXPORT_FORMATS)[number];
  readonly complete?: true;
  readonly quiet?: true;
}

export function exportCommand(finish: (status: number) => void): Command {
  const command = addProfileOptions(new Command("export"))
    .summary("print a profile in the words of another tool")
    .description(
      "Prints what a profile means as policy of a security module of the kernel, or for another runner. What that has no words for is listed on stderr. " +
        "Options that change the profile change the policy: give those that the runs will have.",
    )
    .argument("<PROFILE>", "a built-in profile's name or a file")
    .addOption(new Option("--to <FORMAT>", "what it becomes").choices(EXPORT_FORMATS).makeOptionMandatory())
    .addOption(
      new Option(
        "--arch <MACHINE>",
        `the kind of machine, for ${ONE_MACHINE.join(", ")}: their filter is for one (default: x86_64)`,
      ).choices(MACHINES),
    )
    .option("--complete", "end with 1 when something of the profile is left out")
    .option("-q, --quiet", "do not list what is left out")
    .action(async (name: string) => finish(await exportOne(command, name)));
  return addExamples(
    command,
    ["sandbox profile export strict --to apparmor", "its AppArmor profile, for apparmor_parser --replace"],
    ["sandbox profile export strict --to selinux", "its module of SELinux policy"],
    ["sandbox profile export strict --to docker-seccomp", "for docker run --security-opt seccomp=FILE"],
    ["sandbox profile export build --to systemd", "a drop-in for a service"],
  );
}

async function exportOne(command: Command, name: string): Promise<number> {
  const { request, problems } = readRequest(command, name);
  const { to, arch, complete, quiet } = command.opts<Flags>();
  const wrong =
    arch === undefined || ONE_MACHINE.includes(to)
      ? []
      : [
          flagProblem(
            "--arch",
            `${to} is not for one kind of machine`,
            `only with ${ONE_MACHINE.join(", ")}`,
          ),
        ];
  await refuseRequest([...problems, ...wrong], request);
  const { exportProfile } = await import("../index.ts");
  const made = exportProfile(request, to, arch);
  if (!made.ok) throw new ProfileError(made.problems);
  const { text, left } = made.value;
  print(text.trimEnd());
  if (quiet !== true && left.length > 0)
    complain(left.map(({ pointer, what }) => `not carried: ${pointer}: ${what}`).join("\n"));
  return complete === true && left.length > 0 ? 1 : 0;
}
