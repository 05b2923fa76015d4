// A process of the library in a place of its own: runs what its standard input asks for, one JSON line each, one answer each.
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createSandbox, ProfileError } from "../../../../dist/index.js";

async function answer({ profile, values, argv, timeout, standalone }) {
  const overrides = Object.entries(values).map(([pointer, value]) => ({
    pointer,
    value,
    source: { kind: "option", option: "test" },
  }));
  const mode = standalone === undefined ? "supervised" : "standalone";
  const options = { profile, overrides, mode, cwd: "/", audit: { file: null } };
  const sandbox = await createSandbox(options);
  try {
    if (standalone !== undefined) {
      const { image, plan } = await sandbox.compile(null);
      writeFileSync(standalone, image, { mode: 0o755 });
      return { decisions: plan.decisions };
    }
    const { decisions } = await sandbox.planFor(argv);
    return { decisions, outcome: await sandbox.run(argv, timeout === undefined ? {} : { timeout }) };
  } finally {
    sandbox.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = await answer(JSON.parse(line));
  } catch (error) {
    said =
      error instanceof ProfileError
        ? { problems: error.problems.map(({ message }) => message) }
        : { broken: error.stack };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
