/**
 * Policy -> BPF, purely: our own emitter. Also gives the short prologue that stands before libseccomp's program for what
 * libseccomp cannot say (ranges of numbers, several verdicts on one call).
 *
 * A program is an immutable graph of nodes; equal nodes are one object, so equal endings are emitted once. Emission goes from the
 * end to the start, so that every jump is forward to a known place. Never decides what a call gets: that is judge().
 */
import { AUDIT_ARCH, NEWEST_OF, SKIPPED, X32_BIT } from "./abi.ts";
import { MAX_INSTRUCTIONS, OP } from "./decode.ts";
import {
  type AbiPolicy,
  ALL_ONES,
  type Condition,
  type FilterPolicy,
  type Rule,
  type Verdict,
  WORD,
} from "./ir.ts";

type Node =
  | { readonly id: number; readonly kind: "ret"; readonly k: number }
  /** The program that the prologue stands before. */
  | { readonly id: number; readonly kind: "body" }
  | {
      readonly id: number;
      readonly kind: "step";
      readonly code: number;
      readonly k: number;
      readonly next: Node;
    }
  | {
      readonly id: number;
      readonly kind: "jump";
      readonly code: number;
      readonly k: number;
      readonly yes: Node;
      readonly no: Node;
    };

/** Makes nodes; asking twice for the same gives the same. */
class Graph {
  readonly #nodes = new Map<string, Node>();

  #make(key: string, node: (id: number) => Node): Node {
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const made = node(this.#nodes.size);
    this.#nodes.set(key, made);
    return made;
  }

  ret(k: Verdict): Node {
    return this.#make(`r${k}`, (id) => ({ id, kind: "ret", k }));
  }
  body(): Node {
    return this.#make("b", (id) => ({ id, kind: "body" }));
  }
  load(word: number, next: Node): Node {
    return this.#make(`l${word},${next.id}`, (id) => ({ id, kind: "step", code: OP.ld, k: 4 * word, next }));
  }
  and(mask: number, next: Node): Node {
    return this.#make(`a${mask},${next.id}`, (id) => ({ id, kind: "step", code: OP.and, k: mask, next }));
  }
  jump(code: number, k: number, yes: Node, no: Node): Node {
    if (yes === no) return yes;
    return this.#make(`j${code},${k},${yes.id},${no.id}`, (id) => ({ id, kind: "jump", code, k, yes, no }));
  }
}

/** The whole policy as one program. Undefined when it would exceed the kernel's 4096 instructions. */
export function generate(policy: FilterPolicy): Uint8Array | undefined {
  const graph = new Graph();
  const foreign = graph.ret(policy.foreign);
  // ld arch; jeq NATIVE ... jeq NEXT ...: kill
  let start: Node = foreign;
  const arches = [...new Set(policy.abis.map((abi) => AUDIT_ARCH[abi.abi]))];
  for (const arch of arches.toReversed()) {
    const spans = policy.abis
      .filter((abi) => AUDIT_ARCH[abi.abi] === arch)
      .flatMap((abi) => spansOf(graph, policy, abi));
    const dispatch = graph.load(WORD.nr, search(graph, covering(spans, foreign)));
    start = graph.jump(OP.jeq, arch, dispatch, start);
  }
  return emit(graph.load(WORD.arch, start), new Uint8Array(0));
}

/**
 * The prologue before `body`, a filter for the native ABI alone: answers numbers newer than known and the calls in `own` itself,
 * leaves the rest, other architectures included, to the body.
 */
export function prepend(
  policy: FilterPolicy,
  own: ReadonlySet<number>,
  body: Uint8Array,
): Uint8Array | undefined {
  const graph = new Graph();
  const native = policy.abis[0] as AbiPolicy;
  const rest = graph.body();
  const spans = spansOf(graph, policy, native).map((span) => {
    const unheardOf = span.first > NEWEST_OF[native.abi] && policy.newer !== policy.fallback;
    return unheardOf || own.has(span.first) ? span : { ...span, node: rest };
  });
  const dispatch = search(graph, covering(spans, rest));
  if (dispatch === rest) return body;
  return emit(
    graph.load(WORD.arch, graph.jump(OP.jeq, AUDIT_ARCH[native.abi], graph.load(WORD.nr, dispatch), rest)),
    body,
  );
}

/** Numbers from `first` to `last`, both inside, have one answer. */
interface Span {
  readonly first: number;
  readonly last: number;
  readonly node: Node;
}

/** The numbers that belong to an ABI, cut where the answer may change. */
function spansOf(graph: Graph, policy: FilterPolicy, { abi, calls }: AbiPolicy): Span[] {
  const [low, high] =
    abi === "x86_64" ? [0, X32_BIT - 1] : abi === "x32" ? [X32_BIT, SKIPPED - 1] : [0, SKIPPED];
  const spans: Span[] = [];
  const fill = (first: number, last: number) => {
    const newest = NEWEST_OF[abi];
    const known = graph.ret(policy.fallback);
    if (first <= newest && first <= last) spans.push({ first, last: Math.min(last, newest), node: known });
    if (last > newest && first <= last)
      spans.push({ first: Math.max(first, newest + 1), last, node: graph.ret(policy.newer) });
  };
  let next = low;
  for (const [nr, rules] of [...calls].toSorted((a, b) => a[0] - b[0])) {
    fill(next, nr - 1);
    const otherwise = nr > NEWEST_OF[abi] ? policy.newer : policy.fallback;
    spans.push({ first: nr, last: nr, node: decide(graph, rules, graph.ret(otherwise)) });
    next = nr + 1;
  }
  fill(next, high);
  // x86-64 also answers for the number with which a tracer skips a call: it is no x32 call.
  if (abi === "x86_64") spans.push({ first: SKIPPED, last: SKIPPED, node: graph.ret(policy.newer) });
  return spans;
}

/** Sorted, without holes (those get `hole`), neighbours with one answer joined. */
function covering(spans: readonly Span[], hole: Node): Span[] {
  const whole: Span[] = [];
  const add = (first: number, last: number, node: Node) => {
    const previous = whole.at(-1);
    if (previous?.node === node) whole[whole.length - 1] = { ...previous, last };
    else whole.push({ first, last, node });
  };
  let next = 0;
  for (const span of spans.toSorted((a, b) => a.first - b.first)) {
    if (span.first > next) add(next, span.first - 1, hole);
    add(span.first, span.last, span.node);
    next = span.last + 1;
  }
  if (next <= 0xffffffff) add(next, 0xffffffff, hole);
  return whole;
}

/** Binary search over the number in A: jge MIDDLE ? upper half : lower half. */
function search(graph: Graph, spans: readonly Span[]): Node {
  const only = spans[0] as Span;
  if (spans.length === 1) return only.node;
  const half = spans.length >> 1;
  const middle = spans[half] as Span;
  return graph.jump(
    OP.jge,
    middle.first,
    search(graph, spans.slice(half)),
    search(graph, spans.slice(0, half)),
  );
}

/** First rule that holds answers. */
function decide(graph: Graph, rules: readonly Rule[], otherwise: Node): Node {
  return rules.reduceRight<Node>(
    (no, rule) =>
      rule.conditions.reduceRight<Node>(
        (yes, condition) => test(graph, condition, yes, no),
        graph.ret(rule.verdict),
      ),
    otherwise,
  );
}

/** A 64-bit comparison out of 32-bit ones: the high words decide unless equal, then the low words do. */
function test(graph: Graph, condition: Condition, yes: Node, no: Node): Node {
  const { operator, mask, value } = condition;
  switch (operator) {
    case "ne":
      return test(graph, { ...condition, operator: "eq" }, no, yes);
    case "lt":
      return test(graph, { ...condition, operator: "ge" }, no, yes);
    case "le":
      return test(graph, { ...condition, operator: "gt" }, no, yes);
    case "eq":
    case "gt":
    case "ge":
  }
  const lowWord = WORD.args + 2 * condition.index;
  const valueLow = Number(value & 0xffffffffn);
  const valueHigh = Number(value >> 32n);
  if (operator === "eq") {
    const word = (at: number, bits: number, expected: number, then: Node): Node => {
      if (bits === 0) return expected === 0 ? then : no;
      const compare = graph.jump(OP.jeq, expected, then, no);
      return compare === no ? no : graph.load(at, bits === 0xffffffff ? compare : graph.and(bits, compare));
    };
    const low = word(lowWord, Number(mask & 0xffffffffn), valueLow, yes);
    return word(lowWord + 1, Number(mask >> 32n), valueHigh, low);
  }
  if (mask !== ALL_ONES) throw new Error("only equality may be masked");
  const low = graph.load(lowWord, graph.jump(operator === "gt" ? OP.jgt : OP.jge, valueLow, yes, no));
  return graph.load(lowWord + 1, graph.jump(OP.jgt, valueHigh, yes, graph.jump(OP.jeq, valueHigh, low, no)));
}

interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** Backwards: place 0 is the last instruction; a jump from place p to place q skips p - q - 1. */
function emit(start: Node, body: Uint8Array): Uint8Array | undefined {
  const reversed: Instruction[] = [];
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = body.length - 8; at >= 0; at -= 8)
    reversed.push({
      code: view.getUint16(at, true),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, true),
    });
  const places = new Map<Node, number>();
  const bodyPlace = reversed.length - 1;

  const push = (code: number, k: number, jt = 0, jf = 0) => reversed.push({ code, jt, jf, k }) - 1;

  const place = (node: Node): number => {
    const known = places.get(node);
    if (known !== undefined) return known;
    const at = put(node);
    places.set(node, at);
    return at;
  };
  /** Where the node is, brought within `reach` instructions of the next one by a copy or a long jump. */
  const near = (node: Node, reach: number): number => {
    const at = place(node);
    if (reversed.length - at - 1 <= reach) return at;
    const closer = node.kind === "ret" ? push(OP.ret, node.k) : push(OP.ja, reversed.length - at - 1);
    places.set(node, closer);
    return closer;
  };
  const put = (node: Node): number => {
    switch (node.kind) {
      case "ret":
        return push(OP.ret, node.k);
      case "body":
        return bodyPlace;
      case "step": {
        near(node.next, 0);
        return push(node.code, node.k);
      }
      case "jump": {
        place(node.yes);
        place(node.no);
        // 254, not 255: bringing the first one near may push the second one away by an instruction.
        near(node.no, 254);
        const yes = near(node.yes, 255);
        const no = places.get(node.no) as number;
        return push(node.code, node.k, reversed.length - yes - 1, reversed.length - no - 1);
      }
    }
  };
  const first = place(start);
  if (first !== reversed.length - 1) push(OP.ja, reversed.length - first - 1);
  return reversed.length > MAX_INSTRUCTIONS ? undefined : encode(reversed.toReversed());
}

function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(8 * instructions.length);
  const view = new DataView(bytes.buffer);
  for (const [i, { code, jt, jf, k }] of instructions.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, jt);
    view.setUint8(8 * i + 3, jf);
    view.setUint32(8 * i + 4, k, true);
  }
  return bytes;
}
