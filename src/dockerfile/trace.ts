/**
 * Which line of a Dockerfile made which line of an image's history. The two are laid side by side, in order, so that as many pairs as
 * possible agree; a pair that agrees in nothing is no pair. What comes before the first is the base image's.
 *
 * A wrong Dockerfile, a squashed image or a builder that writes no history gives few pairs or none: then places are unknown, and said to be.
 */
import type { Place } from "../gate/rule.ts";
import { chainOf, type Dockerfile, type Expanded, type Instruction, type Stage } from "./dockerfile.ts";
import { readStep, type Step } from "./history.ts";

export type Origin =
  /** A line of the Dockerfile made it. */
  | "here"
  /** It was in the image that the Dockerfile begins with: its FROM line decides. */
  | "base"
  /** Not known. */
  | "unknown";

export interface Traced {
  readonly step: Step;
  readonly origin: Origin;
  /** Of "here" the instruction, of "base" the FROM line. */
  readonly place: Place | null;
  /** Of "here". */
  readonly instruction: Instruction | null;
}

export interface Trace {
  /** For each line of the history, in its order. */
  readonly lines: readonly Traced[];
  /** Instructions of the stages that made the image, from its base on. */
  readonly instructions: readonly Instruction[];
  /** How many of `instructions` were found in the history. */
  readonly found: number;
  /** The FROM line of the stage that was built. */
  readonly stage: Stage;
  /** The stages from the base to it. */
  readonly chain: readonly Stage[];
}

/** More than any build has; the table of pairs stays below 2²⁰ cells. */
const MOST = 1024;
/** Characters of a line that is compared with a text that has gaps: each pair looks through all of it. */
const LONGEST_WITH_GAPS = 4096;

/** `history`: the `created_by` lines; `stage`: the stage that was built. */
export function traceHistory(
  dockerfile: Dockerfile,
  stage: number,
  history: readonly string[],
): Trace | null {
  const chain = chainOf(dockerfile, stage);
  const [root, last] = [chain[0], chain.at(-1)];
  if (root === undefined || last === undefined) return null;
  const steps = history.map(readStep);
  const instructions = chain.flatMap((one) => one.instructions);
  const pairs = align(instructions.slice(-MOST), steps.slice(-MOST));
  const dropped = { of: Math.max(0, instructions.length - MOST), steps: Math.max(0, steps.length - MOST) };
  const made = new Map(pairs.map(([i, j]) => [j + dropped.steps, i + dropped.of]));
  const firstStep = Math.min(...made.keys());
  const firstFound = made.get(firstStep) ?? Number.POSITIVE_INFINITY;
  // Only if nothing that makes a layer is missing before the first pair is all before it the base's.
  const isBaseKnown = instructions.slice(0, firstFound).every(({ keyword }) => !makesLayer(keyword));
  const lines = steps.map((step, index): Traced => {
    const instruction = instructions[made.get(index) ?? -1];
    if (instruction !== undefined) return { step, origin: "here", place: instruction.place, instruction };
    if (index < firstStep && Number.isFinite(firstStep) && isBaseKnown)
      return { step, origin: "base", place: root.place, instruction: null };
    // Nothing was built on top of the base: all of it is the base's.
    if (instructions.length === 0) return { step, origin: "base", place: root.place, instruction: null };
    return { step, origin: "unknown", place: null, instruction: null };
  });
  return { lines, instructions, found: made.size, stage: last, chain };
}

const makesLayer = (keyword: Instruction["keyword"]): boolean =>
  keyword === "RUN" || keyword === "COPY" || keyword === "ADD";

/** The pairs (instruction, step), both increasing, whose agreement is greatest; of equals those that are later in the history. */
function align(
  instructions: readonly Instruction[],
  steps: readonly Step[],
): readonly (readonly [number, number])[] {
  const width = steps.length + 1;
  const best = new Uint16Array((instructions.length + 1) * width);
  const scores = new Uint8Array(instructions.length * width);
  const lines = steps.map(prepareStep);
  for (const [i, instruction] of instructions.entries()) {
    const written = prepareInstruction(instruction);
    for (const [j, line] of lines.entries()) {
      const score = agreement(written, line);
      scores[i * width + j] = score;
      const apart = Math.max(best[i * width + j + 1] ?? 0, best[(i + 1) * width + j] ?? 0);
      const paired = score === 0 ? 0 : (best[i * width + j] ?? 0) + score;
      best[(i + 1) * width + j + 1] = Math.max(apart, paired);
    }
  }
  const pairs: [number, number][] = [];
  let [i, j] = [instructions.length, steps.length];
  while (i > 0 && j > 0) {
    const here = best[i * width + j] ?? 0;
    const score = scores[(i - 1) * width + j - 1] ?? 0;
    if (score > 0 && here === (best[(i - 1) * width + j - 1] ?? 0) + score) pairs.push([--i, --j]);
    else if (here === (best[(i - 1) * width + j] ?? 0)) i--;
    else j--;
  }
  return pairs.toReversed();
}

/** An instruction in the forms in which builders write it, blanks squeezed. */
interface Written {
  readonly keyword: Instruction["keyword"];
  /** All of which is known. */
  readonly exact: readonly string[];
  /** With gaps. */
  readonly open: readonly (readonly OpenPart[])[];
  /** The destination, of COPY and ADD, as a path. */
  readonly last: readonly string[];
  /** The whole as a path, of WORKDIR. */
  readonly paths: readonly string[];
  readonly bare: string;
  readonly name: string;
  readonly numbers: string;
}

function prepareInstruction({ keyword, expected, heredoc, text, words }: Instruction): Written {
  const texts = [...expected, ...(heredoc === null ? [] : [[heredoc]])];
  const expanded = texts.filter((parts) => !parts.includes(null)).map((parts) => squeeze(parts.join("")));
  const raw = squeeze(words === null ? text : words.join(" "));
  const known = expanded[0] ?? raw;
  // buildah writes variables and quotes as they stand in the file.
  const exact = [...new Set([...expanded, raw, unquote(raw)])];
  return {
    keyword,
    exact,
    open: texts.filter((parts) => parts.includes(null)).map(openParts),
    last: [known, raw].map((one) => cleanPath(words?.at(-1) ?? one.slice(one.lastIndexOf(" ") + 1))),
    paths: keyword === "WORKDIR" ? exact.map(cleanPath) : [],
    bare: plain(known),
    name: nameOf(text),
    numbers: numbers(known),
  };
}

/** A line of the history, in the forms that it is compared in. */
interface Line {
  readonly keyword: Step["keyword"];
  readonly text: string;
  /** The text as a path. */
  readonly path: string;
  /** Without flags such as --chown. */
  readonly words: string;
  /** Where the classic builder copied to; null in other builders' words. */
  readonly copiedTo: string | null;
  readonly unquoted: string;
  readonly bare: string;
  readonly name: string;
  readonly numbers: string;
}

function prepareStep({ keyword, text: written }: Step): Line {
  const text = squeeze(written);
  const copiedTo = /^(?:file|dir|multi):\S+ in (.+)$/.exec(text)?.[1];
  return {
    keyword,
    text,
    path: cleanPath(text),
    words: text.replace(/^(?:--\S+ )+/, ""),
    copiedTo: copiedTo === undefined ? null : cleanPath(copiedTo),
    unquoted: unquote(text),
    bare: plain(text),
    name: nameOf(text),
    numbers: numbers(text),
  };
}

const EXACT = 4;
const LIKELY = 2;

/** How well an instruction and a line of the history agree: 0 not at all. */
function agreement(written: Written, line: Line): 0 | 2 | 4 {
  const { keyword, exact } = written;
  if (line.keyword !== keyword && !(line.keyword === null && keyword === "RUN")) return 0;
  switch (keyword) {
    case "RUN":
      return exact.some((script) => endsInScript(line.text, script)) ? EXACT : 0;
    case "ADD":
    case "COPY":
      if (line.copiedTo !== null)
        return written.last.some((path) => samePath(line.copiedTo ?? "", path)) ? LIKELY : 0;
      return matches(written, line.words);
    case "ENV":
    case "LABEL":
      return matches(written, line.text) || matches(written, line.unquoted);
    case "MAINTAINER":
    case "STOPSIGNAL":
    case "USER":
      return matches(written, line.text);
    case "WORKDIR":
      return (
        matches(written, line.text) || (written.paths.some((path) => samePath(line.path, path)) ? LIKELY : 0)
      );
    case "ARG":
      // The value may be another one on the command line of the build.
      return line.name === written.name ? LIKELY : 0;
    case "EXPOSE":
      return line.numbers === written.numbers ? EXACT : 0;
    case "CMD":
    case "ENTRYPOINT":
    case "SHELL":
    case "VOLUME":
    case "ONBUILD":
      return line.bare === written.bare || line.bare.endsWith(` -c ${written.bare}`) ? EXACT : 0;
    // Written as a data structure of the builder, or in its own words; the last one counts.
    case "HEALTHCHECK":
      return LIKELY;
    case "FROM":
      return 0;
  }
  return keyword satisfies never;
}

const squeeze = (text: string): string => text.replaceAll(/\s+/g, " ").trim();
const plain = (text: string): string => squeeze(text.replaceAll(/["'[\]{},\\]|map\[|:\{\}/g, " "));
const unquote = (text: string): string => text.replaceAll(/["']/g, "");
const nameOf = (text: string): string => /^[^\s=]*/.exec(text)?.[0] ?? "";
const numbers = (text: string): string => (text.match(/\d+/g) ?? []).toSorted().join(" ");

/** The line is the script, after nothing but build arguments and a shell with its options. */
function endsInScript(line: string, script: string): boolean {
  if (script === "" || !line.endsWith(script)) return false;
  const before = line.slice(0, line.length - script.length).trimEnd();
  return before === "" || /(?:^|\s)-\w*c$/.test(before) || /^\|\d+(?:\s\S+=[^]*)?$/.test(before);
}

/** Without a "./" before it and slashes after it. */
function cleanPath(path: string): string {
  let [from, to] = [0, path.length];
  while (path.startsWith("./", from)) from += 2;
  while (to > from && path[to - 1] === "/") to--;
  return path.slice(from, to);
}

/** A destination as the classic builder writes it: absolute, and resolved against WORKDIR. Both are clean. */
const samePath = (made: string, written: string): boolean =>
  made === written ||
  written === "" ||
  written === "." ||
  (made.endsWith(written) && made[made.length - written.length - 1] === "/");

function matches({ exact, open }: Written, line: string): 0 | 2 | 4 {
  if (exact.includes(line)) return EXACT;
  return line.length <= LONGEST_WITH_GAPS && open.some((parts) => agree(parts, line)) ? LIKELY : 0;
}

/** A known part, blanks squeezed; after an open one anything may stand. */
interface OpenPart {
  readonly text: string;
  readonly isOpen: boolean;
}

const openParts = (parts: Expanded): readonly OpenPart[] =>
  parts.map((part) =>
    part === null ? { text: "", isOpen: true } : { text: squeeze(part), isOpen: /\s$/.test(part) },
  );

/** Known parts in their order, anything where nothing is known. Linear: each part is looked for once, from where the last one ended. */
function agree(parts: readonly OpenPart[], line: string): boolean {
  // The end first: it is where lines that begin alike differ.
  const last = parts.at(-1);
  if (last !== undefined && !last.isOpen && !line.endsWith(last.text)) return false;
  let at = 0;
  let isOpen = false;
  for (const part of parts) {
    const found = isOpen ? line.indexOf(part.text, at) : line.startsWith(part.text, at) ? at : -1;
    if (found < 0) return false;
    at = found + part.text.length;
    isOpen = part.isOpen;
  }
  return true;
}
