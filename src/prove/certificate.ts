/**
 * What is kept of a proof that a filter does what its rules say: enough to find out later, with the same rules and the same bytes, that it is
 * the same proof. Pure data; the digests are made where there is a hash function (`FilterCertificate` in the launch plan).
 */
import type { FilterPolicy } from "../compile/seccomp/ir.ts";

/** A proof, before its parts are digested. */
export interface Proof {
  /** Which engine proved it. */
  readonly engine: string;
  readonly instructions: number;
  /** Regions of calls that have one answer each, see regions.ts. */
  readonly regions: number;
  /** Calls, of every region some, that evaluator and rules were also asked about one by one. */
  readonly replayed: number;
  /** The canonical graph of what the filter answers: equal bytes for filters of equal meaning, whoever emitted them. */
  readonly meaning: Uint8Array;
  /** The rules it was held against, as text that depends on nothing else. */
  readonly rules: string;
}

/** A proof as plans and audit logs carry it. Digests are SHA-256, lower-case hex. */
export interface FilterCertificate {
  readonly engine: string;
  /** Of struct sock_filter[], little-endian. */
  readonly filter: string;
  readonly rules: string;
  readonly meaning: string;
  readonly instructions: number;
  readonly regions: number;
  readonly replayed: number;
  /** Of all the above, as JSON without spaces in this order. */
  readonly digest: string;
}

/** Rules as text: the same for the same policy. */
export function rulesText({ abis, fallback, newer, foreign }: FilterPolicy): string {
  return JSON.stringify(
    { abis: abis.map(({ abi, calls }) => ({ abi, calls: [...calls] })), fallback, newer, foreign },
    (_, value: unknown) => (typeof value === "bigint" ? `0x${value.toString(16)}` : value),
  );
}
