/**
 * A command line around `launch`, as small as can be: driver [--pipe] COMMAND...; the exit status is the payload's.
 */
import { launch } from "../../../src/launch/launch.ts";
import { exitStatus } from "../../../src/launch/outcome.ts";
import { signalNumber } from "../../../src/program/signal.ts";
import { prepare } from "../fixture.ts";

const [first, ...rest] = process.argv.slice(2);
const terminal = first !== "--pipe";
const prepared = prepare({ terminal });
const outcome = await launch({
  prepared,
  command: terminal ? process.argv.slice(2) : rest,
  env: { TERM: "dumb" },
  stdin: "inherit",
  stdout: "inherit",
  stderr: "inherit",
  forwardSignals: true,
});
if (outcome.launchError !== null) console.error(outcome.launchError);
process.exitCode = exitStatus(outcome, (name) => signalNumber(name) ?? 0);
