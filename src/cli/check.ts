/**
 * sandbox check: the gate. Exit status 0 clean, 1 violations, 2 wrong use, 3 something could not be analysed. What it does is in
 * check-profiles.ts, loaded when it is asked for.
 */
import { Command, Option } from "commander";
import { FORMATS, type Format } from "../gate/formats/names.ts";
import { INHERITED } from "../gate/inherited.ts";
import type { Level } from "../gate/rule.ts";
import type { Problem } from "../problems.ts";
import { addExamples } from "./examples.ts";
import { addImageOptions, type ImageCheckFlags } from "./image.ts";
import { print } from "./output.ts";
import {
  ANY_POLICY,
  addCircumstances,
  eachMachine,
  machinesOf,
  readCircumstances,
} from "./policy-options.ts";
import { flagProblem, outputFile } from "./sandbox-options.ts";

/** One report that is asked for: on stdout when it has no file. */
export interface WantedReport {
  readonly format: Format;
  readonly output: string | null;
}

/** Options that every check has, whatever it checks. */
export interface CheckFlags {
  readonly policy: string;
  readonly waivers?: readonly string[];
  readonly baseline?: string;
  readonly updateBaseline?: true;
  readonly failOn: Level;
  readonly today?: string;
}

/** What --format and --output asked for, in their order, and what was wrong with them. */
export interface ReportOptions {
  readonly wanted: WantedReport[];
  readonly problems: Problem[];
}

export function checkCommand(finish: (status: number) => void): Command {
  const command = new Command("check")
    .summary("check profiles and images against a policy")
    .description(
      "Checks against the rules of a policy, offline and without privileges. Ends with 0 when clean, 1 on violations, 2 on wrong use, 3 when something could not be analysed.",
    );
  const reports: ReportOptions = { wanted: [], problems: [] };
  const profile = new Command("profile")
    .summary("check profiles")
    .description(
      "Checks profiles, with all that they inherit, and what other tools have in their place, against a policy. Rules judge what follows from them: which system calls get through the filter, which capabilities can be had, what can be written. " +
        "A rule about what a document does not say is not judged, which ends with 3.",
    )
    .argument("<NAME|FILE...>", `each ${ANY_POLICY}`)
    .addOption(eachMachine());
  addCircumstances(addCheckOptions(profile, reports)).action(async (profiles: readonly string[]) => {
    const { checkProfiles } = await import("./check-profiles.ts");
    const { circumstances, problems } = await readCircumstances(profile);
    reports.problems.push(...problems);
    const { arch, ...flags } = profile.opts<CheckFlags & { readonly arch?: string }>();
    const machines = arch === undefined ? null : machinesOf(arch);
    finish(await checkProfiles(profiles, { ...circumstances, machines }, flags, reports));
  });
  const image = new Command("image")
    .summary("check container images")
    .description(
      "Checks container images against a policy: what is in them, what of it the entry point reaches, and what should not be there. Reads OCI layouts and archives, docker save, docker export and directories; unpacks and runs nothing.",
    )
    .argument("<IMAGE...>", "directories or archives")
    .option(
      "--evidence <FILE>",
      "report of a run with --record-files: what it opened is compared with what can be reached; may be given several times",
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    );
  image
    .option("--dockerfile <FILE>", "what the image was built from: findings get its lines")
    .option("--target <STAGE>", "the stage of the Dockerfile that was built; the last unless given")
    .option("--base <IMAGE>", "the image that it was built on: what is the base's is told apart")
    .option("--base-tag <TAG>", "of several images in it: the one with this tag")
    .addOption(
      new Option(
        "--inherited <count|apart>",
        "whether findings that are proved to be the base's count; apart: they are shown only",
      )
        .choices(INHERITED)
        .default("count"),
    )
    .option(
      "--structure-test <FILE>",
      "tests of container-structure-test, YAML or JSON: files, contents, metadata; may be given several times",
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    );
  addImageOptions(addCheckOptions(image, reports, "minimal-image")).action(
    async (images: readonly string[]) => {
      const { checkImages } = await import("./inspect-image.ts");
      finish(await checkImages(images, image.opts<CheckFlags & ImageCheckFlags>(), reports));
    },
  );
  const rules = new Command("rules")
    .summary("list the rules, or explain one")
    .description(
      "Lists the rules for profiles and images and the policies that use them, or explains one rule.",
    )
    .argument("[RULE]", "a rule's id")
    .action(async (id: string | undefined) => {
      const { describeRules } = await import("./check-profiles.ts");
      print(describeRules(id));
      finish(0);
    });
  command.addCommand(
    addExamples(
      profile,
      ["sandbox check profile strict", "the shipped policy hardened"],
      ["sandbox check profile ./mine.json --policy pss-restricted", "another policy"],
      ["sandbox check profile ./seccomp.json --policy filter", "a container engine's file: its system calls"],
      [
        "sandbox check profile ./mine.json --format sarif --output out.sarif --format github",
        "a file for code scanning, and annotations in the log",
      ],
      [
        "sandbox check profile ./mine.json --baseline known.json --update-baseline",
        "accept what is found now; later runs may only find less",
      ],
    ),
  );
  command.addCommand(
    addExamples(
      image,
      ["sandbox check image ./layout", "the shipped policy minimal-image"],
      [
        "sandbox check image app.tar --policy runtime --format sarif --output out.sarif",
        "a laxer one, for code scanning",
      ],
      [
        "sandbox check image app.tar --evidence used.json",
        "with what a run opened: sandbox run --rootfs DIR --record-files --report used.json",
      ],
      [
        "sandbox check image app.tar --dockerfile Dockerfile --format github",
        "annotations on the lines that brought what was found",
      ],
      [
        "sandbox check image app.tar --base debian.tar --inherited apart",
        "fails only on what the image adds to its base",
      ],
    ),
  );
  command.addCommand(
    addExamples(
      rules,
      ["sandbox check rules", "all of them"],
      ["sandbox check rules no-af-alg", "why, and what to do"],
    ),
  );
  return addExamples(command, ["sandbox check profile strict", "check a profile"]);
}

function addCheckOptions(
  command: Command,
  { wanted, problems }: ReportOptions,
  policy = "hardened",
): Command {
  const format = new Option("--format <FORMAT>", "form of the report; may be given several times")
    .choices(FORMATS)
    .argParser((value) => {
      const known = FORMATS.find((name) => name === value);
      if (known !== undefined) wanted.push({ format: known, output: null });
      else {
        const expected = `one of ${FORMATS.join(", ")}`;
        problems.push(flagProblem("--format", `${JSON.stringify(value)} is not a format`, expected));
      }
      return value;
    });
  const output = new Option(
    "--output <FILE>",
    "write the report of the --format before it to FILE",
  ).argParser((value) => {
    const last = wanted.pop();
    const file = outputFile("--output", value, problems);
    if (last?.output === null) wanted.push({ ...last, output: file });
    else {
      if (last !== undefined) wanted.push(last);
      problems.push(flagProblem("--output", `${JSON.stringify(value)} has no format`, "--format before it"));
    }
    return value;
  });
  const failOn = new Option("--fail-on <LEVEL>", "the least severity that ends with 1")
    .choices(["error", "warning", "note"])
    .default("error");
  return command
    .option("--policy <NAME|FILE>", "a shipped policy or a file", policy)
    .addOption(format)
    .addOption(output)
    .option(
      "--waivers <FILE>",
      "findings that were accepted, each until a date; may be given several times",
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .option("--baseline <FILE>", "findings that were there before: they do not count")
    .option("--update-baseline", "make the baseline, or take out of it what is no longer found")
    .addOption(failOn)
    .option("--today <DATE>", "judge waivers as of this day, YYYY-MM-DD");
}
