/** sandbox profile import: a profile of ours from another tool's filter, on stdout, and on stderr what could not be carried. */
import { basename } from "node:path";
import { Command } from "commander";
import { unwrap } from "../problems.ts";
import { addExamples } from "./examples.ts";
import { complain, print } from "./output.ts";

export function importCommand(finish: (status: number) => void): Command {
  const command = new Command("import")
    .summary("make a profile of another tool's filter")
    .description(
      "Makes a profile of the seccomp profile of Docker, Podman or containerd, of a Kubernetes SeccompProfile or of an OCI config.json, proved to answer every call as the original is written. What could not be carried is listed on stderr.",
    )
    .argument("<FILE>", "the other tool's policy")
    .option("--name <WORD>", "name of the profile; default: that of the file")
    .action(async (file: string) => {
      const { name } = command.opts<{ readonly name?: string }>();
      const { importPolicy } = await import("../import-policy.ts");
      const { formatNote } = await import("../policy-input/fields.ts");
      const { NEWEST_KERNEL } = await import("../compile/seccomp/target.ts");
      const profileName = name ?? basename(file).replace(/\.json$/, "");
      const { text, notes } = unwrap(
        importPolicy({ name: file, profileName, cwd: process.cwd(), arch: "x86_64", kernel: NEWEST_KERNEL }),
      );
      print(text);
      if (notes.length > 0) complain(notes.map((note) => formatNote(note, file)).join("\n"));
      finish(0);
    });
  return addExamples(command, [
    "sandbox profile import ./seccomp.json --name web",
    "from a container engine's file",
  ]);
}
