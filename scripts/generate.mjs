// Writes every file that is made from another one and kept in git, and the validators that the sources import. Tests compare
// each with its source, so that none is ever stale. The tables of system calls change only on request: see syscall-tables.mjs.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const top = fileURLToPath(new URL("..", import.meta.url));
const node = process.execPath;

const STEPS = [
  // profiles/profile.schema.json → src/profile/validators.generated.ts. First: the sources import it.
  [node, "scripts/validators.mjs"],
  // profiles/profile.schema.json → docs/profile-reference.md
  [node, "scripts/profile-reference.mjs"],
  // src/compile/seccomp/ → src/kernel/fingerprint.generated.ts and docs/seccomp-groups.md
  [node, "scripts/syscall-tables.mjs", ...process.argv.slice(2)],
  // src/cli/ → docs/cli.md, which is the snapshot of a test
  ["node_modules/.bin/vitest", "run", "test/cli/reference.test.ts", "--update"],
  // the rules → docs/rules/ and policies/policy.schema.json, likewise
  ["node_modules/.bin/vitest", "run", "test/profile-rules/pages.test.ts", "--update"],
];

for (const [command, ...args] of STEPS) {
  const { status, error } = spawnSync(command, args, { cwd: top, stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
