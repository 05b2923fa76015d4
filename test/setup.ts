/** Runs once before all tests: what the sources import but git does not hold. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export default function setup(): void {
  const top = fileURLToPath(new URL("..", import.meta.url));
  const made = spawnSync(process.execPath, ["scripts/validators.mjs"], { cwd: top, encoding: "utf8" });
  if (made.status !== 0) throw new Error(`scripts/validators.mjs failed: ${made.stderr}`);
}
