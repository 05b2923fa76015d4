// Makes docs/profile-reference.md from profiles/profile.schema.json. With --check: fails when the page is not current.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const top = fileURLToPath(new URL("..", import.meta.url));
const code = (value) => `\`${JSON.stringify(value)}\``;

export function renderReference(schema) {
  const follow = (node) =>
    node.$ref ? { ...schema.$defs[node.$ref.replace("#/$defs/", "")], ...node } : node;
  const lines = [
    "# Profile reference",
    "",
    "<!-- Made by scripts/profile-reference.mjs from profiles/profile.schema.json; do not edit. -->",
    "",
    schema.description,
    "",
    "`sandbox profile validate FILE` checks a profile, `sandbox profile show NAME --resolved` shows what it comes to.",
    "Any field can be changed for one run: `--set /resources/pids=32`; a pointer that ends in `/-` appends to an array.",
    "`$comment` may stand in every section and has no effect.",
    "",
  ];

  const shape = (node) => {
    if (node["x-expected"]) return node["x-expected"];
    if (node.enum)
      return node.enum
        .filter((value) => value !== null)
        .map(code)
        .join(", ");
    if ("const" in node) return code(node.const);
    return [node.type]
      .flat()
      .filter((type) => type !== "null")
      .join(" or ");
  };

  const field = (name, raw, required) => {
    const node = follow(raw);
    lines.push(`- **\`${name}\`**${required ? " (required)" : ""}: ${node.description}  `);
    const facts = [`Takes ${shape(node)}.`];
    if (node.default !== undefined) facts.push(`Default: ${code(node.default)}.`);
    if (node.examples?.length > 0) facts.push(`Example: ${node.examples.map(code).join(", ")}.`);
    lines.push(`  ${facts.join(" ")}`);
    children(name, node);
  };

  const children = (name, node) => {
    for (const one of node.oneOf ?? []) {
      const tag = node.discriminator.propertyName;
      const value = one.properties[tag].const;
      const rest = Object.entries(one.properties).filter(([key]) => key !== tag);
      if (rest.length === 0)
        lines.push(`- **\`${name}\`** with \`"${tag}": "${value}"\`: ${one.description}`);
      else {
        lines.push(`- **\`${name}\`** with \`"${tag}": "${value}"\`: ${one.description}`);
        for (const [key, child] of rest) field(`${name}.${key}`, child, one.required.includes(key));
      }
    }
    if (node.properties) {
      for (const [key, child] of Object.entries(node.properties))
        if (key !== "$comment") field(`${name}.${key}`, child, (node.required ?? []).includes(key));
    }
    if (typeof node.additionalProperties === "object")
      children(`${name}.NAME`, follow(node.additionalProperties));
    if (node.items) {
      const items = follow(node.items);
      if (items.properties || items.oneOf) children(`${name}[]`, items);
      else if (items.enum) lines.push(`- **\`${name}[]\`**: ${shape(items)}`);
    }
  };

  for (const [name, raw] of Object.entries(schema.properties)) {
    const node = follow(raw);
    lines.push(`## \`${name}\``, "");
    const facts = [node.description];
    const section = node.properties && node.type.includes("object") && name !== "seccomp";
    if (!section) {
      facts.push(`Takes ${shape(node)}.`);
      if (node.default !== undefined) facts.push(`Default: ${code(node.default)}.`);
      if (node.examples?.length > 0) facts.push(`Example: ${node.examples.map(code).join(", ")}.`);
    }
    lines.push(facts.join(" "), "");
    const before = lines.length;
    children(name, node);
    if (lines.length > before) lines.push("");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const page = renderReference(JSON.parse(readFileSync(`${top}profiles/profile.schema.json`, "utf8")));
  const file = `${top}docs/profile-reference.md`;
  if (!process.argv.includes("--check")) writeFileSync(file, page);
  else if (readFileSync(file, "utf8") !== page) {
    console.error("docs/profile-reference.md is not current; run node scripts/profile-reference.mjs");
    process.exit(1);
  }
}
