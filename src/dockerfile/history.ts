/**
 * One line of an image's history → the instruction that a builder wrote it for. Builders write differently: the classic one (and buildah)
 * `/bin/sh -c #(nop)  USER app` and plain `/bin/sh -c make`, BuildKit `RUN |1 V=1 /bin/sh -c make # buildkit`, kaniko `RUN make`.
 * A line that is none of these has no keyword: it is not guessed at.
 */
import { isKeyword, type Keyword } from "./dockerfile.ts";

export interface Step {
  /** Null: nothing is known of it. */
  readonly keyword: Keyword | null;
  /** What follows the keyword, as the builder wrote it; of RUN, with the shell and the build arguments before it. */
  readonly text: string;
  /** Of RUN: the script alone, as far as it can be told from its shell. "" otherwise. */
  readonly script: string;
}

const BUILDKIT = "# buildkit";
const NOP = "#(nop)";
/** `/bin/sh -c `, `/bin/bash -o pipefail -c `, after build arguments or at the start. */
const SHELL = /(?:^|\s)\/[\w./-]{0,100}sh(?:\s+(?:-\w{1,20}|pipefail)){0,6}?\s+-\w{0,10}c\s/;

export function readStep(createdBy: string): Step {
  const whole = createdBy.trim();
  const line = whole.endsWith(BUILDKIT) ? whole.slice(0, -BUILDKIT.length).trimEnd() : whole;
  const nop = line.indexOf(NOP);
  if (nop >= 0 && /^(?:\||\/|$)/.test(line.slice(0, nop))) return ofWord(line.slice(nop + NOP.length).trim());
  const step = ofWord(line);
  if (step.keyword !== null) return step;
  // The classic builder names no instruction for RUN.
  return /^(?:\|\d+ |\/\S*sh )/.test(line) ? run(line) : step;
}

function ofWord(line: string): Step {
  const [word = ""] = /^[A-Z]+(?=\s|$)/.exec(line) ?? [];
  if (!isKeyword(word)) return { keyword: null, text: line, script: "" };
  const text = line.slice(word.length).trim();
  return word === "RUN" ? run(text) : { keyword: word, text, script: "" };
}

function run(text: string): Step {
  const shell = SHELL.exec(text);
  const script = shell === null ? text : text.slice(shell.index + shell[0].length);
  return { keyword: "RUN", text, script: script.trim() };
}
