// Builds dist/: precompiled validators, then TypeScript (library), then the bundled command.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildIdModule } from "./build-id.mjs";

const top = fileURLToPath(new URL("..", import.meta.url));

function run(command, args) {
  const result = spawnSync(command, args, { cwd: top, stdio: "inherit" });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

run(process.execPath, ["scripts/validators.mjs"]);
run("node_modules/.bin/tsc", ["-p", "tsconfig.json"]);
writeFileSync(`${top}dist/build-id.js`, buildIdModule());
run(process.execPath, ["scripts/bundle.mjs"]);
