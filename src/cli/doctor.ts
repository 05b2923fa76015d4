/**
 * sandbox doctor: what this host can enforce, and what would change that.
 */
import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { colorFor } from "./color.ts";
import { addExamples } from "./examples.ts";
import { complain, print } from "./output.ts";

export function doctorCommand(finish: (status: number) => void): Command {
  const command = new Command("doctor")
    .summary("say what this host can enforce, and what blocks the rest")
    .description(
      "Says for each control what this host can enforce for this user, what blocks the rest, and the command that would unblock it. " +
        "Ends with 0 if the profile strict runs here, else with 1.",
    )
    .option("--json", "print it as JSON")
    .option("--clean", "first remove what runs left behind that were cut off by a power failure")
    .option(
      "--apparmor [PATH]",
      "only print the AppArmor profile that lets the program at PATH, or this command, make user namespaces where AppArmor restricts them",
    )
    .action(async () => {
      const flags = command.opts<Flags>();
      finish(
        flags.apparmor === undefined ? await doctor(flags) : await printUserNamespaceProfile(flags.apparmor),
      );
    });
  return addExamples(
    command,
    ["sandbox doctor", "read it"],
    ["sudo sandbox doctor --clean", "remove leftovers of runs by root"],
    ["sandbox doctor --apparmor /usr/local/bin/strict", "the profile for a compiled launcher on Ubuntu"],
  );
}

interface Flags {
  readonly json?: true;
  readonly clean?: true;
  readonly apparmor?: string | true;
}

/** By default for this command itself. The kernel goes by where links lead; a launcher may be compiled later. */
async function printUserNamespaceProfile(path: string | true): Promise<number> {
  const { writeUserNamespaceProfile } = await import("../index.ts");
  const named = resolve(path === true ? (process.argv[1] ?? "") : path);
  print(writeUserNamespaceProfile(existsSync(named) ? realpathSync(named) : named).trimEnd());
  return 0;
}

async function doctor(flags: Flags): Promise<number> {
  const { cleanLeftovers, examine, probeMachine, renderDoctor } = await import("../index.ts");
  // What is kept may be wrong: that is what one asks a doctor about.
  const facts = await probeMachine({ renew: true });
  const cleaned = flags.clean ? cleanLeftovers(facts) : null;
  const report = examine(facts);
  if (flags.json) {
    print(JSON.stringify(cleaned === null ? report : { ...report, cleaned }, null, 2));
  } else {
    if (cleaned !== null) {
      for (const path of cleaned.removed) complain(`sandbox: removed ${path}`);
      for (const { path, reason } of cleaned.kept) complain(`sandbox: kept ${path}: ${reason}`);
    }
    print(renderDoctor(report, { color: colorFor(1) }));
  }
  return report.profiles.strict.runs ? 0 : 1;
}
