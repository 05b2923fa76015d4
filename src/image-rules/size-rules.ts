/** Rules about how much there is: of files, of packages, of what nothing uses. */
import { humanSize, plural } from "../amounts.ts";
import { defineRule } from "../gate/rule.ts";
import type { LeftoverKind } from "../image/facts/leftovers.ts";
import type { CheckedImage } from "./checked-image.ts";
import { type ImageRule, violation } from "./image-rule.ts";
import { cis, dockle } from "./references.ts";

const LEFTOVERS: readonly LeftoverKind[] = [
  "documentation",
  "manual-pages",
  "locales",
  "headers",
  "static-libraries",
  "package-cache",
  "cache",
  "logs",
  "temporary",
  "version-control",
  "editor",
  "cloud-settings",
  "build-files",
  "bytecode",
  "tests",
];

const limit = (about: string, initial: number) => ({ type: "size", about, default: initial }) as const;

export const SIZE_RULES: readonly ImageRule[] = [
  defineRule<
    CheckedImage,
    { kinds: { type: "words"; about: string; default: readonly string[]; known: () => readonly string[] } }
  >({
    id: "no-leftovers",
    title: "There is nothing that no program of the image uses",
    rationale:
      "Caches, documentation, headers and repositories make an image slower to pull and give away how it was made; version control often holds what was removed.",
    remediation: "Remove it in the same RUN that made it, or copy only what is needed into the last stage.",
    references: [dockle("DKL-LI-0003")],
    options: {
      kinds: {
        type: "words",
        about: "what counts",
        default: [
          "package-cache",
          "cache",
          "temporary",
          "version-control",
          "editor",
          "cloud-settings",
          "build-files",
        ],
        known: () => LEFTOVERS,
      },
    },
    check: (facts, { kinds }) =>
      facts.leftovers
        .filter(({ kind, bytes }) => kinds.includes(kind) && bytes > 0)
        .map(({ kind, files, bytes, examples, layer }) => ({
          ...violation(
            facts,
            kind,
            `${kind}: ${humanSize(bytes)} in ${plural(files, "file")}, such as /${examples[0] ?? ""}`,
          ),
          amount: bytes,
          // One own file among a thousand of the base's makes them the image's.
          ...(facts.below === null || layer < facts.below.layers.length ? {} : { origin: "own" as const }),
        })),
  }),
  defineRule<CheckedImage, { limit: { type: "size"; about: string; default: number } }>({
    id: "no-waste",
    title: "Layers hold little that later layers hide",
    rationale:
      "What a later layer deletes or replaces is still stored, pulled and readable. The copy that is seen does not count here, nor do other names of one file.",
    remediation:
      "Delete and change files in the RUN that makes them; set owner and mode with COPY --chown and --chmod.",
    references: [],
    options: { limit: limit("how much may be hidden", 2 ** 20) },
    check: (facts, { limit: most }) => {
      const [largest] = facts.waste.largest;
      if (facts.waste.bytes <= most || largest === undefined) return [];
      const what = `${humanSize(facts.waste.bytes)} of files are hidden by later layers, most of it /${largest.path}`;
      return [{ ...violation(facts, "waste", what, { layer: largest.layer }), amount: facts.waste.bytes }];
    },
  }),
  defineRule<CheckedImage, { limit: { type: "size"; about: string; default: number } }>({
    id: "size-limit",
    title: "The image is no larger than it was allowed",
    rationale: "Size is what is pulled at every start and what has to be kept patched.",
    remediation: "Look at sandbox image inspect for what is large, or raise the limit with a reason.",
    references: [],
    options: { limit: limit("bytes of files that a container sees", 256 * 2 ** 20) },
    check: (facts, { limit: most }) =>
      facts.size.visible <= most
        ? []
        : [
            {
              ...violation(
                facts,
                "size",
                `${humanSize(facts.size.visible)} of files, more than ${humanSize(most)}`,
              ),
              amount: facts.size.visible,
            },
          ],
  }),
  defineRule<CheckedImage, { limit: { type: "integer"; about: string; default: number } }>({
    id: "package-limit",
    title: "There are no more packages than were allowed",
    rationale: "Each package is somebody else's code that has to be watched and updated.",
    remediation: "Leave out what the program does not need; --no-install-recommends leaves out most.",
    references: [cis("4.3")],
    options: { limit: { type: "integer", about: "how many", default: 60 } },
    check: (facts, { limit: most }) =>
      facts.packages.length <= most
        ? []
        : [
            {
              ...violation(
                facts,
                "packages",
                `${plural(facts.packages.length, "package")}, more than ${most}`,
              ),
              amount: facts.packages.length,
            },
          ],
  }),
];
