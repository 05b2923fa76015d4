/**
 * What it means for one value of a profile to permit more than another: a few orders, of which layers.ts makes its table. Each takes two values and a
 * pointer; gives differences of the second from the first, with an example of what only one of them permits.
 */
import { NotStated, stated } from "../profile/stated.ts";
import { escapeToken } from "../profile/tree.ts";

/**
 * Of the second seen from the first. `incomparable`: neither contains the other, or nobody can say. `other`: different, but nothing more or less is
 * permitted by it. `undecided`: only one of the two says anything about it.
 */
export type LayerDirection = "stricter" | "looser" | "incomparable" | "other" | "undecided";

export interface Difference {
  /** JSON pointer into the profile. */
  readonly pointer: string;
  readonly direction: LayerDirection;
  readonly from: string;
  readonly to: string;
  /** What one permits and the other does not: a path, a capability, a value beyond a limit. */
  readonly witness: string;
}

export type Order<T> = (a: T, b: T, at: string) => readonly Difference[];

/** For every field of an object an order; null: it has no part in what is permitted, not even a difference. */
export function fields<T extends object>(
  orders: { readonly [K in keyof T]-?: Order<T[K]> | null },
): Order<T> {
  return (a, b, at) =>
    (Object.keys(orders) as (keyof T & string)[]).flatMap((key) => {
      const order = orders[key];
      return order === null ? [] : member(order, a, b, key, at);
    });
}

/** One order for every member of a record. `keys`: all that there can be, where a document may leave some out. */
export function each<K extends string, V>(
  order: Order<V>,
  keys?: readonly K[],
): Order<Readonly<Record<K, V>>> {
  return (a, b, at) =>
    (keys ?? (Object.keys(a) as K[])).flatMap((key) =>
      member<Readonly<Record<K, V>>, K>(order, a, b, key, at),
    );
}

/** What neither document says is left to the same hands, and no difference. */
function member<T extends object, K extends keyof T & string>(
  order: Order<T[K]>,
  a: T,
  b: T,
  key: K,
  at: string,
): readonly Difference[] {
  const pointer = `${at}/${escapeToken(key)}`;
  const [one, other] = [stated(() => a[key]), stated(() => b[key])];
  if (!(one instanceof NotStated) && !(other instanceof NotStated)) return order(one, other, pointer);
  const silent = [one, other].filter((side) => side instanceof NotStated);
  if (silent.length === 2) return [];
  const told = (side: T[K] | NotStated): string =>
    side instanceof NotStated ? "not said" : typeof side === "object" && side !== null ? "said" : show(side);
  const witness = silent.map(({ message }) => message).join();
  return [{ pointer, direction: "undecided", from: told(one), to: told(other), witness }];
}

const show = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
const sameValue = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Values from the strictest to the loosest. */
export function ordered<T extends string>(order: readonly T[], about: string): Order<T> {
  return (a, b, at) => {
    const step = order.indexOf(b) - order.indexOf(a);
    if (step === 0) return [];
    const direction = step > 0 ? "looser" : "stricter";
    return [{ pointer: at, direction, from: a, to: b, witness: `${about} ${step > 0 ? b : a}` }];
  };
}

/** A switch, and which position is the stricter one. */
export function flag(stricter: boolean, otherwise: string): Order<boolean> {
  return (a, b, at) =>
    a === b
      ? []
      : [
          {
            pointer: at,
            direction: b === stricter ? "stricter" : "looser",
            from: String(a),
            to: String(b),
            witness: otherwise,
          },
        ];
}

/** An upper limit; null: none. The witness is the least value that only one of the two permits. */
export function limit(unit: string): Order<number | null> {
  return (a, b, at) => {
    if (a === b) return [];
    const looser = b === null || (a !== null && b > a);
    const lower = Math.min(a ?? Number.POSITIVE_INFINITY, b ?? Number.POSITIVE_INFINITY);
    const beyond = Number.isInteger(lower) ? `${lower + 1} ${unit}` : `more than ${lower} ${unit}`;
    return [
      {
        pointer: at,
        direction: looser ? "looser" : "stricter",
        from: a === null ? "no limit" : String(a),
        to: b === null ? "no limit" : String(b),
        witness: beyond,
      },
    ];
  };
}

/** A set of names, each of which permits something, or with `more: "stricter"` forbids something. What both have is not told. */
export function names(about: string, more: "looser" | "stricter" = "looser"): Order<readonly string[]> {
  return (a, b, at) => {
    const only = (list: readonly string[], other: readonly string[]) =>
      [...new Set(list)].filter((name) => !other.includes(name));
    const [gone, come] = [only(a, b), only(b, a)];
    const told = (list: readonly string[]) => (list.length === 0 ? "nothing of it" : list.join(", "));
    const difference = (direction: LayerDirection, list: readonly string[]): readonly Difference[] =>
      list.length === 0
        ? []
        : [
            {
              pointer: at,
              direction,
              from: told(gone),
              to: told(come),
              witness: `${about} ${list.join(", ")}`,
            },
          ];
    return [...difference(more, come), ...difference(more === "looser" ? "stricter" : "looser", gone)];
  };
}

/** Values that have no order: another one is neither more nor less, for all that is known. */
export function same(otherwise: string): Order<unknown> {
  return (a, b, at) =>
    sameValue(a, b)
      ? []
      : [{ pointer: at, direction: "incomparable", from: show(a), to: show(b), witness: otherwise }];
}

/** Values that permit nothing, whatever they are. */
export const free: Order<unknown> = (a, b, at) =>
  sameValue(a, b) ? [] : [{ pointer: at, direction: "other", from: show(a), to: show(b), witness: "" }];
