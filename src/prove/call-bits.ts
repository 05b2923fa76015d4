/**
 * The bits of a call in the order in which diagrams ask for them: architecture, number, the arguments from the first to the last, the
 * instruction pointer; of each the highest bit first. So what is left once architecture and number are known is a function of the
 * arguments alone, and a 64-bit comparison reads its bits in their order.
 */
import { ABIS, type Abi, AUDIT_ARCH, SKIPPED, X32_BIT } from "../compile/seccomp/abi.ts";
import { CALL_WORDS, type Call, WORD } from "../compile/seccomp/ir.ts";
import { syscallTable } from "../compile/seccomp/tables.ts";
import { type Bits, WORD_BITS } from "./bits.ts";
import { type Diagram, type Diagrams, FALSE, TRUE, Undecided } from "./diagram.ts";

/** Words of struct seccomp_data in the order of the diagrams. */
const ORDER: readonly number[] = [
  WORD.arch,
  WORD.nr,
  ...[0, 1, 2, 3, 4, 5].flatMap((i) => [WORD.args + 2 * i + 1, WORD.args + 2 * i]),
  WORD.ip + 1,
  WORD.ip,
];

/** One range costs at most 32 steps; a filter that looks at single bits of a word would have billions. */
const MOST_STEPS = 1 << 20;
/** First level of a word. */
export const ARCH_LEVEL = 0;
export const NUMBER_LEVEL = WORD_BITS;
/** First level of the arguments; argument i begins at ARGUMENT_LEVEL + 64 i. */
export const ARGUMENT_LEVEL = 2 * WORD_BITS;
export const ARGUMENT_BITS = 2 * WORD_BITS;

/** A word of the call, unknown. */
export function wordBits(d: Diagrams, word: number): Bits {
  const first = ORDER.indexOf(word) * WORD_BITS;
  return Array.from({ length: WORD_BITS }, (_, bit) => d.node(first + WORD_BITS - 1 - bit, FALSE, TRUE));
}

/** The value of a bit of a concrete call. */
export function bitOf(words: Call, level: number): boolean {
  const word = words[ORDER[level >>> 5] as number] as number;
  return ((word >>> (WORD_BITS - 1 - (level & 31))) & 1) === 1;
}

/** Gives a bit of a concrete call a value. */
export function setBit(words: Call, level: number, value: boolean): void {
  const word = ORDER[level >>> 5] as number;
  const bit = 1 << (WORD_BITS - 1 - (level & 31));
  words[word] = value ? (words[word] as number) | bit : (words[word] as number) & ~bit;
}

/** The function's answer to one call. */
export function answerTo(d: Diagrams, a: Diagram, words: Call): number {
  let node = a;
  while (!d.isEnd(node)) {
    const level = d.levelOf(node);
    node = d.branch(node, level, bitOf(words, level));
  }
  return d.valueOf(node);
}

/** What is left of a function once the word at `level` is known. */
export function withWord(d: Diagrams, a: Diagram, level: number, value: number): Diagram {
  let node = a;
  for (let bit = 0; bit < WORD_BITS; bit++)
    node = d.branch(node, level + bit, ((value >>> (WORD_BITS - 1 - bit)) & 1) === 1);
  return node;
}

/** Values of a word from `first` to `last`, both inside, after which the function is the same. */
export interface Range {
  readonly first: number;
  readonly last: number;
  readonly rest: Diagram;
}

/** The word at `level`, which nothing before it decides, cut into the fewest ranges. */
export function ranges(d: Diagrams, a: Diagram, level: number): readonly Range[] {
  const found: { first: number; last: number; rest: Diagram }[] = [];
  let steps = 0;
  const visit = (node: Diagram, bit: number, first: number) => {
    if (d.levelOf(node) >= level + WORD_BITS) {
      const last = first + 2 ** (WORD_BITS - bit) - 1;
      const previous = found.at(-1);
      if (previous?.rest === node) previous.last = last;
      else found.push({ first, last, rest: node });
      return;
    }
    steps += 1;
    if (steps > MOST_STEPS) throw new Undecided("the numbers that are treated alike form too many ranges");
    visit(d.branch(node, level + bit, false), bit + 1, first);
    visit(d.branch(node, level + bit, true), bit + 1, first + 2 ** (WORD_BITS - 1 - bit));
  };
  visit(a, 0, 0);
  return found;
}

/** The function that for each range of the word at `level` goes on as said; `spans` are ascending and cover all values. */
export function fromRanges(d: Diagrams, level: number, spans: readonly Range[]): Diagram {
  const build = (bit: number, first: number, from: number): Diagram => {
    let at = from;
    while ((spans[at] as Range).last < first) at += 1;
    const span = spans[at] as Range;
    const last = first + 2 ** (WORD_BITS - bit) - 1;
    if (span.last >= last) return span.rest;
    const middle = first + 2 ** (WORD_BITS - 1 - bit);
    return d.node(level + bit, build(bit + 1, first, at), build(bit + 1, middle, at));
  };
  return build(0, 0, 0);
}

/** The ABI through which a kernel takes a call, whether or not anybody allows it; null for numbers of no ABI of ours. */
export function abiThrough(arch: number, nr: number): Abi | null {
  if (arch === AUDIT_ARCH.x86_64) return nr >= X32_BIT && nr !== SKIPPED ? "x32" : "x86_64";
  return ABIS.find((abi) => AUDIT_ARCH[abi] === arch) ?? null;
}

/** The name of a call, null when the tables have none for it. */
export function nameOf(arch: number, nr: number): string | null {
  const abi = abiThrough(arch, nr);
  return abi === null ? null : (syscallTable(abi).names.get(nr) ?? null);
}

/**
 * A call for which a condition holds, null when there is none: of all those the one with the smallest words in the diagrams' order, or the
 * one with the greatest.
 */
export function exampleOf(
  d: Diagrams,
  condition: Diagram,
  which: "least" | "greatest" = "least",
): Call | null {
  if (condition === FALSE) return null;
  const preferred = which === "greatest";
  const words = new Uint32Array(CALL_WORDS).fill(preferred ? 0xffffffff : 0);
  let node = condition;
  while (node !== TRUE) {
    const level = d.levelOf(node);
    const wanted = d.branch(node, level, preferred) !== FALSE ? preferred : !preferred;
    setBit(words, level, wanted);
    node = d.branch(node, level, wanted);
  }
  return words;
}

/** A call as said, but of a system call that exists if there is such a one: those are understood at once. */
export function namedCall(d: Diagrams, condition: Diagram): Call | null {
  for (const abi of ABIS) {
    const ofArch = withWord(d, condition, ARCH_LEVEL, AUDIT_ARCH[abi]);
    if (ofArch === FALSE) continue;
    for (const nr of syscallTable(abi).names.keys()) {
      const words = exampleOf(d, withWord(d, ofArch, NUMBER_LEVEL, nr));
      if (words === null) continue;
      words[WORD.arch] = AUDIT_ARCH[abi];
      words[WORD.nr] = nr;
      return words;
    }
  }
  return exampleOf(d, condition);
}
