/** Skips that say why; with SANDBOX_MUST_WORK=1 a skip is a failure. */
import { accessSync, constants } from "node:fs";
import type { TestContext } from "vitest";

export function has(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** First line of a test that not every machine can run. */
export function need(context: TestContext, met: boolean, why: string): void {
  if (met) return;
  if (process.env["SANDBOX_MUST_WORK"] === "1") throw new Error(`must work, but: ${why}`);
  console.warn(`skipped: ${context.task.name}: ${why}`);
  context.skip(why);
}

/** First line of a test of what only root can do: for another user there is nothing to test, so nothing is missing. */
export function needRoot(context: TestContext): void {
  if (process.getuid?.() !== 0) context.skip("only root can do this");
}
