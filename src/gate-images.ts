/**
 * Checking images against a policy: paths → facts → report. Needs no daemon, network, root or anything native. The one file that knows both
 * the gate and the rules of images.
 */
import { policyFiles } from "./gate/files.ts";
import type { Failure } from "./gate/finding.ts";
import type { Subject } from "./gate/judge.ts";
import { relativeTo } from "./gate/paths.ts";
import { conclude, type Gated, type RunRequest, readRulebook } from "./gate/run.ts";
import type { Evidence } from "./image/evidence.ts";
import type { ImageFacts } from "./image/facts/facts.ts";
import { inspectImage } from "./image/inspect.ts";
import type { ImageRequest } from "./image/read-image.ts";
import { IMAGE_RULES } from "./image-rules/registry.ts";
import type { Checked } from "./problems.ts";
import { TOOL } from "./version.ts";

export interface ImageGateRequest extends RunRequest {
  readonly images: readonly string[];
  /** What recorded runs opened, of the one image that is checked. */
  readonly evidence?: Evidence | null;
  readonly reading: Pick<ImageRequest, "platform" | "tag" | "limits" | "progress">;
}

/** The report, or what is wrong with the policy, the waivers or the baseline. An image that cannot be read is a failure in the report. */
export async function gateImages(request: ImageGateRequest): Promise<Checked<Gated>> {
  const { cwd, today, images, reading } = request;
  const rulebook = readRulebook(request, IMAGE_RULES, policyFiles());
  if (!rulebook.ok) return rulebook;
  const subjects: Subject<ImageFacts>[] = [];
  const failures: Failure[] = [];
  for (const path of new Set(images)) {
    const subject = relativeTo(cwd, path);
    const facts = await inspectImage({ ...reading, path }, request.evidence ?? null);
    if (facts.ok) subjects.push({ subject, file: path, notes: notesOf(facts.value), facts: facts.value });
    else failures.push({ subject, file: path, problems: facts.problems });
  }
  const judgement = {
    tool: TOOL,
    registry: IMAGE_RULES,
    subjects,
    failures,
    today,
    base: cwd,
    ...rulebook.value,
  };
  return { ok: true, value: conclude(request, judgement) };
}

function notesOf({ packages, size, layers }: ImageFacts): readonly string[] {
  const mebibytes = (size.visible / 2 ** 20).toFixed(1);
  return [`${packages.length} packages, ${mebibytes} MiB in ${size.files} files, ${layers.length} layers`];
}
