/**
 * Decoded filter -> its meaning: the diagram that gives to every call the answer the kernel would take from the program.
 *
 * The program is run once on a call of which nothing is known: registers and scratch words hold bits as functions of the call. It only
 * jumps forward, so one pass collects with which registers each instruction is reached, and one pass back joins the answers. Registers that
 * nothing reads any more are forgotten, or blocks that several ways lead to would be counted once per way. Shares nothing with the evaluator
 * (evaluate.ts) but the names of the operations: that one is the witness against this one.
 */
import { type Bpf, OP, X } from "../compile/seccomp/decode.ts";
import { CALL_WORDS, effective } from "../compile/seccomp/ir.ts";
import type { Bits } from "./bits.ts";
import * as bits from "./bits.ts";
import { wordBits } from "./call-bits.ts";
import { type Diagram, type Diagrams, FALSE, TRUE, Undecided } from "./diagram.ts";

/** sizeof(struct seccomp_data): what loads of the packet's length give. */
const DATA_BYTES = 64;
const SCRATCH_WORDS = 16;
/** Instructions times the registers they are reached with. */
const MOST_STATES = 1 << 17;
/** Bits of a returned register that depend on the call: 2 to this power answers. */
const MOST_RETURNED_BITS = 12;

/** Places: 0 the accumulator, 1 the index register, 2 to 17 the scratch words. */
const A = 0;
const INDEX = 1;
const SCRATCH = 2;
const PLACES = SCRATCH + SCRATCH_WORDS;

/** The numbers of the words in the places, see Words. */
type State = readonly number[];

/** Where an instruction leads, by index into the states of a later instruction. */
type Step =
  | { readonly kind: "answer"; readonly answer: Diagram }
  | { readonly kind: "go"; readonly to: Target }
  | { readonly kind: "branch"; readonly test: Diagram; readonly yes: Target; readonly no: Target };
interface Target {
  readonly pc: number;
  readonly state: number;
}

/** Words by number, equal ones once: 0 is the constant 0. */
class Words {
  readonly #words: Bits[] = [];
  readonly #numbers = new Map<string, number>();

  constructor() {
    this.number(bits.constant(0));
  }
  number(word: Bits): number {
    const key = word.join();
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#words.push(word) - 1;
    this.#numbers.set(key, number);
    return number;
  }
  word(number: number): Bits {
    return this.#words[number] as Bits;
  }
}

/** The meaning of a program. Throws Undecided for what no compiler emits: products of parts of the call, hashes. */
export function meaningOfProgram(d: Diagrams, bpf: Bpf): Diagram {
  const steps = explore(d, bpf);
  const results: Diagram[][] = [];
  const at = ({ pc, state }: Target) => results[pc]?.[state] as Diagram;
  for (let pc = bpf.length - 1; pc >= 0; pc--) {
    results[pc] = (steps[pc] as readonly Step[]).map((step) => {
      switch (step.kind) {
        case "answer":
          return step.answer;
        case "go":
          return at(step.to);
        case "branch":
          return d.choose(step.test, at(step.yes), at(step.no));
      }
    });
  }
  return at(START);
}

/** The instructions that no call reaches, ascending. */
export function deadInstructions(d: Diagrams, bpf: Bpf): readonly number[] {
  const steps = explore(d, bpf);
  const reached: Diagram[][] = steps.map((list) => list.map(() => FALSE));
  const reach = ({ pc, state }: Target, when: Diagram) => {
    const list = reached[pc] as Diagram[];
    list[state] = d.or(list[state] as Diagram, when);
  };
  reach(START, TRUE);
  for (const [pc, list] of steps.entries()) {
    for (const [state, step] of list.entries()) {
      const when = reached[pc]?.[state] as Diagram;
      if (when === FALSE || step.kind === "answer") continue;
      if (step.kind === "go") {
        reach(step.to, when);
        continue;
      }
      reach(step.yes, d.and(step.test, when));
      reach(step.no, d.and(d.not(step.test), when));
    }
  }
  return reached.flatMap((list, pc) => (list.every((when) => when === FALSE) ? [pc] : []));
}

const START: Target = { pc: 0, state: 0 };

/** For every instruction the steps it takes, one for each set of registers with which it may be reached. */
function explore(d: Diagrams, bpf: Bpf): readonly (readonly Step[])[] {
  const words = new Words();
  const data = Array.from({ length: CALL_WORDS }, (_, word) => words.number(wordBits(d, word)));
  const live = liveness(bpf);
  const known: Map<string, number>[] = Array.from({ length: bpf.length }, () => new Map());
  const states: State[][] = Array.from({ length: bpf.length }, () => []);
  let count = 0;
  const target = (pc: number, state: State): Target => {
    const needed = live[pc] as number;
    const kept = state.map((word, place) => ((needed >>> place) & 1 ? word : 0));
    const key = kept.join();
    const numbers = known[pc] as Map<string, number>;
    const number = numbers.get(key);
    if (number !== undefined) return { pc, state: number };
    count += 1;
    if (count > MOST_STATES) throw new Undecided("its registers take too many values");
    numbers.set(key, numbers.size);
    (states[pc] as State[]).push(kept);
    return { pc, state: numbers.size - 1 };
  };
  target(
    0,
    Array.from({ length: PLACES }, () => 0),
  );
  // Jumps only lead forward: when an instruction's turn comes, all its states are known.
  return states.map((list, pc) => list.map((state) => perform(d, bpf, pc, state, words, data, target)));
}

type Arithmetic = (d: Diagrams, a: Bits, b: Bits) => Bits;
const ARITHMETIC = new Map<number, Arithmetic>([
  [OP.add, bits.add],
  [OP.sub, bits.subtract],
  [OP.mul, bits.multiply],
  [OP.and, bits.and],
  [OP.or, bits.or],
  [OP.xor, bits.xor],
  [OP.lsh, bits.shiftLeft],
  [OP.rsh, bits.shiftRight],
]);
const COMPARISONS = new Map<number, (d: Diagrams, a: Bits, b: Bits) => Diagram>([
  [OP.jeq, bits.equal],
  [OP.jgt, bits.greater],
  [OP.jge, bits.atLeast],
  [OP.jset, bits.intersects],
]);

function perform(
  d: Diagrams,
  bpf: Bpf,
  pc: number,
  state: State,
  words: Words,
  data: readonly number[],
  target: (pc: number, state: State) => Target,
): Step {
  const code = bpf.code[pc] as number;
  const k = bpf.k[pc] as number;
  const a = words.word(state[A] as number);
  const next = (place: number, word: number): Step => ({
    kind: "go",
    to: target(pc + 1, state.with(place, word)),
  });
  const fresh = (place: number, word: Bits) => next(place, words.number(word));
  switch (code) {
    case OP.ld:
      return next(A, data[k >>> 2] as number);
    case OP.ldImm:
      return fresh(A, bits.constant(k));
    case OP.ldLen:
      return fresh(A, bits.constant(DATA_BYTES));
    case OP.ldMem:
      return next(A, state[SCRATCH + k] as number);
    case OP.ldxImm:
      return fresh(INDEX, bits.constant(k));
    case OP.ldxLen:
      return fresh(INDEX, bits.constant(DATA_BYTES));
    case OP.ldxMem:
      return next(INDEX, state[SCRATCH + k] as number);
    case OP.st:
      return next(SCRATCH + k, state[A] as number);
    case OP.stx:
      return next(SCRATCH + k, state[INDEX] as number);
    case OP.tax:
      return next(INDEX, state[A] as number);
    case OP.txa:
      return next(A, state[INDEX] as number);
    case OP.neg:
      return fresh(A, bits.negate(d, a));
    case OP.ja:
      return { kind: "go", to: target(pc + 1 + k, state) };
    case OP.ret:
      return { kind: "answer", answer: d.answer(effective(k)) };
    case OP.retA:
      return { kind: "answer", answer: returned(d, a) };
  }
  const operand = code & X ? words.word(state[INDEX] as number) : bits.constant(k);
  const operation = code & ~X;
  const compare = COMPARISONS.get(operation);
  if (compare !== undefined) {
    const test = compare(d, a, operand);
    const yes = pc + 1 + (bpf.jt[pc] as number);
    const no = pc + 1 + (bpf.jf[pc] as number);
    if (test === TRUE || test === FALSE) return { kind: "go", to: target(test === TRUE ? yes : no, state) };
    return { kind: "branch", test, yes: target(yes, state), no: target(no, state) };
  }
  if (operation === OP.div) {
    // A division by 0 ends the program with 0, which kills the thread.
    if (bits.known(operand) === 0) return { kind: "answer", answer: d.answer(effective(0)) };
    return fresh(A, bits.divide(d, a, operand));
  }
  return fresh(A, (ARITHMETIC.get(operation) as Arithmetic)(d, a, operand));
}

/** `ret A`: an answer for every value that the register may have. */
function returned(d: Diagrams, a: Bits): Diagram {
  const unknown = a.filter((bit) => bit !== TRUE && bit !== FALSE).length;
  if (unknown > MOST_RETURNED_BITS) throw new Undecided("the program returns a part of the call");
  const from = (bit: number, value: number): Diagram => {
    if (bit < 0) return d.answer(effective(value));
    const set = (value | (1 << bit)) >>> 0;
    const condition = a[bit] as Diagram;
    if (condition === TRUE) return from(bit - 1, set);
    if (condition === FALSE) return from(bit - 1, value);
    return d.choose(condition, from(bit - 1, set), from(bit - 1, value));
  };
  return from(bits.WORD_BITS - 1, 0);
}

/** For each instruction the places that it or a later one may read before they are written, a bit for each. */
function liveness(bpf: Bpf): Uint32Array {
  const live = new Uint32Array(bpf.length);
  const after = (pc: number) => live[pc] ?? 0;
  for (let pc = bpf.length - 1; pc >= 0; pc--) {
    const code = bpf.code[pc] as number;
    const k = bpf.k[pc] as number;
    const goesOn = after(pc + 1);
    const write = (place: number, reads: number) => (goesOn & ~(1 << place)) | reads;
    const operand = code & X ? 1 << INDEX : 0;
    switch (code) {
      case OP.ret:
        continue;
      case OP.retA:
        live[pc] = 1 << A;
        continue;
      case OP.ja:
        live[pc] = after(pc + 1 + k);
        continue;
      case OP.ld:
      case OP.ldImm:
      case OP.ldLen:
        live[pc] = write(A, 0);
        continue;
      case OP.ldMem:
        live[pc] = write(A, 1 << (SCRATCH + k));
        continue;
      case OP.ldxImm:
      case OP.ldxLen:
        live[pc] = write(INDEX, 0);
        continue;
      case OP.ldxMem:
        live[pc] = write(INDEX, 1 << (SCRATCH + k));
        continue;
      case OP.st:
        live[pc] = write(SCRATCH + k, 1 << A);
        continue;
      case OP.stx:
        live[pc] = write(SCRATCH + k, 1 << INDEX);
        continue;
      case OP.tax:
        live[pc] = write(INDEX, 1 << A);
        continue;
      case OP.txa:
        live[pc] = write(A, 1 << INDEX);
        continue;
    }
    live[pc] = COMPARISONS.has(code & ~X)
      ? after(pc + 1 + (bpf.jt[pc] as number)) | after(pc + 1 + (bpf.jf[pc] as number)) | (1 << A) | operand
      : write(A, (1 << A) | operand);
  }
  return live;
}
