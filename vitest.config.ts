import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/vm/guest/**"],
    globalSetup: ["test/setup.ts"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    pool: "forks",
    // One for each processor. Left alone, vitest leaves one processor idle, and of two that is half: most tests wait for programs.
    maxWorkers: availableParallelism(),
    reporters: ["default"],
  },
});
