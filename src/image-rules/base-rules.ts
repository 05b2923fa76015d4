/** Rules about where an image comes from and what it says of itself: its base, its age, its name, its labels. */
import { defineRule } from "../gate/rule.ts";
import type { CheckedImage } from "./checked-image.ts";
import { ALLOW, type ImageRule, isAllowed, violation } from "./image-rule.ts";
import { cis, dockerfile, dockle, ociAnnotations } from "./references.ts";
import { SUPPORTED_DISTRIBUTION } from "./supported-distribution.ts";

const DAY = 86_400_000;
const UNKNOWN_BASE =
  "which image it is based on is not known: no Dockerfile was given, and no annotation says it";

/** A violation for each base that `judge` finds something about; one when no base is known. */
function ofBases(image: CheckedImage, judge: (name: string | null) => string | null) {
  const { bases, dockerfile: from } = image.build;
  // A Dockerfile without one begins with scratch. A history that says nothing, or was cut off, is no proof of that.
  if (bases.length === 0) return from === null ? [violation(image, "base", UNKNOWN_BASE, "image")] : [];
  return bases.flatMap(({ name, place }) => {
    const message = judge(name);
    if (message === null) return [];
    const found = violation(image, name ?? "a base that depends on a build argument", message, "image");
    return [place === null ? found : { ...found, places: [place, ...found.places.slice(1)] }];
  });
}

/** What a name maps to, not what every object has; null when that is nothing but blanks. */
const ownText = (table: Readonly<Record<string, string>> | undefined, name: string): string | null => {
  const text = table !== undefined && Object.hasOwn(table, name) ? (table[name] ?? "").trim() : "";
  return text === "" ? null : text;
};

/** "latest", given or implied; a digest says more than a tag. */
const isFloating = (name: string): boolean => {
  if (name.includes("@sha256:")) return false;
  const tag = /:([^:/@]+)$/.exec(name)?.[1];
  return tag === undefined || tag === "latest";
};

/** Asked whenever a base is given. */
export const BASE_FITS: ImageRule = {
  id: "base-fits",
  title: "The base image that was given is the one that the image was built on",
  rationale:
    "What is the base's and what is the image's own is told by layers that both have. Of another image, or another version of the same, nothing can be told: all findings then count as the image's own.",
  remediation:
    "Give the very image that was built on, by its digest; or build again on the one that was given. An image that was squashed has no layers of its base.",
  references: [ociAnnotations],
  options: {},
  check: (image) => {
    const { given } = image.base;
    if (given === null || given.fits) return [];
    const common =
      given.shared === 0
        ? "none of its layers is in it"
        : `of its ${given.layers} layers only the lowest ${given.shared} are in it`;
    return [violation(image, "base", `the image was not built on ${given.path}: ${common}`, "image")];
  },
};

export const BASE_RULES: readonly ImageRule[] = [
  BASE_FITS,
  defineRule<CheckedImage, typeof ALLOW>({
    id: "pinned-base",
    title: "Every base image is named by its digest",
    rationale:
      "A tag is a name that its owner may give to another image at any time: the same Dockerfile then builds something else. A digest is the image.",
    remediation: "Write FROM name:tag@sha256:..., and let a bot renew the digest.",
    references: [cis("4.2"), ociAnnotations],
    options: ALLOW,
    check: (image, { allow }) =>
      ofBases(image, (name) => {
        if (name === null) return "the base depends on a build argument without a default";
        return name.includes("@sha256:") || isAllowed(allow, name)
          ? null
          : `the base ${name} is named by its tag only`;
      }),
  }),
  defineRule<CheckedImage, typeof ALLOW>({
    id: "trusted-base",
    title: "Every base image is one of those that were chosen",
    rationale:
      "Whoever makes the base image makes most of yours. Anybody can publish an image under a trustworthy name.",
    remediation:
      "Build on an image of the list, or add this one to the option `allow` of the policy: registry/name:*.",
    references: [cis("4.2")],
    options: ALLOW,
    check: (image, { allow }) =>
      ofBases(image, (name) => {
        if (name === null) return "the base depends on a build argument without a default";
        const [plain = name] = name.split("@");
        return isAllowed(allow, name) || isAllowed(allow, plain)
          ? null
          : `the base ${name} is not in the list`;
      }),
  }),
  SUPPORTED_DISTRIBUTION,
  defineRule<CheckedImage, { days: { type: "integer"; about: string; default: number } }>({
    id: "recent-build",
    title: "The image was built not long ago",
    rationale: "An image is patched by building it again. One that is old has all that was found since.",
    remediation:
      "Build it again, on a base that was built again; in CI by a schedule, not only when code changes.",
    references: [cis("4.4")],
    options: { days: { type: "integer", about: "how many days old it may be", default: 90 } },
    check: (image, { days }) => {
      const created = Date.parse(image.config?.created ?? "");
      if (Number.isNaN(created) || created <= DAY)
        return [violation(image, "created", "the image does not say when it was built", "image")];
      const age = Math.floor((Date.parse(`${image.today}T00:00:00Z`) - created) / DAY);
      // A day of grace: elsewhere it is tomorrow already.
      if (age < -2)
        return [
          violation(image, "created", `the image says that it was built ${-age} days from now`, "image"),
        ];
      if (age <= days) return [];
      return [
        {
          ...violation(image, "created", `the image is ${age} days old, more than ${days}`, "image"),
          amount: age,
        },
      ];
    },
  }),
  defineRule<CheckedImage, Record<string, never>>({
    id: "no-latest-tag",
    title: "The image is not called latest",
    rationale:
      "Nobody can say which image of that name runs, go back to the one before, or find out since when.",
    remediation: "Give it a tag of its own, such as a version or a commit.",
    references: [dockle("DKL-DI-0006")],
    options: {},
    check: (image) =>
      image.names
        .filter((name) => name === "latest" || (/[/:]/.test(name) && isFloating(name)))
        .map((name) => violation(image, name, `the image is called ${name}`, "image")),
  }),
  defineRule<CheckedImage, { required: { type: "words"; about: string; default: readonly string[] } }>({
    id: "labels",
    title: "The image says where it comes from",
    rationale: "Who finds a hole in a running image must find its source and its owner.",
    remediation: 'Add LABEL org.opencontainers.image.source="https://..." and what else the policy asks for.',
    references: [ociAnnotations, dockerfile("LABEL", "label")],
    options: {
      required: {
        type: "words",
        about: "labels or annotations that must be there and not be empty",
        default: ["org.opencontainers.image.source", "org.opencontainers.image.revision"],
      },
    },
    check: (image, { required }) =>
      required
        .filter((name) => (ownText(image.config?.labels, name) ?? ownText(image.annotations, name)) === null)
        .map((name) => violation(image, name, `the label ${name} is missing`, { keyword: "LABEL" })),
  }),
];
