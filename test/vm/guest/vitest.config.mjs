// vitest in a guest: one file after the other (two slow processors), patience, and a reporter that speaks to the bench.
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: "/project",
  cacheDir: "/tmp/vite",
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 240_000,
    hookTimeout: 120_000,
    pool: "forks",
    fileParallelism: false,
    reporters: [["default", { summary: false }], "./test/vm/guest/reporter.mjs"],
  },
});
