/** Calls and witnesses as text, the same in messages, reports and tests. */
import { type Call, formatVerdict, WORD } from "../compile/seccomp/ir.ts";
import { abiThrough, nameOf } from "./call-bits.ts";
import type { Witness } from "./prover.ts";

const hex = (value: bigint | number) => `0x${value.toString(16)}`;

/** The six arguments of a call, 64 bits each. */
export function argumentsOf(words: Call): readonly bigint[] {
  return [0, 1, 2, 3, 4, 5].map((i) => wide(words, WORD.args + 2 * i));
}

export function pointerOf(words: Call): bigint {
  return wide(words, WORD.ip);
}

function wide(words: Call, low: number): bigint {
  return (BigInt(words[low + 1] as number) << 32n) | BigInt(words[low] as number);
}

/** `openat (x86_64)`, or `number 0x3e8 of x86_64`, or `number 0x1 of architecture 0x28`. */
export function formatIdentity(arch: number, nr: number): string {
  const abi = abiThrough(arch, nr);
  if (abi === null) return `number ${hex(nr)} of architecture ${hex(arch)}`;
  const name = nameOf(arch, nr);
  return name === null ? `number ${hex(nr)} of ${abi}` : `${name} (${abi})`;
}

/** `openat (x86_64) with arguments 0x0, 0x0, 0x2, 0x0, 0x0, 0x0`, and the instruction pointer where it is not 0. */
export function formatCall(words: Call): string {
  const ip = pointerOf(words);
  const from = ip === 0n ? "" : ` from ${hex(ip)}`;
  const identity = formatIdentity(words[WORD.arch] as number, words[WORD.nr] as number);
  return `${identity} with arguments ${argumentsOf(words).map(hex).join(", ")}${from}`;
}

/** `openat (x86_64) with arguments ...: FIRST allow, SECOND errno(1)`. */
export function formatWitness({ call, first, second }: Witness, one: string, other: string): string {
  return `${formatCall(call)}: ${one} ${formatVerdict(first)}, ${other} ${formatVerdict(second)}`;
}

/** A call as data: numbers that JSON can hold as numbers, the others as hexadecimal text. */
export function callJson(words: Call): object {
  const arch = words[WORD.arch] as number;
  const nr = words[WORD.nr] as number;
  return {
    abi: abiThrough(arch, nr),
    arch: hex(arch),
    name: nameOf(arch, nr),
    nr,
    args: argumentsOf(words).map(hex),
    ip: hex(pointerOf(words)),
  };
}
