/**
 * vitest's results as JSON lines on the serial port that the bench reads: one line per test as it ends, one at the end.
 * What is no result (an error in a file, outside of tests) is said as well, so that it cannot pass unseen.
 */
import { openSync, readFileSync, writeSync } from "node:fs";

/** Opened here and not inherited: no test may find it among its descriptors. */
const PORT = openSync(`/dev/${process.env.BENCH_port}`, "w");

function say(message) {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(PORT, bytes, at);
}

const textOf = (error) => error.stack ?? error.message ?? String(error);

export default class Reporter {
  #tests = 0;

  onTestRunStart() {
    say({ kind: "ready", seconds: Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) });
  }

  /** A sign of life: a guest that says nothing for longer than a test may take is switched off. */
  onTestCaseReady() {
    say({ kind: "begin" });
  }

  onTestCaseResult(test) {
    const { state, errors, note } = test.result();
    this.#tests += 1;
    say({
      kind: "test",
      name: `${test.module.relativeModuleId.replace(/^test\//, "").replace(/\.test\.ts$/, "")} > ${test.fullName}`,
      state,
      note,
      seconds: (test.diagnostic()?.duration ?? 0) / 1000,
      errors: errors?.map((error) =>
        error.diff === undefined ? textOf(error) : `${error.message}\n${error.diff}`,
      ),
    });
  }

  onTestModuleEnd(module) {
    for (const error of module.errors())
      say({ kind: "error", text: `${module.relativeModuleId}: ${textOf(error)}` });
  }

  onTestRunEnd(_modules, errors) {
    for (const error of errors) say({ kind: "error", text: textOf(error) });
    say({ kind: "end", tests: this.#tests });
  }
}
