/**
 * Arguments as bytes. Node decodes its arguments as UTF-8 and puts U+FFFD in the place of what is none: a command would be given other
 * arguments than its caller wrote, and a path would name another file.
 */
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import type { Problem } from "../problems.ts";

/** What Node has changed of these arguments, the last ones of this process. Asks the kernel only where something may have been. */
export function changedArguments(argv: readonly string[]): readonly Problem[] {
  if (!argv.some((word) => word.includes("\uFFFD"))) return [];
  const raw = splitAtNul(readFileSync("/proc/self/cmdline")).slice(-argv.length);
  return argv.flatMap((word, index) => {
    const bytes = raw[index];
    if (bytes === undefined || isUtf8(bytes) || bytes.toString("utf8") !== word) return [];
    return [
      {
        kind: "flag-invalid",
        where: { kind: "flag", flag: `argument ${index + 1}` },
        pointer: "",
        message: `${JSON.stringify(word)} holds bytes that are not UTF-8, and they would not arrive as they are`,
        hint: "a compiled launcher passes any bytes on: sandbox compile -o FILE, then ./FILE CMD [ARG...]",
      },
    ];
  });
}

function splitAtNul(bytes: Buffer): readonly Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0, from);
    parts.push(bytes.subarray(from, end));
    from = end + 1;
  }
  return parts;
}
