/**
 * A file of struct sock_filter -> a program. Either byte order: what decodes as a filter is one. On a big-endian machine the words of a 64-bit
 * argument stand the other way round, so such a program's loads are turned, and it can be compared with the others.
 */
import { type Bpf, decode, INSTRUCTION_BYTES, OP } from "../compile/seccomp/decode.ts";
import { WORD } from "../compile/seccomp/ir.ts";

export type ReadBpf =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly bpf: Bpf; readonly order: "little" | "big" }
  | { readonly ok: false; readonly reason: string };

/** The program as a little-endian machine would have it. */
export function readBpf(bytes: Uint8Array): ReadBpf {
  const little = decode(bytes);
  if (little.ok) return { ok: true, bytes, bpf: little.bpf, order: "little" };
  const turned = bytes.length % INSTRUCTION_BYTES === 0 ? turn(bytes) : bytes;
  const big = decode(turned);
  if (big.ok) return { ok: true, bytes: turned, bpf: big.bpf, order: "big" };
  return { ok: false, reason: `instruction ${little.instruction}: ${little.reason}` };
}

function turn(bytes: Uint8Array): Uint8Array {
  const turned = new Uint8Array(bytes.length);
  const from = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const to = new DataView(turned.buffer);
  for (let at = 0; at < bytes.length; at += INSTRUCTION_BYTES) {
    const code = from.getUint16(at, false);
    const k = from.getUint32(at + 4, false);
    // struct seccomp_data: number and architecture are single words, the rest are pairs.
    const paired = code === OP.ld && k >= 4 * WORD.ip;
    to.setUint16(at, code, true);
    to.setUint8(at + 2, from.getUint8(at + 2));
    to.setUint8(at + 3, from.getUint8(at + 3));
    to.setUint32(at + 4, paired ? (k ^ 4) >>> 0 : k, true);
  }
  return turned;
}

/** Whether a file is rather a program than text: every instruction has a zero byte, and no text has one. */
export function looksLikeBpf(bytes: Uint8Array): boolean {
  return bytes.includes(0);
}
