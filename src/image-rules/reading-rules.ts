/** Rules about what was read: whether it is all, and what every runtime sees. */
import { forbids, type ImageRule } from "./image-rule.ts";

export const READING_RULES: readonly ImageRule[] = [
  forbids(
    {
      id: "nothing-unknown",
      title: "Everything that the rules ask about could be read",
      rationale:
        "A package database that is damaged, hidden behind a link or too long is not an empty one. What could not be read cannot be called clean.",
      remediation:
        "Repair what is named, raise the limit that was reached, or give the image in a form that can be read whole.",
      references: [],
    },
    ["gap"],
    ({ subject, detail }) =>
      `${subject === "image" ? "a part of the image" : subject} could not be read: ${detail}`,
  ),
  forbids(
    {
      id: "unambiguous-layers",
      title: "Every runtime sees the same files",
      rationale:
        "Files and deletions below a directory that is a link, names that are there twice, hard links that change the rights of their file, and devices or attributes that overlayfs obeys give different trees on different runtimes: what was checked is then not what runs.",
      remediation: "Build the layer with a tool that writes one entry for each file, at its real path.",
      references: [
        {
          title: "OCI image specification, layers",
          url: "https://github.com/opencontainers/image-spec/blob/main/layer.md",
        },
      ],
    },
    ["anomaly"],
    ({ subject }) => `the layers are ambiguous: ${subject}`,
  ),
];
