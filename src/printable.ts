/**
 * Text of others, made safe to show: takes any text, gives one line that no terminal, log viewer or CI system takes for anything but text.
 * Names, paths, arguments and descriptions come from whoever wrote the profile, the image, the command line or the log.
 */

/** Control, invisible and direction-changing characters (the "Trojan Source" class), separators of lines, halves of surrogate pairs. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Words that Azure Pipelines, GitHub's runner and TeamCity take for commands anywhere in a line: `##vso[task.complete result=Succeeded]`. */
const COMMAND = /##(?=(?:vso|teamcity)?\[)/gi;

/** A colour of our own (SGR), and what separates lines and columns. */
const ESC = "\u001B";
const OWN = new RegExp(String.raw`(${ESC}\[[\d;]*m|[\n\t]+)`);

/** The same text in one line, hidden characters as \xNN or \u{NNNN}, commands to CI systems with one such. Harmless when done twice. */
export function printable(text: string): string {
  return text.replaceAll(COMMAND, String.raw`#\x23`).replaceAll(HIDDEN, (unit) => {
    const code = unit.codePointAt(0) ?? 0;
    // A byte that was no UTF-8, see image/names.ts.
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}

/** The same for text of several lines that we have coloured ourselves: the last look before a terminal. */
export function printableLines(text: string): string {
  return text
    .split(OWN)
    .map((part, index) => (index % 2 === 1 ? part : printable(part)))
    .join("");
}
