import { expect, it } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { renderReference } from "../../src/cli/reference.ts";

it("docs/cli.md says what the commands are (after a change: npm run generate)", async () => {
  await expect(renderReference(createProgram(() => undefined))).toMatchFileSnapshot("../../docs/cli.md");
});
