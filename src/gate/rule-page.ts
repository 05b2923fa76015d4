/** What there is to know about a rule, as Markdown: the page in docs/rules, and what `sandbox check rules` prints. Pure. */
import { formatOption } from "./options.ts";
import { GATE_RULES } from "./own-rules.ts";
import { loadPolicy, type Policy, type PolicyFiles } from "./policy.ts";
import type { Registry, Rule, RuleText, Severity } from "./rule.ts";

/** The shipped policies for a kind of subject, by name. */
export function shippedPolicies<F>(registry: Registry<F>, files: PolicyFiles): readonly Policy[] {
  return (files.names?.() ?? []).flatMap((policy) => {
    const loaded = loadPolicy({ policy, cwd: "/", source: { kind: "default" } }, registry, files);
    return loaded.ok ? [loaded.value] : [];
  });
}

/** One rule: what holds, why, what to do, options, and the policies that ask it. */
export function rulePage<F>(rule: Rule<F>, registry: Registry<F>, files: PolicyFiles): string {
  const asked = shippedPolicies(registry, files).flatMap((policy) => {
    const setting = policy.settings.get(rule.id);
    if (setting === undefined || setting.severity === "off") return [];
    const options = Object.entries(rule.options)
      .filter(([name, kind]) => JSON.stringify(setting.options[name]) !== JSON.stringify(kind.default))
      .map(([name, kind]) => `\`${name}\`: ${code(formatOption(kind, setting.options[name]))}`);
    return [`| ${policy.name} | ${setting.severity} | ${options.join(", ")} |`];
  });
  const options = Object.entries(rule.options).map(
    ([name, kind]) => `| \`${name}\` | ${kind.about} | ${code(formatOption(kind, kind.default))} |`,
  );
  return [
    ...textOf(rule),
    ...(options.length === 0
      ? []
      : ["", "## Options", "", "| option | what it says | default |", "|---|---|---|", ...options]),
    "",
    "## Asked by",
    "",
    ...(asked.length === 0
      ? ["No shipped policy asks it."]
      : ["| policy | severity | options |", "|---|---|---|", ...asked]),
    "",
  ].join("\n");
}

/** A rule that the gate has about itself. */
export function ownRulePage(rule: (typeof GATE_RULES)[number]): string {
  return [...textOf(rule), "", `Severity ${rule.severity} unless a policy says otherwise.`, ""].join("\n");
}

export interface RuleRow {
  readonly id: string;
  readonly title: string;
  /** In the order of the policies; "off" where one does not ask. */
  readonly severities: readonly Severity[];
}

/** All rules, and the severity that each shipped policy gives them. */
export function tabulateRules<F>(
  registry: Registry<F>,
  files: PolicyFiles,
): { readonly policies: readonly string[]; readonly rows: readonly RuleRow[] } {
  const policies = shippedPolicies(registry, files);
  const ofRules = registry.rules.map(({ id, title }) => ({
    id,
    title,
    severities: policies.map((policy) => policy.settings.get(id)?.severity ?? "off"),
  }));
  const own = GATE_RULES.map(({ id, title, severity }) => ({
    id,
    title,
    severities: policies.map((policy) => policy.settings.get(id)?.severity ?? severity),
  }));
  return { policies: policies.map(({ name }) => name), rows: [...ofRules, ...own] };
}

function textOf({ id, title, rationale, remediation, references }: RuleText): readonly string[] {
  return [
    `# ${title}`,
    "",
    `Rule \`${id}\`.`,
    "",
    `**Why.** ${rationale}`,
    "",
    `**What to do.** ${remediation}`,
    ...(references.length === 0
      ? []
      : ["", ...references.map((reference) => `- [${reference.title}](${reference.url})`)]),
  ];
}

/** Long lists break at commas, and a bar would end a table cell. */
const code = (text: string): string => `\`${text.replaceAll(",", ", ").replaceAll("|", "\\|")}\``;
