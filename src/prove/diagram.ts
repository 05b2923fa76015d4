/**
 * Decision diagrams: functions of the 512 bits of a call, each held as a graph that asks for one bit after the other in a fixed order
 * (multi-terminal BDDs, Bryant 1986). A function has one graph only, so two functions are equal when they are the same node: that is what makes
 * a comparison a proof over every call, without trying any.
 *
 * Takes bit numbers and answers, gives node numbers. Knows nothing of system calls. Never answers when a graph would grow past its limit:
 * it throws Undecided, and whoever asked must say "unknown".
 */

/** A node: a number that means something only to the Diagrams that made it. */
export type Diagram = number;

/** The question cannot be decided by these means; the message says why, for people. */
export class Undecided extends Error {
  override readonly name = "Undecided";
}

export const FALSE: Diagram = 0;
export const TRUE: Diagram = 1;

/** Level of an end of the graph; bits have the levels below. */
const END = 0xffff;
/** Nodes; 16 bytes each with its place in the table. Filters of the usual compilers need a few thousand. */
const MOST_NODES = 1 << 20;
/** Steps of all `choose` together, which bounds the time where the memory of results forgets. */
const MOST_STEPS = 1 << 24;
/** Pairs of nodes that one comparison looks at. */
const MOST_PAIRS = 1 << 21;
const REMEMBERED = 1 << 16;

export class Diagrams {
  #level = new Uint16Array(1 << 12);
  /** The graph where the bit is 0; of an end, its answer. */
  #low = new Uint32Array(1 << 12);
  /** The graph where the bit is 1; of an end, 0 for truth values and 1 for answers. */
  #high = new Uint32Array(1 << 12);
  #size = 0;
  /** Node + 1 by hash of its content, 0 where there is none; at most half full. */
  #table = new Uint32Array(1 << 13);
  /** Results of `choose`: three arguments and the result in a row. A newer result takes the place of an older one. */
  readonly #results = new Uint32Array(4 * REMEMBERED);
  #steps = 0;

  constructor() {
    this.#make(END, 0, 0);
    this.#make(END, 1, 0);
  }

  /** Nodes made so far. */
  get size(): number {
    return this.#size;
  }

  #make(level: number, low: number, high: number): Diagram {
    let at = this.#hash(level, low, high);
    for (;;) {
      const entry = this.#table[at] as number;
      if (entry === 0) break;
      const node = entry - 1;
      if (this.#level[node] === level && this.#low[node] === low && this.#high[node] === high) return node;
      at = (at + 1) & (this.#table.length - 1);
    }
    if (this.#size === MOST_NODES) throw new Undecided(`it needs a diagram of more than ${MOST_NODES} nodes`);
    const node = this.#size;
    this.#size += 1;
    if (node === this.#level.length) this.#grow();
    this.#level[node] = level;
    this.#low[node] = low;
    this.#high[node] = high;
    if (2 * this.#size > this.#table.length) this.#rehash();
    else this.#table[at] = node + 1;
    return node;
  }

  #hash(level: number, low: number, high: number): number {
    let mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b) ^ Math.imul(level, 0xc2b2ae35);
    mixed ^= mixed >>> 15;
    return (Math.imul(mixed, 0x2c1b3c6d) >>> 7) & (this.#table.length - 1);
  }

  #grow(): void {
    const level = new Uint16Array(2 * this.#level.length);
    level.set(this.#level);
    this.#level = level;
    const low = new Uint32Array(level.length);
    low.set(this.#low);
    this.#low = low;
    const high = new Uint32Array(level.length);
    high.set(this.#high);
    this.#high = high;
  }

  #rehash(): void {
    this.#table = new Uint32Array(2 * this.#table.length);
    for (let node = 0; node < this.#size; node++) {
      let at = this.#hash(this.#level[node] as number, this.#low[node] as number, this.#high[node] as number);
      while (this.#table[at] !== 0) at = (at + 1) & (this.#table.length - 1);
      this.#table[at] = node + 1;
    }
  }

  /** The function that answers the same to everything; `value` is unsigned, 32 bits. */
  answer(value: number): Diagram {
    return this.#make(END, value, 1);
  }

  /** `yes` where a bit is 1, `no` where it is 0; neither may ask for this bit or an earlier one. */
  node(level: number, no: Diagram, yes: Diagram): Diagram {
    return no === yes ? no : this.#make(level, no, yes);
  }

  isEnd(node: Diagram): boolean {
    return this.#level[node] === END;
  }
  /** What an end answers. */
  valueOf(end: Diagram): number {
    return this.#low[end] as number;
  }
  /** The bit that a node asks for; beyond all bits for an end. */
  levelOf(node: Diagram): number {
    return this.#level[node] as number;
  }
  /** The function once a bit is known. The bit must not come after the one that the node asks for. */
  branch(node: Diagram, level: number, bit: boolean): Diagram {
    if (this.#level[node] !== level) return node;
    return (bit ? this.#high[node] : this.#low[node]) as number;
  }

  /** `yes` where a condition holds, `no` elsewhere. */
  choose(condition: Diagram, yes: Diagram, no: Diagram): Diagram {
    if (condition === TRUE || yes === no) return yes;
    if (condition === FALSE) return no;
    if (yes === TRUE && no === FALSE) return condition;
    const slot =
      4 *
      ((((Math.imul(condition, 0x9e3779b1) ^ Math.imul(yes, 0x85ebca6b) ^ Math.imul(no, 0xc2b2ae35)) >>> 9) ^
        condition) &
        (REMEMBERED - 1));
    const results = this.#results;
    if (results[slot] === condition && results[slot + 1] === yes && results[slot + 2] === no)
      return results[slot + 3] as number;
    this.#steps += 1;
    if (this.#steps > MOST_STEPS) throw new Undecided(`it takes more than ${MOST_STEPS} steps`);
    const level = Math.min(
      this.#level[condition] as number,
      this.#level[yes] as number,
      this.#level[no] as number,
    );
    const low = this.choose(
      this.branch(condition, level, false),
      this.branch(yes, level, false),
      this.branch(no, level, false),
    );
    const high = this.choose(
      this.branch(condition, level, true),
      this.branch(yes, level, true),
      this.branch(no, level, true),
    );
    const result = this.node(level, low, high);
    results[slot] = condition;
    results[slot + 1] = yes;
    results[slot + 2] = no;
    results[slot + 3] = result;
    return result;
  }

  not(a: Diagram): Diagram {
    return this.choose(a, FALSE, TRUE);
  }
  and(a: Diagram, b: Diagram): Diagram {
    return this.choose(a, b, FALSE);
  }
  or(a: Diagram, b: Diagram): Diagram {
    return this.choose(a, TRUE, b);
  }
  xor(a: Diagram, b: Diagram): Diagram {
    return this.choose(a, this.not(b), b);
  }

  /** Where two functions answer so that `wanted` is true of the two answers. */
  where(a: Diagram, b: Diagram, wanted: (a: number, b: number) => boolean): Diagram {
    return this.#combine(a, b, (one, other) => (wanted(one, other) ? TRUE : FALSE));
  }

  /** The function whose answer is made of those of two others. */
  combine(a: Diagram, b: Diagram, made: (a: number, b: number) => number): Diagram {
    return this.#combine(a, b, (one, other) => this.answer(made(one, other)));
  }

  #combine(a: Diagram, b: Diagram, end: (a: number, b: number) => Diagram): Diagram {
    const known = new Map<number, Diagram>();
    const visit = (one: Diagram, other: Diagram): Diagram => {
      if (this.isEnd(one) && this.isEnd(other)) return end(this.valueOf(one), this.valueOf(other));
      const key = one * MOST_NODES + other;
      const found = known.get(key);
      if (found !== undefined) return found;
      if (known.size === MOST_PAIRS)
        throw new Undecided(`it compares more than ${MOST_PAIRS} pairs of nodes`);
      const level = Math.min(this.levelOf(one), this.levelOf(other));
      const result = this.node(
        level,
        visit(this.branch(one, level, false), this.branch(other, level, false)),
        visit(this.branch(one, level, true), this.branch(other, level, true)),
      );
      known.set(key, result);
      return result;
    };
    return visit(a, b);
  }

  /** Every answer that a function gives to some call, ascending. */
  answers(a: Diagram): readonly number[] {
    const seen = new Set<Diagram>();
    const found = new Set<number>();
    const visit = (node: Diagram) => {
      if (seen.has(node)) return;
      seen.add(node);
      if (this.isEnd(node)) {
        found.add(this.valueOf(node));
        return;
      }
      visit(this.#low[node] as number);
      visit(this.#high[node] as number);
    };
    visit(a);
    return [...found].toSorted((x, y) => x - y);
  }

  /**
   * The graph in a form that depends on the function alone: functions are equal when and only when these bytes are. Nodes in the order in
   * which a walk, 0 before 1, leaves them; each as level, and answer and 1, or the places of its two branches; little-endian.
   */
  canonical(a: Diagram): Uint8Array {
    const places = new Map<Diagram, number>();
    const rows: number[] = [];
    const visit = (node: Diagram): number => {
      const known = places.get(node);
      if (known !== undefined) return known;
      const end = this.isEnd(node);
      const low = end ? this.valueOf(node) : visit(this.#low[node] as number);
      const high = end ? 1 : visit(this.#high[node] as number);
      const place = places.size;
      places.set(node, place);
      rows.push(this.levelOf(node), low, high);
      return place;
    };
    visit(a);
    const bytes = new Uint8Array(4 * rows.length);
    const view = new DataView(bytes.buffer);
    for (const [i, word] of rows.entries()) view.setUint32(4 * i, word, true);
    return bytes;
  }
}
