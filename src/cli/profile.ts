/**
 * sandbox profile: list, show, validate and export profiles. What asks, compares and proves them has files of its own.
 */

import { resolve } from "node:path";
import { Command } from "commander";
import { bug, formatProblem, ProfileError } from "../problems.ts";
import type { ProfileRequest } from "../profile/resolve.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { complain, print } from "./output.ts";
import { diffCommand } from "./profile-diff.ts";
import { disasmCommand } from "./profile-disasm.ts";
import { divergenceCommand } from "./profile-divergence.ts";
import { explainCommand } from "./profile-explain.ts";
import { exportCommand } from "./profile-export.ts";
import { importCommand } from "./profile-import.ts";
import { kernelsCommand } from "./profile-kernels.ts";
import { proveCommand } from "./profile-prove.ts";
import { simulateCommand } from "./profile-simulate.ts";
import { testCommand } from "./profile-test.ts";

export function profileCommand(finish: (status: number) => void): Command {
  const command = new Command("profile")
    .summary("list, show, compare, prove and export profiles")
    .description("Lists, shows, checks, asks, compares, proves and exports profiles.");

  const list = new Command("list")
    .summary("list the built-in profiles")
    .description("Lists the built-in profiles.")
    .option("--names", "only their names, one a line")
    .option("--json", "print them as JSON")
    .action(async () => {
      const flags = list.opts<{ readonly names?: true; readonly json?: true }>();
      await listBuiltins(flags.names ? "names" : flags.json ? "json" : "table");
      finish(0);
    });

  const show = new Command("show")
    .summary("print a profile")
    .description(
      "Prints a profile as its author wrote it, or, resolved, with everything it inherits and every default.",
    )
    .argument("<PROFILE>", "a built-in profile's name or a file")
    .option("--resolved", "with inheritance and defaults applied, and where each value comes from")
    .option("--json", "print it as JSON")
    .action(async (name: string) => {
      const flags = show.opts<{ readonly resolved?: true; readonly json?: true }>();
      await (flags.resolved ? showResolved(name, flags.json === true) : showSource(name));
      finish(0);
    });

  const validate = new Command("validate")
    .summary("check profiles")
    .description(
      "Checks profiles and everything they extend. Ends with 0 if all are fine, 1 if there are problems, 2 on wrong use.",
    )
    .argument("<FILE...>", "files to check")
    .option("-q, --quiet", "say nothing about files that are fine")
    .action(async (files: readonly string[]) => {
      finish(await validateFiles(files, validate.opts<{ readonly quiet?: true }>().quiet === true));
    });

  command.addCommand(addExamples(list, ["sandbox profile list", "what there is"]));
  command.addCommand(
    addExamples(
      show,
      ["sandbox profile show strict", "as it is written"],
      ["sandbox profile show --resolved strict", "all that it means, and why"],
    ),
  );
  command.addCommand(
    addExamples(validate, ["sandbox profile validate ./*.json", "check all before they are committed"]),
  );
  for (const make of [
    exportCommand,
    explainCommand,
    simulateCommand,
    disasmCommand,
    diffCommand,
    proveCommand,
    divergenceCommand,
    kernelsCommand,
    testCommand,
    importCommand,
  ])
    command.addCommand(make(finish));
  return addExamples(
    command,
    ["sandbox profile list", "what there is"],
    ["sandbox profile prove strict --at-most standard", "strict permits nothing that standard forbids"],
  );
}

/** What resolving needs; the name as given opens the messages about it. */
const requestFor = (profile: string, shown: string): ProfileRequest => ({
  profile,
  overrides: [],
  cwd: process.cwd(),
  source: { kind: "flag", flag: shown },
});

async function listBuiltins(form: "names" | "json" | "table"): Promise<void> {
  const { profileFiles, resolveProfile } = await import("../index.ts");
  const files = profileFiles();
  const names = files.names?.() ?? [];
  if (form === "names") {
    print(names.join("\n"));
    return;
  }
  const profiles = names.map((name) => {
    const resolved = resolveProfile(requestFor(name, name), files);
    if (!resolved.ok) throw new ProfileError(resolved.problems);
    return { name, description: resolved.value.spec.description, file: files.builtin(name) };
  });
  const width = Math.max(...names.map(({ length }) => length));
  print(
    form === "json"
      ? toJson(profiles)
      : profiles.map(({ name, description }) => `${name.padEnd(width)}  ${description}`).join("\n"),
  );
}

async function showSource(name: string): Promise<void> {
  const { profileFiles, resolveProfile } = await import("../index.ts");
  const files = profileFiles();
  const builtin = name.includes("/") ? null : files.builtin(name);
  const bytes = files.read(builtin ?? resolve(name));
  if (bytes instanceof Uint8Array) {
    print(new TextDecoder().decode(bytes));
    return;
  }
  // Resolving it finds the same fault and words it.
  const resolved = resolveProfile(requestFor(name, name), files);
  throw new ProfileError(resolved.ok ? bug(`${name} can be resolved but not read`) : resolved.problems);
}

async function showResolved(name: string, json: boolean): Promise<void> {
  const { profileFiles, resolveProfile } = await import("../index.ts");
  const resolved = resolveProfile(requestFor(name, name), profileFiles());
  if (!resolved.ok) throw new ProfileError(resolved.problems);
  const { renderResolved } = await import("./render-profile.ts");
  print(json ? toJson(resolved.value) : renderResolved(resolved.value));
}

async function validateFiles(names: readonly string[], quiet: boolean): Promise<number> {
  const { checkProfile } = await import("../index.ts");
  let status = 0;
  for (const name of names) {
    // A word without a directory names a file here, never a built-in profile.
    const checked = checkProfile(requestFor(name.includes("/") ? name : `./${name}`, name));
    if (checked.ok) {
      if (!quiet) print(`${name}: fine`);
    } else {
      complain(checked.problems.map(formatProblem).join("\n"));
      status = 1;
    }
  }
  return status;
}
