/** The tables of docs/audit-log.md, made from the published schema. */

export interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly oneOf?: readonly { readonly $ref?: string }[];
}

function table(fields: Readonly<Record<string, Schema>>): string {
  const rows = Object.entries(fields)
    .filter(([, field]) => field.description !== undefined)
    .map(([name, field]) => `| \`${name}\` | ${field.description?.replaceAll("|", "\\|")} |`);
  return ["| field | meaning |", "| --- | --- |", ...rows].join("\n");
}

/** Markdown: the fields of every record, then a section per kind. */
export function documentSchema(schema: Schema): string {
  const kinds = (schema.oneOf ?? []).map(({ $ref = "" }) => $ref.replace("#/$defs/", ""));
  const sections = kinds.map((kind) => {
    const own = schema.$defs?.[kind];
    return `### ${kind}\n\n${own?.description}\n\n${table(own?.properties ?? {})}`;
  });
  return ["### In every record", table(schema.properties ?? {}), ...sections].join("\n\n");
}
