/**
 * What a guest said, as TAP lines and a verdict. A guest speaks in JSON lines; whatever else arrives on its port is
 * not a result. Only a complete report can be a success: a guest that stops in the middle, or that ran no test, failed.
 */

/**
 * @typedef {object} Verdict
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {number | null} ready - seconds from start to the first test, as the guest's own clock has it.
 * @property {readonly string[]} complaints - why this bench is not a success although no test failed.
 */

/**
 * @param {string} bench
 * @param {(line: string) => void} print
 * @param {object} [how]
 * @param {(ran: object) => object} [how.judge] - makes a test's message of what a launcher did.
 * @param {Readonly<Record<string, string>>} [how.leftOut] - tests that are not run, by a part of their names, and why.
 * @returns {{ take: (line: string) => void, end: (ended: string) => Verdict }}
 */
export function collect(bench, print, { judge, leftOut = {} } = {}) {
  const seen = { passed: 0, failed: 0, skipped: 0 };
  const complaints = [];
  let ready = null;
  let finished = null;
  let exit = null;
  const unseen = new Set(Object.keys(leftOut));

  /** Why a test was skipped: as the test says, or as the bench does. */
  const whySkipped = ({ name, note }) => {
    const entry = Object.keys(leftOut).find((part) => name.includes(part));
    unseen.delete(entry);
    return note ?? leftOut[entry] ?? "";
  };

  const take = (line) => {
    const said = parse(line);
    if (said === null) return;
    const message = said.kind === "ran" && judge !== undefined ? judge(said) : said;
    switch (message.kind) {
      case "begin":
        break;
      case "ready":
        ready = message.seconds;
        break;
      case "test": {
        seen[message.state] += 1;
        const word = message.state === "failed" ? "not ok" : "ok";
        const note =
          message.state === "skipped"
            ? ` # SKIP ${whySkipped(message)}`
            : message.seconds === undefined
              ? ""
              : ` # ${message.seconds.toFixed(1)} s`;
        print(`${word} - ${bench}: ${message.name}${note}`);
        for (const error of message.errors ?? []) for (const text of error.split("\n")) print(`  | ${text}`);
        break;
      }
      case "error":
        complaints.push(message.text);
        break;
      case "end":
        finished = message;
        break;
      case "exit":
        exit = message.status;
        break;
      default:
        complaints.push(`the guest sent a message of an unknown kind: ${line}`);
    }
  };

  const end = (ended) => {
    if (ended !== "off") complaints.push(ENDINGS[ended]);
    if (finished === null) complaints.push("the guest did not finish its report");
    else if (finished.tests !== seen.passed + seen.failed + seen.skipped)
      complaints.push(
        `the guest ran ${finished.tests} tests, of which only ${seen.passed + seen.failed + seen.skipped} were reported`,
      );
    if (seen.passed + seen.failed === 0) complaints.push("no test ran");
    for (const part of unseen) complaints.push(`no test is called ${part}, so it cannot be left out`);
    if (exit !== 0 && seen.failed === 0)
      complaints.push(`the guest's runner ended with ${exit ?? "nothing"}`);
    return { ...seen, ready, complaints };
  };
  return { take, end };
}

const ENDINGS = {
  silent: "the guest was silent for too long and was switched off",
  late: "the guest took too long and was switched off",
  failed: "the emulator failed",
};

function parse(line) {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line);
  } catch {
    // A line that the guest's end cut off; what it would have said is missing from the count.
    return null;
  }
}
