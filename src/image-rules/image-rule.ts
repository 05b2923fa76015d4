/** Rules over the facts of an image. Most ask for one kind of exposure; what a policy allows is named by pattern. */
import { hash } from "node:crypto";
import type { Keyword } from "../dockerfile/dockerfile.ts";
import { matchesPattern } from "../gate/paths.ts";
import { defineRule, type Origin, type Rule, type RuleText, type Violation } from "../gate/rule.ts";
import { type Exposure, type ExposureKind, exposuresOf } from "../image/diff/exposures.ts";
import { showStep } from "../image/facts/secrets.ts";
import type { Gap } from "../image/packages/package.ts";
import {
  type About,
  type BuildStep,
  type CheckedImage,
  isOfBase,
  placesOf,
  stepAbout,
} from "./checked-image.ts";

export type ImageRule = Rule<CheckedImage>;

/** A violation in the image as a whole, in one of its layers, or in a step of its build, with the line that made it. */
export function violation(
  image: CheckedImage,
  object: string,
  message: string,
  about: About = null,
): Violation {
  const layer = layerAbout(about);
  const from = layer === null ? "" : whence(image, layer);
  const origin = originAbout(image, about);
  return {
    object,
    ...(origin === null ? {} : { origin }),
    message: `${message}${from}`,
    places: placesOf(image, about),
    scopes: scopesOf(image, about),
  };
}

function whence(image: CheckedImage, layer: number): string {
  const step = stepAbout(image, { layer });
  const createdBy = image.layers[layer]?.createdBy ?? "";
  const made = step !== null || createdBy === "" ? createdBy : "made by several steps";
  const base = isOfBase(image, layer) ? " of the base image" : "";
  return `, from layer ${layer + 1}${base}${made === "" ? "" : ` (${shorten(showStep(made))})`}`;
}

const layerAbout = (about: About): number | null =>
  about !== null && about !== "image" && "layer" in about ? about.layer : null;

/** Whose it can be; null where only a comparison with the base tells, see inherited.ts. */
function originAbout(image: CheckedImage, about: About): Origin | null {
  if (image.below === null || about === null) return null;
  if (about === "image" || "keyword" in about) return "own";
  if ("step" in about) return about.step.origin === "base" ? "base" : "own";
  return about.layer < image.below.layers.length ? "base" : "own";
}

/** What a waiver may be limited to: the image, and the layer as stored or unpacked. */
function scopesOf(image: CheckedImage, about: About): readonly string[] {
  const layer = stepLayer(image, about);
  const { digest, diffId } = (layer === null ? undefined : image.layers[layer]) ?? {
    digest: null,
    diffId: null,
  };
  return [image.manifestDigest, image.configDigest, digest, diffId].filter((one) => one !== null);
}

function stepLayer(image: CheckedImage, about: About): number | null {
  return layerAbout(about) ?? stepAbout(image, about)?.layer ?? null;
}

export const shorten = (line: string): string => {
  const plain = line.replaceAll(/\s+/g, " ").trim();
  return plain.length > 80 ? `${plain.slice(0, 77)}...` : plain;
};

/**
 * A step's name in findings: what it does, in words that stay when lines move; never a secret. A waiver for a long step is for all of it: what is
 * not shown is in a digest.
 */
export function nameOfStep({ keyword, text, script }: BuildStep): string {
  const shown = showStep(`${keyword ?? ""} ${keyword === "RUN" ? script : text}`)
    .replaceAll(/\s+/g, " ")
    .trim();
  const short = shorten(shown);
  return short === shown ? short : `${short} sha256:${hash("sha256", shown).slice(0, 16)}`;
}

/** Which instruction decides about what has no layer. */
const DECIDES: Partial<Record<ExposureKind, Keyword>> = {
  "root-user": "USER",
  "no-healthcheck": "HEALTHCHECK",
  port: "EXPOSE",
  "missing-library": "ENTRYPOINT",
};

function aboutOf({ kind, layer }: Exposure): About {
  if (layer !== null) return { layer };
  const keyword = DECIDES[kind];
  return keyword === undefined ? null : { keyword };
}

export const ALLOW = {
  allow: {
    type: "words",
    about: "what is accepted; `*` stands for anything",
    default: [],
  },
} as const;

export const isAllowed = (allow: readonly string[], object: string): boolean =>
  allow.some((pattern) => matchesPattern(pattern, object));

/** A rule that every exposure of some kinds breaks, unless the policy allows its subject. */
export function forbids(
  text: RuleText,
  kinds: readonly ExposureKind[],
  message: (exposure: Exposure) => string,
  applies: (exposure: Exposure, image: CheckedImage) => boolean = () => true,
): ImageRule {
  return defineRule<CheckedImage, typeof ALLOW>({
    ...text,
    options: ALLOW,
    check: (image, { allow }) =>
      exposuresOf(image)
        .filter((one) => kinds.includes(one.kind) && applies(one, image))
        .filter(({ subject }) => !isAllowed(allow, subject))
        .map((one) => violation(image, one.subject, message(one), aboutOf(one))),
  });
}

/** The same rule, not judged where what it asks about could not be read. */
export function decidedBy(of: NonNullable<Gap["of"]>, rule: ImageRule): ImageRule {
  const undecided = (image: CheckedImage, { path, reason }: Gap): Violation => {
    const where = path === "" ? "" : ` for /${path}`;
    return { ...violation(image, "not judged", `cannot be judged${where}: ${reason}`), undecided: true };
  };
  return {
    ...rule,
    check: (image, options) => [
      ...rule.check(image, options),
      ...image.gaps.filter((gap) => gap.of === of).map((gap) => undecided(image, gap)),
    ],
  };
}

/** A rule about the steps of the build, each judged alone. */
export function forbidsSteps(
  text: RuleText,
  judge: (step: BuildStep, index: number) => string | null,
): ImageRule {
  return defineRule<CheckedImage, typeof ALLOW>({
    ...text,
    options: ALLOW,
    check: (image, { allow }) =>
      image.build.steps.flatMap((step, index) => {
        const message = judge(step, index);
        if (message === null) return [];
        const object = nameOfStep(step);
        if (isAllowed(allow, object)) return [];
        return [violation(image, object, message, { step })];
      }),
  });
}
