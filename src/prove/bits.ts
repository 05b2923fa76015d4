/**
 * 32-bit words whose bits are diagrams, and the arithmetic of classic BPF over them. A constant is a word of constant bits, so there is
 * one set of operations for what is known and what is not. Unsigned and modulo 2^32, as bpf_prog_run does it.
 */
import { type Diagram, type Diagrams, FALSE, TRUE, Undecided } from "./diagram.ts";

/** Bit 0, the lowest, first. */
export type Bits = readonly Diagram[];

export const WORD_BITS = 32;

export function constant(value: number): Bits {
  return Array.from({ length: WORD_BITS }, (_, i) => ((value >>> i) & 1 ? TRUE : FALSE));
}

/** The value, if every bit is known. */
export function known(bits: Bits): number | undefined {
  let value = 0;
  for (const [i, bit] of bits.entries()) {
    if (bit === TRUE) value += 2 ** i;
    else if (bit !== FALSE) return undefined;
  }
  return value;
}

type Bitwise = (d: Diagrams, a: Diagram, b: Diagram) => Diagram;
const bitwise =
  (each: Bitwise) =>
  (d: Diagrams, a: Bits, b: Bits): Bits =>
    a.map((bit, i) => each(d, bit, b[i] as Diagram));

export const and = bitwise((d, a, b) => d.and(a, b));
export const or = bitwise((d, a, b) => d.or(a, b));
export const xor = bitwise((d, a, b) => d.xor(a, b));

function sum(d: Diagrams, a: Bits, b: Bits, carryIn: Diagram): Bits {
  let carry = carryIn;
  return a.map((bit, i) => {
    const other = b[i] as Diagram;
    const half = d.xor(bit, other);
    const total = d.xor(half, carry);
    carry = d.choose(half, carry, bit);
    return total;
  });
}

export function add(d: Diagrams, a: Bits, b: Bits): Bits {
  return sum(d, a, b, FALSE);
}

export function subtract(d: Diagrams, a: Bits, b: Bits): Bits {
  return sum(
    d,
    a,
    b.map((bit) => d.not(bit)),
    TRUE,
  );
}

export function negate(d: Diagrams, a: Bits): Bits {
  return subtract(d, constant(0), a);
}

/** Towards the high bits for positive `by`. */
function shift(a: Bits, by: number): Bits {
  return a.map((_, i) => a[i - by] ?? FALSE);
}

export function shiftLeft(_: Diagrams, a: Bits, b: Bits): Bits {
  return shift(a, fixed(b, "shifts by") & 31);
}

export function shiftRight(_: Diagrams, a: Bits, b: Bits): Bits {
  return shift(a, -(fixed(b, "shifts by") & 31));
}

export function multiply(d: Diagrams, a: Bits, b: Bits): Bits {
  const factor = fixed(b, "multiplies by");
  let product = constant(0);
  for (let i = 0; i < WORD_BITS; i++) if ((factor >>> i) & 1) product = add(d, product, shift(a, i));
  return product;
}

/** Long division; the divisor is not 0. */
export function divide(d: Diagrams, a: Bits, b: Bits): Bits {
  const divisor = constant(fixed(b, "divides by"));
  let rest = constant(0);
  const quotient: Diagram[] = [];
  for (let i = WORD_BITS - 1; i >= 0; i--) {
    // The bit that leaves at the top counts too: with it, the rest is at least 2^32.
    const top = rest[WORD_BITS - 1] as Diagram;
    rest = [a[i] as Diagram, ...rest.slice(0, -1)];
    const fits = d.or(top, atLeast(d, rest, divisor));
    const less = subtract(d, rest, divisor);
    rest = rest.map((bit, n) => d.choose(fits, less[n] as Diagram, bit));
    quotient[i] = fits;
  }
  return quotient;
}

function fixed(b: Bits, what: string): number {
  const value = known(b);
  if (value === undefined) throw new Undecided(`the program ${what} a part of the call`);
  return value;
}

/** Comparisons are with constants almost always: of a known bit, one step says all. */
export function equal(d: Diagrams, a: Bits, b: Bits): Diagram {
  let result = TRUE;
  for (const [i, bit] of a.entries()) {
    const other = b[i] as Diagram;
    if (other === TRUE) result = d.and(bit, result);
    else if (other === FALSE) result = d.choose(bit, FALSE, result);
    else result = d.and(d.not(d.xor(bit, other)), result);
  }
  return result;
}

/** a > b, unsigned. The lowest bit decides first, the highest last: so the graph grows from its end. */
export function greater(d: Diagrams, a: Bits, b: Bits): Diagram {
  return compare(d, a, b, FALSE);
}

export function atLeast(d: Diagrams, a: Bits, b: Bits): Diagram {
  return compare(d, a, b, TRUE);
}

function compare(d: Diagrams, a: Bits, b: Bits, whenEqual: Diagram): Diagram {
  let result = whenEqual;
  for (const [i, bit] of a.entries()) {
    const other = b[i] as Diagram;
    if (other === TRUE) result = d.and(bit, result);
    else if (other === FALSE) result = d.or(bit, result);
    else result = d.choose(d.xor(bit, other), bit, result);
  }
  return result;
}

/** a & b != 0 */
export function intersects(d: Diagrams, a: Bits, b: Bits): Diagram {
  let result = FALSE;
  for (const [i, bit] of a.entries()) {
    const other = b[i] as Diagram;
    if (other !== FALSE) result = d.or(d.and(bit, other), result);
  }
  return result;
}
