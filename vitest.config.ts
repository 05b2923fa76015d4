import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/vm/guest/**"],
    globalSetup: ["test/setup.ts"],
    // For a machine that does other things too; what must not hang has a limit of its own.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "forks",
    // One for each processor. Left alone, vitest leaves one processor idle, and of two that is half: most tests wait for programs.
    maxWorkers: availableParallelism(),
    reporters: ["default"],
  },
});
