/**
 * What rules for images judge: the facts of an image, the steps that built it with their lines in the Dockerfile as far as they are known,
 * and the day. Pure; the Dockerfile comes as data.
 */
import { chainOf, type Dockerfile, type Instruction, type Keyword } from "../dockerfile/dockerfile.ts";
import { readStep } from "../dockerfile/history.ts";
import { type Origin, type Trace, traceHistory } from "../dockerfile/trace.ts";
import type { Place } from "../gate/rule.ts";
import { referenceOf } from "../image/base.ts";
import type { ImageFacts } from "../image/facts/facts.ts";
import type { HistoryLine } from "../image/formats/config.ts";
import type { StructureFailure } from "../structure-test/structure-test.ts";

/** One step of a build: a line of the history, or an instruction of a stage that left none. */
export interface BuildStep {
  readonly keyword: Keyword | null;
  /** The arguments. */
  readonly text: string;
  /** Of RUN: what the shell is given. */
  readonly script: string;
  readonly flags: readonly string[];
  /** "elsewhere": an instruction of another stage, whose files may have been copied. */
  readonly origin: Origin | "elsewhere";
  readonly place: Place | null;
  /** Index of its layer; null when it made none, or that is not known. */
  readonly layer: number | null;
}

/** An image that the build begins with, or copies from. */
export interface Base {
  /** As named, with tag and digest; null when it depends on a build argument that has no default. */
  readonly name: string | null;
  readonly place: Place | null;
}

export interface Build {
  /** Those of the history first, in its order. */
  readonly steps: readonly BuildStep[];
  /** Empty when nothing says: no Dockerfile was given, and no annotation names it. */
  readonly bases: readonly Base[];
  /** The Dockerfile as it was named; null without. */
  readonly dockerfile: string | null;
  /** Instructions that should be in the history, and how many of them are. Null without a Dockerfile. */
  readonly traced: { readonly of: number; readonly found: number } | null;
  /** The FROM line of the stage that was built. */
  readonly stage: Place | null;
  /** The FROM line that names the base image. */
  readonly from: Place | null;
  /** Index of the history line of each layer. */
  readonly lineOfLayer: readonly (number | null)[];
}

export interface CheckedImage extends ImageFacts {
  readonly build: Build;
  /** The image that it was built on, alone; null unless one was given and its layers are the lowest ones. */
  readonly below: CheckedImage | null;
  /** Structure tests that it does not pass; empty without such tests. */
  readonly structure: readonly StructureFailure[];
  /** YYYY-MM-DD. */
  readonly today: string;
}

/** `stage`: index of the stage that was built. */
export interface BuiltFrom {
  readonly dockerfile: Dockerfile;
  readonly stage: number;
}

export function toChecked(
  facts: ImageFacts,
  from: BuiltFrom | null,
  today: string,
  structure: readonly StructureFailure[] = [],
  below: CheckedImage | null = null,
): CheckedImage {
  return { ...facts, build: buildOf(facts, from, below), below, structure, today };
}

/** The stage that a build makes without or with --target; null: there is none of that name or number. */
export function stageOf({ stages }: Dockerfile, target: string | null): number | null {
  if (target === null) return stages.length - 1;
  const named = stages.findIndex(({ name }) => name === target.toLowerCase());
  if (named >= 0) return named;
  return /^\d{1,4}$/.test(target) && Number(target) < stages.length ? Number(target) : null;
}

function buildOf(facts: ImageFacts, from: BuiltFrom | null, below: CheckedImage | null): Build {
  const history = facts.config?.history ?? [];
  const lineOfLayer = linesOfLayers(facts);
  const layerOfLine = new Map(lineOfLayer.flatMap((line, layer) => (line === null ? [] : [[line, layer]])));
  const trace: Trace | null =
    from === null
      ? null
      : traceHistory(
          from.dockerfile,
          from.stage,
          history.map(({ createdBy }) => createdBy),
        );
  const inherited = below === null ? 0 : linesOfBase(history, below);
  const fromLine = trace?.chain[0]?.place ?? null;
  const steps = history.map(({ createdBy }, index): BuildStep => {
    const layer = layerOfLine.get(index) ?? null;
    // Layers prove what words in a history can only suggest.
    if (index < inherited || (layer !== null && layer < (below?.layers.length ?? 0)))
      return { ...readStep(createdBy), flags: [], origin: "base", place: fromLine, layer };
    const traced = trace?.lines[index];
    const { keyword, text, script } = traced?.step ?? readStep(createdBy);
    return {
      keyword,
      text,
      script,
      flags: traced?.instruction?.flags ?? [],
      origin: traced?.origin ?? "unknown",
      place: traced?.place ?? null,
      layer,
    };
  });
  return {
    steps: [...steps, ...(from === null || trace === null ? [] : unseen(from, trace))],
    bases: from === null ? annotatedBase(facts) : basesOf(from),
    dockerfile: from?.dockerfile.file ?? null,
    traced: trace === null ? null : { of: trace.instructions.length, found: trace.found },
    stage: trace?.stage.place ?? null,
    from: fromLine,
    lineOfLayer,
  };
}

/** How many of the first lines are the base's: all of its, if they are word for word the first ones. */
function linesOfBase(history: readonly HistoryLine[], { config }: CheckedImage): number {
  const lines = config?.history ?? [];
  return lines.every(({ createdBy }, index) => createdBy === history[index]?.createdBy) ? lines.length : 0;
}

/**
 * Lines that made a layer, in order; null for all when the numbers do not match, and for a layer that several steps made: buildah without
 * --layers makes one of a whole stage, and the last of its lines is not the one to blame.
 */
function linesOfLayers({ config, layers }: ImageFacts): readonly (number | null)[] {
  const history = config?.history ?? [];
  const lines = history.flatMap(({ empty }, index) => (empty ? [] : [index]));
  if (lines.length !== layers.length) return layers.map(() => null);
  return lines.map((line, layer) => {
    const from = layer === 0 ? 0 : (lines[layer - 1] ?? 0) + 1;
    const merged = history.slice(from, line).some(({ createdBy }) => makesFiles(readStep(createdBy).keyword));
    const { keyword } = readStep(history[line]?.createdBy ?? "");
    return merged || !(keyword === null || keyword === "WORKDIR" || makesFiles(keyword)) ? null : line;
  });
}

/** WORKDIR makes a directory at most, often in no layer of its own. */
const makesFiles = (keyword: Keyword | null): boolean =>
  keyword === "RUN" || keyword === "COPY" || keyword === "ADD";

/** Instructions of other stages, and those of the stages that were built which the history does not have. */
function unseen({ dockerfile, stage }: BuiltFrom, trace: Trace): readonly BuildStep[] {
  const chain = new Set(chainOf(dockerfile, stage));
  const seen = new Set(trace.lines.map(({ instruction }) => instruction));
  return dockerfile.stages.flatMap((one) =>
    one.instructions
      .filter((instruction) => !chain.has(one) || !seen.has(instruction))
      .map((instruction) => stepOf(instruction, chain.has(one) ? "here" : "elsewhere")),
  );
}

function stepOf(instruction: Instruction, origin: BuildStep["origin"]): BuildStep {
  const { keyword, text, flags, heredoc, words, place } = instruction;
  const script = keyword === "RUN" ? (heredoc ?? words?.join(" ") ?? text) : "";
  return { keyword, text, script, flags, origin, place, layer: null };
}

/** Images that some stage begins with or copies from, and one that reads the file; a stage is not an image, and scratch is none. */
function basesOf({ dockerfile }: BuiltFrom): readonly Base[] {
  const names = new Set(dockerfile.stages.flatMap(({ name }) => name ?? []));
  const ofStages = dockerfile.stages.flatMap(({ base, parent, place, instructions }) => [
    ...(parent === null && base !== "scratch" ? [{ name: base, place }] : []),
    ...instructions.flatMap((instruction) =>
      instruction.flags.flatMap((flag) => {
        const [, source] = /^(?:--from=|--mount=(?:.*,)?from=)([^,]+)/i.exec(flag) ?? [];
        if (source === undefined || names.has(source.toLowerCase()) || /^\d+$/.test(source)) return [];
        return [{ name: source.includes("$") ? null : source, place: instruction.place }];
      }),
    ),
  ]);
  return dockerfile.frontend === null ? ofStages : [dockerfile.frontend, ...ofStages];
}

/** What the OCI image specification (annotations) has for the image that this one was made from. */
function annotatedBase({ base }: ImageFacts): readonly Base[] {
  const name = base.declared === null ? null : referenceOf(base.declared);
  return name === null ? [] : [{ name, place: null }];
}

/** Which part of an image a finding is about. */
export type About =
  | { readonly layer: number }
  | { readonly step: BuildStep }
  /** The last instruction of its kind decides. */
  | { readonly keyword: Keyword }
  /** The image as such, whatever is in it: its name, its age. */
  | "image"
  /** Its content as a whole. */
  | null;

/** Whether a layer is one of the base's: by proof, or as far as the Dockerfile tells. */
export function isOfBase(image: CheckedImage, layer: number): boolean {
  return layer < (image.below?.layers.length ?? 0) || stepAbout(image, { layer })?.origin === "base";
}

/** The step that a finding is about. */
export function stepAbout({ build }: CheckedImage, about: About): BuildStep | null {
  if (about === null || about === "image") return null;
  if ("step" in about) return about.step;
  if ("layer" in about) {
    const line = build.lineOfLayer[about.layer];
    return line === null || line === undefined ? null : (build.steps[line] ?? null);
  }
  return (
    build.steps.findLast(({ keyword, origin }) => keyword === about.keyword && origin !== "elsewhere") ?? null
  );
}

/**
 * Where its author can change it: the line of the Dockerfile, then the image. Without a line the Dockerfile as a whole; without a
 * Dockerfile the image.
 */
export function placesOf(image: CheckedImage, about: About): readonly Place[] {
  const { build, path } = image;
  const whole: Place = { file: path, line: 0, column: 0 };
  if (build.dockerfile === null) return [whole];
  const step = stepAbout(image, about);
  // An instruction that is missing is missing in the stage that was built.
  const isAbsent = about === null || about === "image" || ("keyword" in about && step === null);
  const fromBase = about !== null && about !== "image" && "layer" in about && isOfBase(image, about.layer);
  const place = step?.place ?? (isAbsent ? build.stage : fromBase ? build.from : null);
  return [place ?? { file: build.dockerfile, line: 0, column: 0 }, whole];
}
