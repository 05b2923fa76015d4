/**
 * Checking images against a policy: paths → facts → report. Needs no daemon, network, root or anything native. The one file that knows both
 * the gate and the rules of images.
 */
import { stageNames } from "./dockerfile/dockerfile.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { policyFiles } from "./gate/files.ts";
import type { Failure } from "./gate/finding.ts";
import type { Subject } from "./gate/judge.ts";
import { joinPath, relativeTo } from "./gate/paths.ts";
import { conclude, flag, type Gated, type RunRequest, readRulebook } from "./gate/run.ts";
import type { Evidence } from "./image/evidence.ts";
import { inspectImage } from "./image/inspect.ts";
import type { ImageRequest } from "./image/read-image.ts";
import { type BuiltFrom, type CheckedImage, stageOf, toChecked } from "./image-rules/checked-image.ts";
import { IMAGE_RULES } from "./image-rules/registry.ts";
import type { Checked, Problem } from "./problems.ts";
import { TOOL } from "./version.ts";

export interface ImageGateRequest extends RunRequest {
  readonly images: readonly string[];
  /** What recorded runs opened, of the one image that is checked. */
  readonly evidence?: Evidence | null;
  readonly reading: Pick<ImageRequest, "platform" | "tag" | "limits"> & {
    /** Called while an image is read: its path and the bytes unpacked so far. */
    readonly progress?: (path: string, unpacked: number) => void;
  };
  /** The file that the images were built from: findings get its lines. */
  readonly dockerfile?: string | null;
  /** The stage that was built, by name or number; null: the last. */
  readonly target?: string | null;
}

/** The report, or what is wrong with the policy, the waivers or the baseline. An image that cannot be read is a failure in the report. */
export async function gateImages(request: ImageGateRequest): Promise<Checked<Gated>> {
  const { cwd, today, images, reading } = request;
  const rulebook = readRulebook(request, IMAGE_RULES, policyFiles());
  const from = readFrom(request);
  if (!rulebook.ok || !from.ok)
    return { ok: false, problems: [rulebook, from].flatMap((one) => (one.ok ? [] : one.problems)) };
  const subjects: Subject<CheckedImage>[] = [];
  const failures: Failure[] = [];
  for (const path of new Set(images)) {
    const subject = relativeTo(cwd, path);
    const progress = (unpacked: number): void => reading.progress?.(path, unpacked);
    const read = await inspectImage({ ...reading, progress, path }, request.evidence ?? null);
    if (!read.ok) failures.push({ subject, file: path, problems: read.problems });
    else {
      const facts = toChecked(read.value, from.value, today);
      subjects.push({ subject, file: path, notes: notesOf(facts), facts });
    }
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

/** The Dockerfile and the stage of it, when one was named. */
function readFrom({ dockerfile = null, target = null, cwd }: ImageGateRequest): Checked<BuiltFrom | null> {
  const wrong = (name: string, message: string, more: Pick<Problem, "hint" | "expected"> = {}) => ({
    ok: false as const,
    problems: [{ kind: "flag-invalid" as const, where: flag(name), pointer: "", message, ...more }],
  });
  if (dockerfile === null) {
    if (target === null) return { ok: true, value: null };
    return wrong("--target", "there is no Dockerfile whose stage it could be", {
      hint: "give --dockerfile FILE",
    });
  }
  const bytes = policyFiles().read(joinPath(cwd, dockerfile));
  if (bytes === null) return wrong("--dockerfile", `there is no file ${JSON.stringify(dockerfile)}`);
  if (!(bytes instanceof Uint8Array))
    return wrong("--dockerfile", `${JSON.stringify(dockerfile)}: ${bytes.reason}`);
  const parsed = parseDockerfile(bytes, dockerfile);
  if (!parsed.ok) return parsed;
  const stage = stageOf(parsed.value, target);
  if (stage !== null) return { ok: true, value: { dockerfile: parsed.value, stage } };
  return wrong("--target", `${JSON.stringify(target)} is no stage of ${dockerfile}`, {
    expected: `one of ${stageNames(parsed.value).join(", ")}`,
  });
}

function notesOf({ packages, size, layers, build }: CheckedImage): readonly string[] {
  const mebibytes = (size.visible / 2 ** 20).toFixed(1);
  const notes = [
    `${packages.length} packages, ${mebibytes} MiB in ${size.files} files, ${layers.length} layers`,
  ];
  const { traced, dockerfile } = build;
  if (traced === null) return notes;
  const doubt =
    traced.found === 0 && traced.of > 0 ? ": it may be another image's, or the image was squashed" : "";
  return [
    ...notes,
    `${traced.found} of ${traced.of} instructions of ${dockerfile} are in the history${doubt}`,
  ];
}
