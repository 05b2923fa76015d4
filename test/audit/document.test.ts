import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { documentSchema } from "./document.ts";

const START =
  "<!-- fields: made from src/audit/audit-record.schema.json; UPDATE_DOCS=1 npx vitest run test/audit/document -->\n";
const END = "<!-- end of fields -->\n";

test("the document's tables are those of the schema", () => {
  const page = new URL("../../docs/audit-log.md", import.meta.url);
  const schema = JSON.parse(
    readFileSync(new URL("../../src/audit/audit-record.schema.json", import.meta.url), "utf8"),
  );
  const text = readFileSync(page, "utf8");
  const [before, rest = ""] = text.split(START);
  const expected = `${before}${START}\n${documentSchema(schema)}\n\n${END}${rest.split(END)[1]}`;
  if (process.env.UPDATE_DOCS === "1") writeFileSync(page, expected);
  expect(readFileSync(page, "utf8")).toBe(expected);
});
