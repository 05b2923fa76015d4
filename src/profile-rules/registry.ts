/** Every rule that judges profiles, in the order in which reports and documents name them. */
import type { Registry } from "../gate/rule.ts";
import type { ProfileFacts } from "./facts.ts";
import { CALLS } from "./rules/calls.ts";
import { CONDUCT } from "./rules/conduct.ts";
import { FILES } from "./rules/files.ts";
import { ISOLATION } from "./rules/isolation.ts";
import { PRIVILEGES } from "./rules/privileges.ts";
import { PROPERTY_RULES } from "./rules/properties.ts";
import { RESOURCES } from "./rules/resources.ts";

export const PROFILE_RULES: Registry<ProfileFacts> = {
  kind: "profile",
  rules: [...ISOLATION, ...PRIVILEGES, ...FILES, ...CALLS, ...PROPERTY_RULES, ...RESOURCES, ...CONDUCT],
};
