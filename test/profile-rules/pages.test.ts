/** Every rule has a page, made from the rule itself (after a change: npm run generate). */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { policyFiles } from "../../src/gate/files.ts";
import { GATE_RULES } from "../../src/gate/own-rules.ts";
import { policySchema } from "../../src/gate/policy-schema.ts";
import type { Registry } from "../../src/gate/rule.ts";
import { ownRulePage, rulePage, tabulateRules } from "../../src/gate/rule-page.ts";
import { IMAGE_RULES } from "../../src/image-rules/registry.ts";
import { PROFILE_RULES } from "../../src/profile-rules/registry.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const files = policyFiles();

describe("the pages of the rules", () => {
  it.each(PROFILE_RULES.rules.map((rule) => [rule.id, rule] as const))("%s", async (id, rule) => {
    await expect(rulePage(rule, PROFILE_RULES, files)).toMatchFileSnapshot(`../../docs/rules/${id}.md`);
  });

  it.each(IMAGE_RULES.rules.map((rule) => [rule.id, rule] as const))("%s", async (id, rule) => {
    await expect(rulePage(rule, IMAGE_RULES, files)).toMatchFileSnapshot(`../../docs/rules/${id}.md`);
  });

  it.each(GATE_RULES.map((rule) => [rule.id, rule] as const))("%s", async (id, rule) => {
    await expect(ownRulePage(rule)).toMatchFileSnapshot(`../../docs/rules/${id}.md`);
  });

  it("are listed", async () => {
    const tableOf = <F>(registry: Registry<F>): readonly string[] => {
      const { policies, rows } = tabulateRules(registry, files);
      return [
        `| rule | what holds | ${policies.join(" | ")} |`,
        `|---|---|${policies.map(() => "---|").join("")}`,
        ...rows.map(
          ({ id, title, severities }) =>
            `| [\`${id}\`](${id}.md) | ${title} | ${severities.map((severity) => (severity === "off" ? "" : severity)).join(" | ")} |`,
        ),
      ];
    };
    const table = [
      "# Rules",
      "",
      "What [the gate](../gate.md) can ask, and the severity that each shipped policy gives it. A rule judges what follows from a profile, never",
      "whether a word stands in it.",
      "",
      ...tableOf(PROFILE_RULES),
      "",
      "## For images",
      "",
      "What is in [an image](../image.md), whatever it is called.",
      "",
      ...tableOf(IMAGE_RULES),
      "",
    ];
    await expect(table.join("\n")).toMatchFileSnapshot("../../docs/rules/README.md");
  });

  it("are no more than there are rules", () => {
    const known = [...PROFILE_RULES.rules, ...IMAGE_RULES.rules, ...GATE_RULES].map(({ id }) => `${id}.md`);
    const found = readdirSync(join(project, "docs/rules")).filter((name) => name !== "README.md");
    expect(found.toSorted()).toEqual(known.toSorted());
  });
});

describe("the schema of policies", () => {
  it("is made from the rules", async () => {
    const text = `${JSON.stringify(policySchema([PROFILE_RULES, IMAGE_RULES]), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot("../../policies/policy.schema.json");
  });
});

describe("rules", () => {
  it("have ids of their own, in words with hyphens", () => {
    const ids = [...PROFILE_RULES.rules, ...IMAGE_RULES.rules, ...GATE_RULES].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[a-z]+(-[a-z]+)*$/.test(id))).toEqual([]);
  });

  it("say what holds, why, and what to do, in whole sentences", () => {
    const poor = [...PROFILE_RULES.rules, ...IMAGE_RULES.rules, ...GATE_RULES].filter(
      ({ title, rationale, remediation }) =>
        !/^[A-Z].*[^.]$/.test(title) ||
        !/^[A-Z].{40,}\.$/s.test(rationale) ||
        !/^[A-Z].{10,}\.$/s.test(remediation),
    );
    expect(poor.map(({ id }) => id)).toEqual([]);
  });

  it("are each asked by a shipped policy or said to be for policies of one's own", () => {
    const { rows } = tabulateRules(PROFILE_RULES, files);
    const unasked = rows.filter(({ severities }) => severities.every((severity) => severity === "off"));
    expect(unasked.map(({ id }) => id)).toEqual(["no-code-at-run-time", "exposure-limit"]);
  });
});
