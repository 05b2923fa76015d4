/** Rules over structure tests (--structure-test): what an image does not pass. Without such tests nothing is found. */
import type { StructureFailure } from "../structure-test/structure-test.ts";
import type { CheckedImage } from "./checked-image.ts";
import type { ImageRule } from "./image-rule.ts";

const REFERENCES = [
  {
    title: "container-structure-test",
    url: "https://github.com/GoogleContainerTools/container-structure-test",
  },
];

/** A failure stands at the line of the test; the image comes after. */
const failuresOf = ({ structure, path }: CheckedImage, part: StructureFailure["part"]) =>
  structure
    .filter((failure) => failure.part === part)
    .map(({ object, message, place }) => ({
      object,
      message,
      places: [place, { file: path, line: 0, column: 0 }],
    }));

export const STRUCTURE_RULES: readonly ImageRule[] = [
  {
    id: "structure-files",
    title: "Files are there, or not there, as structure tests say",
    rationale:
      "A team wrote down which files its image has, with which permissions. What differs was not meant.",
    remediation: "Change the image, or the test at the line that is named.",
    references: REFERENCES,
    options: {},
    check: (image) => failuresOf(image, "files"),
  },
  {
    id: "structure-contents",
    title: "Files hold what structure tests say",
    rationale: "A team wrote down what configuration its image has. What differs was not meant.",
    remediation: "Change the file in the image, or the test at the line that is named.",
    references: REFERENCES,
    options: {},
    check: (image) => failuresOf(image, "contents"),
  },
  {
    id: "structure-metadata",
    title: "The configuration is as structure tests say",
    rationale: "A team wrote down how its image starts. What differs was not meant.",
    remediation: "Change the instruction in the Dockerfile, or the test at the line that is named.",
    references: REFERENCES,
    options: {},
    check: (image) => failuresOf(image, "metadata"),
  },
];
