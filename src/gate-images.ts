/**
 * Checking images against a policy: paths → facts → report. Needs no daemon, network, root or anything native. The one file that knows both
 * the gate and the rules of images.
 */
import { humanSize, plural } from "./amounts.ts";
import { stageNames } from "./dockerfile/dockerfile.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { policyFiles } from "./gate/files.ts";
import type { Failure } from "./gate/finding.ts";
import type { Inherited } from "./gate/inherited.ts";
import type { Subject } from "./gate/judge.ts";
import { joinPath, relativeTo } from "./gate/paths.ts";
import { loadPolicy, type Policy } from "./gate/policy.ts";
import { conclude, flag, type Gated, type RunRequest, readRulebook } from "./gate/run.ts";
import { describeBase, type GivenBase, readBase } from "./image/base.ts";
import type { Evidence } from "./image/evidence.ts";
import { factsOf } from "./image/facts/facts.ts";
import type { ImageName } from "./image/open-image.ts";
import { type Image, type ImageRequest, readImage } from "./image/read-image.ts";
import { BASE_FITS } from "./image-rules/base-rules.ts";
import { type BuiltFrom, type CheckedImage, stageOf, toChecked } from "./image-rules/checked-image.ts";
import { describeVerdict, GRADES, gradeOf, scoreOf } from "./image-rules/grade.ts";
import type { ImageRule } from "./image-rules/image-rule.ts";
import { IMAGE_RULES } from "./image-rules/registry.ts";
import { STRUCTURE_RULES } from "./image-rules/structure-rules.ts";
import { describeSupport, SUPPORTED_DISTRIBUTION } from "./image-rules/supported-distribution.ts";
import { type Checked, type Problem, unwrap } from "./problems.ts";
import { countTests, judgeStructure, needsAnotherReading, wantedPaths } from "./structure-test/judge.ts";
import { readStructureTests } from "./structure-test/read.ts";
import type { StructureTests } from "./structure-test/structure-test.ts";
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
  /** The image that they were built on: its findings are told apart. */
  readonly base?: ImageName | null;
  /** Whether findings count that are proved to be the base's; "count" unless given. */
  readonly inherited?: Inherited;
  /** Files of container-structure-test: what an image does not pass is found by the rules structure-*. */
  readonly structureTests?: readonly string[];
}

/** The report, or what is wrong with the policy, the waivers or the baseline. An image that cannot be read is a failure in the report. */
export async function gateImages(request: ImageGateRequest): Promise<Checked<Gated>> {
  const { cwd, today, images, reading } = request;
  const rulebook = readRulebook(request, IMAGE_RULES, policyFiles());
  const from = readFrom(request);
  const tests = readTests(request);
  const base = await readGivenBase(request);
  if (!rulebook.ok || !from.ok || !tests.ok || !base.ok)
    return {
      ok: false,
      problems: [rulebook, from, tests, base].flatMap((one) => (one.ok ? [] : one.problems)),
    };
  const asked = [...rulebook.value.policy.settings].find(
    ([id, { severity }]) => severity !== "off" && STRUCTURE_RULES.some((rule) => rule.id === id),
  );
  if (asked !== undefined && countTests(tests.value) === 0) {
    const message = `the policy ${rulebook.value.policy.name} asks for structure tests (${asked[0]}), and there are none`;
    const where = flag("--structure-test");
    return {
      ok: false,
      problems: [{ kind: "flag-invalid", where, pointer: "", message, hint: "give --structure-test FILE" }],
    };
  }
  const grades = GRADES.map((policy) =>
    unwrap(loadPolicy({ policy, cwd, source: { kind: "default" } }, IMAGE_RULES, policyFiles())),
  );
  const subjects: Subject<CheckedImage>[] = [];
  const failures: Failure[] = [];
  for (const path of new Set(images)) {
    const subject = relativeTo(cwd, path);
    const progress = (unpacked: number): void => reading.progress?.(path, unpacked);
    const read = await readFor(tests.value, { ...reading, progress, path, base: base.value });
    if (!read.ok) failures.push({ subject, file: path, problems: read.problems });
    else {
      const failed = judgeStructure(tests.value, read.value);
      const alone = read.value.base?.image ?? null;
      const below = alone === null ? null : toChecked(await factsOf(alone), null, today);
      const own = await factsOf(read.value, request.evidence ?? null);
      const facts = toChecked(own, from.value, today, failed, below);
      const scores = { score: scoreOf(facts), base: below === null ? null : scoreOf(below) };
      const verdict = describeVerdict(gradeOf(facts, IMAGE_RULES, grades), scores);
      subjects.push({
        subject,
        file: path,
        notes: [...notesOf(facts, tests.value, rulebook.value.policy), verdict],
        facts,
      });
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
    policy: withRules(rulebook.value.policy, [
      ...(countTests(tests.value) === 0 ? [] : STRUCTURE_RULES),
      ...(base.value === null ? [] : [BASE_FITS]),
    ]),
    inherited: request.inherited ?? "count",
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

async function readGivenBase({
  base = null,
  cwd,
  reading,
}: ImageGateRequest): Promise<Checked<GivenBase | null>> {
  if (base === null) return { ok: true, value: null };
  const read = await readBase({ ...base, path: joinPath(cwd, base.path), limits: reading.limits ?? {} });
  return read.ok ? { ok: true, value: { ...read.value, path: base.path } } : read;
}

/** All files together. */
function readTests({ structureTests = [], cwd }: ImageGateRequest): Checked<StructureTests> {
  const problems: Problem[] = [];
  const all: StructureTests[] = [];
  for (const file of structureTests) {
    const bytes = policyFiles().read(joinPath(cwd, file));
    const shown = JSON.stringify(file);
    if (!(bytes instanceof Uint8Array)) {
      const message = bytes === null ? `there is no file ${shown}` : `${shown}: ${bytes.reason}`;
      problems.push({ kind: "flag-invalid", where: flag("--structure-test"), pointer: "", message });
      continue;
    }
    const read = readStructureTests(bytes, file);
    if (read.ok) all.push(read.value);
    else problems.push(...read.problems);
  }
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    value: {
      existence: all.flatMap(({ existence }) => existence),
      content: all.flatMap(({ content }) => content),
      metadata: all.flatMap(({ metadata }) => metadata),
    },
  };
}

/** The image, with the bytes that tests look into. A second time, when links lead to files that nobody knew to keep. */
async function readFor(tests: StructureTests, request: ImageRequest): Promise<Checked<Image>> {
  const image = await readImage({ ...request, keep: wantedPaths(tests, null) });
  if (!image.ok || !needsAnotherReading(tests, image.value)) return image;
  return await readImage({ ...request, keep: wantedPaths(tests, image.value) });
}

/** What was given counts, also with a policy that does not know of it; one that names its rules decides. */
function withRules(policy: Policy, rules: readonly ImageRule[]): Policy {
  const place = { file: "", line: 0, column: 0 };
  const given = rules.map(({ id }) => [id, { severity: "error", options: {}, place }] as const);
  return { ...policy, settings: new Map([...given, ...policy.settings]) };
}

function notesOf(image: CheckedImage, tests: StructureTests, { settings }: Policy): readonly string[] {
  const { packages, size, layers, build, structure, evidence } = image;
  const notes = [
    `${plural(packages.length, "package")}, ${humanSize(size.visible)} in ${plural(size.files, "file")}, ${plural(layers.length, "layer")}`,
  ];
  if (evidence !== null) {
    const { runs, opened, unused } = evidence;
    const rest = `${plural(unused.files, "file")} of ${humanSize(unused.bytes)} never opened`;
    notes.push(`${plural(opened, "file")} opened by ${plural(runs, "recorded run")}, ${rest}`);
  }
  const count = countTests(tests);
  const failed = new Set(structure.map(({ place }) => `${place.file}:${place.line}:${place.column}`)).size;
  if (count > 0) notes.push(`${count - failed} of ${count} structure tests pass`);
  notes.push(...describeBase(image.base));
  const support = describeSupport(image, settings.get(SUPPORTED_DISTRIBUTION.id)?.options);
  if (support !== null) notes.push(support);
  const { traced, dockerfile } = build;
  if (traced === null) return notes;
  const doubt =
    traced.found === 0 && traced.of > 0 ? ": it may be another image's, or the image was squashed" : "";
  return [
    ...notes,
    `${traced.found} of ${traced.of} instructions of ${dockerfile} are in the history${doubt}`,
  ];
}
