/**
 * sandbox image profile, loaded when it is asked for: a profile on stdout or in a file, and on stderr what was proved, what the image was
 * given, what it was not, and how to go on.
 */
import { printable } from "../image/names.ts";
import { type Problem, unwrap } from "../problems.ts";
import { profileOfImage } from "../profile-of-image.ts";
import type { ImageFlags } from "./image.ts";
import { imageRequest } from "./inspect-image.ts";
import { complain, print } from "./output.ts";
import { progressLine } from "./progress.ts";
import { flagProblem, outputFile, refuse } from "./sandbox-options.ts";
import { writeWhole } from "./write-file.ts";

export interface ProfileImageFlags extends ImageFlags {
  readonly base: string;
  readonly name?: string;
  readonly output?: string;
}

export async function profileToStdout(path: string, flags: ProfileImageFlags): Promise<void> {
  const problems: Problem[] = [];
  const request = imageRequest(path, flags, problems);
  const output = flags.output === undefined ? null : outputFile("--output", flags.output, problems);
  if (flags.name !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(flags.name))
    problems.push(
      flagProblem(
        "--name",
        `${JSON.stringify(flags.name)} is not a profile's name`,
        "letters, digits, dots, dashes and underscores, at most 64",
      ),
    );
  refuse(problems);
  const progress = progressLine();
  const { text, name, proved, changes, calls, notes, command } = unwrap(
    await profileOfImage({
      image: { ...request, progress: (unpacked) => progress.report(path, unpacked) },
      base: flags.base,
      name: flags.name ?? null,
      cwd: process.cwd(),
    }).finally(progress.end),
  );
  if (output === null) print(text.trimEnd());
  else await writeWhole(output, text, 0o644, "refuse");
  const file = flags.output ?? `${name}.json`;
  complain(
    [
      `proved: it permits no system call that ${flags.base} forbids (${proved.join(", ")})`,
      changes.length === 0
        ? `proved: nor anything else that ${flags.base} forbids`
        : `proved: nor anything else that ${flags.base} forbids, but that it`,
      ...changes.map((line) => `  ${line}`),
      `system calls: ${calls}`,
      ...notes.map((note) => `note: ${note}`),
      `run it: sandbox run --rootfs DIR -p ${quoted(file.includes("/") ? file : `./${file}`)} -- ${command.length === 0 ? "CMD" : command.map(quoted).join(" ")}`,
    ].join("\n"),
  );
}

/** As a shell reads it back; what a terminal would obey is shown instead. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${printable(word).replaceAll("'", String.raw`'\''`)}'`;
}
