/** Every rule that judges images, in the order in which reports and documents name them. */
import type { Registry } from "../gate/rule.ts";
import { BASE_RULES } from "./base-rules.ts";
import { BUILD_RULES } from "./build-rules.ts";
import type { CheckedImage } from "./checked-image.ts";
import { CONTENT_RULES } from "./content-rules.ts";
import { EVIDENCE_RULES } from "./evidence.ts";
import { withOrigin } from "./inherited.ts";
import { PROGRAM_RULES } from "./program-rules.ts";
import { READING_RULES } from "./reading-rules.ts";
import { RIGHTS_RULES } from "./rights-rules.ts";
import { SECRET_RULES } from "./secret-rules.ts";
import { SIZE_RULES } from "./size-rules.ts";
import { STRUCTURE_RULES } from "./structure-rules.ts";

export const IMAGE_RULES: Registry<CheckedImage> = {
  kind: "image",
  rules: [
    ...READING_RULES,
    ...RIGHTS_RULES,
    ...SECRET_RULES,
    ...PROGRAM_RULES,
    ...SIZE_RULES,
    ...EVIDENCE_RULES,
    ...CONTENT_RULES,
    ...BASE_RULES,
    ...BUILD_RULES,
    ...STRUCTURE_RULES,
  ].map(withOrigin),
};
