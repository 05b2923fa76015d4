/**
 * sandbox image: look into container images without unpacking or running anything. Exit status 0 fine, 2 wrong use, 3 the image could not be
 * read. What it does is in inspect-image.ts, loaded when it is asked for.
 */
import { Command, Option } from "commander";
import type { Inherited } from "../gate/inherited.ts";
import type { DiffFlags } from "./diff-images.ts";
import { addExamples } from "./examples.ts";
import type { ProfileImageFlags } from "./profile-image.ts";

/** Options that every command about an image has. */
export interface ImageFlags {
  readonly platform?: string;
  readonly tag?: string;
  readonly limit?: readonly string[];
}

/** The image that another one was built on. */
export interface BaseFlags {
  readonly base?: string;
  readonly baseTag?: string;
}

/** Those of sandbox check image. */
export interface ImageCheckFlags extends ImageFlags, BaseFlags {
  readonly inherited: Inherited;
  readonly evidence?: readonly string[];
  readonly dockerfile?: string;
  readonly target?: string;
  readonly structureTest?: readonly string[];
}

export interface InspectFlags extends ImageFlags, BaseFlags {
  readonly json?: true;
  readonly why?: string;
}

export function imageCommand(finish: (status: number) => void): Command {
  const command = new Command("image")
    .summary("look into container images")
    .description(
      "Looks into container images: OCI layout directories and archives, what docker save and docker export write, and directories. " +
        "Needs no daemon, network or privileges, writes nothing to disk and runs nothing. Ends with 0, 2 on wrong use, 3 when an image cannot be read.",
    );
  const inspect = new Command("inspect")
    .summary("say what is in an image, and why")
    .description(
      "Says what is in an image: configuration, layers, packages, programs, permissions, secrets, waste.",
    )
    .argument("<IMAGE>", "a directory or an archive")
    .option("--base <IMAGE>", "the image that it was built on: what is the base's is told apart")
    .option("--base-tag <TAG>", "of several images in it: the one with this tag")
    .option("--why <PACKAGE|/PATH>", "say instead why a package, program or library is in it")
    .option("--json", "print all facts as JSON");
  addImageOptions(inspect).action(async (path: string) => {
    const { inspectToStdout } = await import("./inspect-image.ts");
    await inspectToStdout(path, inspect.opts<InspectFlags>());
    finish(0);
  });
  const diff = new Command("diff")
    .summary("say what a new image exposes more than an old one")
    .description(
      "Says what got more permissive, what less, and what is merely different: users, set-user-id files, capabilities, programs, packages, secrets, hardening, size. Ends with 1 when something is more permissive, with 0 when nothing is.",
    )
    .argument("<IMAGE>", "the old image")
    .argument("<NEW>", "the new one")
    .option("--max-growth <SIZE>", "more growth than this is worse as well: 0, 10M")
    .option("--json", "print it as JSON");
  addImageOptions(diff).action(async (before: string, after: string) => {
    const { diffImages } = await import("./diff-images.ts");
    finish(await diffImages(before, after, diff.opts<DiffFlags>()));
  });
  const sbom = new Command("sbom")
    .summary("write a bill of materials")
    .description(
      "Writes a bill of materials: every package that a database in the image lists, and every program that none lists. The time in it is SOURCE_DATE_EPOCH's, if that is set.",
    )
    .argument("<IMAGE>", "a directory or an archive")
    .addOption(
      new Option("--format <FORMAT>", "CycloneDX 1.6 or SPDX 2.3, as JSON")
        .choices(["cyclonedx", "spdx"])
        .default("cyclonedx"),
    );
  addImageOptions(sbom).action(async (path: string) => {
    const { sbomToStdout } = await import("./inspect-image.ts");
    await sbomToStdout(path, sbom.opts<ImageFlags & { readonly format: "cyclonedx" | "spdx" }>());
    finish(0);
  });
  const profile = new Command("profile")
    .summary("write a sandbox profile that fits an image")
    .description(
      "Writes a profile that fits the image: its user, its environment and working directory, what it may write to, its ports, and of the base's system calls those that its programs can ask for, where that can be decided. " +
        "The profile is proved to permit nothing that its base forbids, but for what the image declares, which is listed. Use it with sandbox run --rootfs.",
    )
    .argument("<IMAGE>", "a directory or an archive")
    .option("--base <NAME|FILE>", "the profile to start from", "strict")
    .option("--name <WORD>", "name of the profile; default: that of the image")
    .option("-o, --output <FILE>", "write it to this file; default: stdout");
  addImageOptions(profile).action(async (path: string) => {
    const { profileToStdout } = await import("./profile-image.ts");
    await profileToStdout(path, profile.opts<ProfileImageFlags>());
    finish(0);
  });
  command.addCommand(
    addExamples(
      inspect,
      ["sandbox image inspect ./layout", "an OCI layout, as skopeo and umoci write it"],
      ["sandbox image inspect app.tar --why perl-base", "which package asked for it, and what reaches it"],
      ["docker save app:1 -o app.tar && sandbox image inspect app.tar", "an image of a docker daemon"],
    ),
  );
  command.addCommand(
    addExamples(diff, ["sandbox image diff main.tar branch.tar --max-growth 1M", "what a branch adds"]),
  );
  command.addCommand(
    addExamples(sbom, ["sandbox image sbom app.tar --format spdx > app.spdx.json", "as SPDX"]),
  );
  command.addCommand(
    addExamples(profile, ["sandbox image profile app.tar -o app.json", "from an image to a sandbox"]),
  );
  return addExamples(command, ["sandbox image inspect app.tar", "look into an image"]);
}

export function addImageOptions(command: Command): Command {
  return command
    .option(
      "--platform <OS/ARCH>",
      "of several images: linux/arm64, linux/arm/v7; this machine's unless given",
    )
    .option("--tag <TAG>", "of several images: the one with this tag")
    .option(
      "--limit <NAME=VALUE>",
      "read more than is usual: entries, unpacked, ratio, window, kept, ...; may be given several times",
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    );
}
