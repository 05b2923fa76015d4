/**
 * One line on the terminal that says how far reading has come, taken away when it has ended. Only where somebody looks: stderr is a terminal
 * that obeys, and no continuous integration records it.
 */
import { isatty } from "node:tty";
import { showProgress } from "./output.ts";

export interface Progress {
  /** `unpacked`: bytes so far. */
  readonly report: (path: string, unpacked: number) => void;
  readonly end: () => void;
}

/** Between two changes of the line: fast images show none. */
const STEP = 32 * 2 ** 20;
/** So that the line does not wrap, and can be erased. */
const LONGEST = 60;

const NONE: Progress = { report: () => undefined, end: () => undefined };

export function progressLine(
  env: Readonly<Record<string, string | undefined>> = process.env,
  terminal: boolean = isatty(2),
): Progress {
  const isRecorded = (env["CI"] ?? "") !== "" && env["CI"] !== "false";
  if (!terminal || isRecorded || env["TERM"] === "dumb") return NONE;
  let next = STEP;
  let isShown = false;
  return {
    report: (path, unpacked) => {
      // Another image begins at zero again.
      if (unpacked < next - STEP) next = STEP;
      if (unpacked < next) return;
      next = unpacked + STEP;
      isShown = true;
      const name = JSON.stringify(path.length > LONGEST ? `...${path.slice(-LONGEST)}` : path);
      showProgress(`sandbox: ${name}: ${Math.round(unpacked / 2 ** 20)} MiB read`);
    },
    end: () => {
      if (isShown) showProgress("");
      isShown = false;
    },
  };
}
