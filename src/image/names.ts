/**
 * Names in an image are bytes, and a hostile one is full of them: takes bytes, gives text that no two names share, and
 * text that is safe on a terminal. Must never let a name choose what a terminal does.
 */
import { isUtf8 } from "node:buffer";

export { printable } from "../printable.ts";

/** Text of a name. Bytes that are no UTF-8 become lone surrogates U+DC80..U+DCFF, so that different names stay different. */
export function decodeName(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString("utf8");
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length === 0) text += String.fromCharCode(0xdc00 + (bytes[at++] ?? 0));
    else {
      text += bytes.toString("utf8", at, at + length);
      at += length;
    }
  }
  return text;
}

/** Length of the valid UTF-8 sequence that starts here; 0 if there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++)
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  return 0;
}
