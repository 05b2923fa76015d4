/** The JSON Schema of policies of one or more kinds, for editors; made from the rules, so that it cannot be out of date. Pure. */
import type { OptionKind } from "./options.ts";
import { GATE_RULES } from "./own-rules.ts";
import { KINDS, type Registry, SEVERITIES } from "./rule.ts";

export function policySchema(registries: readonly Registry<never>[]): unknown {
  const rules = [...registries.flatMap((registry) => registry.rules), ...GATE_RULES];
  const properties = rules.map(({ id, title, options }) => {
    const kinds = Object.entries(options);
    return [
      id,
      {
        description: title,
        oneOf: [
          { $ref: "#/$defs/severity" },
          {
            type: "array",
            minItems: 1,
            maxItems: 2,
            prefixItems: [
              { $ref: "#/$defs/severity" },
              {
                type: "object",
                additionalProperties: false,
                properties: Object.fromEntries(kinds.map(([name, kind]) => [name, optionSchema(kind)])),
              },
            ],
          },
        ],
      },
    ];
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $comment: "Made from the rules in src; do not edit.",
    title: "Policy",
    description: "Which rules are asked, how bad a violation is, and with which options.",
    type: "object",
    additionalProperties: false,
    required: ["description", "checks", "rules"],
    properties: {
      $schema: { type: "string" },
      $comment: { type: "string" },
      name: { type: "string", minLength: 1, description: "What reports call it." },
      description: { type: "string", minLength: 1, description: "One sentence." },
      checks: { enum: KINDS, description: "What it is for." },
      extends: {
        description:
          "Policies whose settings hold unless this one says otherwise: shipped names or paths relative to this file.",
        oneOf: [
          { type: "string", minLength: 1 },
          { type: "array", items: { type: "string", minLength: 1 } },
        ],
      },
      rules: {
        type: "object",
        additionalProperties: false,
        properties: Object.fromEntries(properties),
      },
    },
    $defs: {
      severity: { enum: SEVERITIES, description: "off: the rule is not asked" },
    },
  };
}

function optionSchema(kind: OptionKind): unknown {
  const { about, default: given } = kind;
  const described = { description: about, default: given };
  switch (kind.type) {
    case "words": {
      const known = kind.known?.();
      const items = known === undefined || known.length > 100 ? { type: "string" } : { enum: known };
      return { type: "array", items, ...described };
    }
    case "choice":
      return { enum: kind.choices, ...described };
    case "integer":
      return { type: "integer", minimum: 0, ...described };
    case "size":
    case "time":
      return { type: ["integer", "string"], ...described };
    case "flag":
      return { type: "boolean", ...described };
  }
  return kind satisfies never;
}
