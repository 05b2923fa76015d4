/**
 * What `sandbox image` does, loaded when it is asked for. Throws ProfileError with what is wrong.
 */
import { readEvidence } from "../evidence-files.ts";
import { gateImages } from "../gate-images.ts";
import { readBase } from "../image/base.ts";
import type { Evidence } from "../image/evidence.ts";
import {
  DEFAULT_LIMITS,
  type ImageFacts,
  type ImageRequest,
  inspectImage,
  type Limits,
  toCycloneDx,
  toSpdx,
} from "../image/index.ts";
import type { ImageName } from "../image/open-image.ts";
import { type Problem, unwrap } from "../problems.ts";
import { nearest } from "../profile/nearest.ts";
import { parseSize } from "../profile/units.ts";
import type { CheckFlags, ReportOptions } from "./check.ts";
import { runGate } from "./check-profiles.ts";
import { colorFor } from "./color.ts";
import type { BaseFlags, ImageCheckFlags, ImageFlags, InspectFlags } from "./image.ts";
import { toJson } from "./json.ts";
import { print } from "./output.ts";
import { progressLine } from "./progress.ts";
import { renderImage } from "./render-image.ts";
import { renderWhy } from "./render-why.ts";
import { flagProblem, refuse } from "./sandbox-options.ts";

export async function inspectToStdout(path: string, flags: InspectFlags): Promise<void> {
  const facts = await readFacts(path, flags);
  if (flags.why !== undefined) {
    const why = renderWhy(facts, flags.why);
    if (why !== null) print(why);
    else refuse([notThere(flags.why)]);
    return;
  }
  print(flags.json ? toJson(facts) : renderImage(facts, colorFor(1)));
}

const notThere = (what: string): Problem =>
  flagProblem(
    "--why",
    `the image has no package, program or library ${JSON.stringify(what)}`,
    "a package's name, or the path of a program or library from /",
  );

/** Checks images and reports; gives the exit status. */
export async function checkImages(
  images: readonly string[],
  flags: CheckFlags & ImageCheckFlags,
  reports: ReportOptions,
): Promise<number> {
  const { platform, tag, limits = {} } = imageRequest("", flags, reports.problems);
  const base = baseOf(flags, reports.problems);
  if (base === null && flags.inherited === "apart")
    reports.problems.push(
      flagProblem("--inherited", "no base is given that something could be inherited from", "--base IMAGE"),
    );
  if (images.includes(""))
    reports.problems.push(
      flagProblem(
        "sandbox check image",
        "an image's path is empty",
        "a path; is a variable of the script not set?",
      ),
    );
  const evidence = evidenceOf(images, flags.evidence ?? [], reports.problems);
  const progress = progressLine();
  return await runGate(flags, reports, async (request) => {
    try {
      return await gateImages({
        ...request,
        images,
        evidence,
        reading: { platform, tag, limits, progress: progress.report },
        base,
        inherited: flags.inherited,
        dockerfile: flags.dockerfile ?? null,
        target: flags.target ?? null,
        structureTests: flags.structureTest ?? [],
      });
    } finally {
      progress.end();
    }
  });
}

/** The base that was named, which is for the same platform. */
function baseOf(flags: ImageFlags & BaseFlags, problems: Problem[]): ImageName | null {
  if (flags.base !== undefined)
    return { path: flags.base, platform: flags.platform ?? null, tag: flags.baseTag ?? null };
  if (flags.baseTag !== undefined)
    problems.push(flagProblem("--base-tag", "there is no base whose tag it could be", "--base IMAGE"));
  return null;
}

function evidenceOf(
  images: readonly string[],
  files: readonly string[],
  problems: Problem[],
): Evidence | null {
  if (files.length > 0 && new Set(images).size > 1)
    problems.push(flagProblem("--evidence", "it is about one image, and several are checked", "one image"));
  const read = readEvidence(files, process.cwd());
  if (read.ok) return read.value;
  problems.push(...read.problems);
  return null;
}

export async function sbomToStdout(
  path: string,
  flags: ImageFlags & { readonly format: "cyclonedx" | "spdx" },
): Promise<void> {
  const facts = await readFacts(path, flags);
  const time = sourceDate() ?? new Date();
  print(toJson(flags.format === "spdx" ? toSpdx(facts, time) : toCycloneDx(facts, time)));
}

/** What reproducible builds set, in seconds (reproducible-builds.org/specs/source-date-epoch). */
function sourceDate(): Date | null {
  const text = process.env["SOURCE_DATE_EPOCH"] ?? "";
  return /^[0-9]{1,11}$/.test(text) ? new Date(Number(text) * 1000) : null;
}

/** The facts of an image as the command line names it. */
export async function readFacts(path: string, flags: ImageFlags & BaseFlags): Promise<ImageFacts> {
  const problems: Problem[] = [];
  const request = imageRequest(path, flags, problems);
  const named = baseOf(flags, problems);
  refuse(problems);
  const base = named === null ? null : unwrap(await readBase({ ...named, limits: request.limits ?? {} }));
  const { report, end } = progressLine();
  try {
    return unwrap(await inspectImage({ ...request, base, progress: (unpacked) => report(path, unpacked) }));
  } finally {
    end();
  }
}

export function imageRequest(path: string, flags: ImageFlags, problems: Problem[]): ImageRequest {
  const limits: Partial<Record<keyof Limits, number>> = {};
  for (const text of flags.limit ?? []) {
    const [name = "", value = ""] = text.split("=");
    const known = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[];
    const limit = known.find((one) => one === name);
    const number = parseSize(value);
    if (limit === undefined) {
      const near = nearest(name, known);
      const suggestion = near === undefined ? {} : { suggestion: near };
      problems.push({
        ...flagProblem("--limit", `${JSON.stringify(name)} is not a limit`, known.join(", ")),
        ...suggestion,
      });
    } else if (number === null || number === 0)
      problems.push(
        flagProblem(
          "--limit",
          `${JSON.stringify(value)} is not a limit's value`,
          `a number or a size such as ${limit}=2G`,
        ),
      );
    else limits[limit] = number;
  }
  return {
    path,
    platform: flags.platform ?? null,
    tag: flags.tag ?? null,
    limits,
  };
}
