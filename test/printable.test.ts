/** What others wrote is text to whoever shows it: a terminal, a log viewer, a CI system. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { toJson } from "../src/cli/json.ts";
import { printable, printableLines } from "../src/printable.ts";

const COMMANDS = [
  "##vso[task.complete result=Succeeded]",
  "##VSO[task.setvariable variable=PATH]/tmp",
  "##[stop-commands]x",
  "##teamcity[buildStatus status='SUCCESS']",
];

test.for(COMMANDS)("no CI system obeys %s, wherever it stands", (command) => {
  for (const text of [command, `/usr/bin/${command}`, `#${command}`, `${command}${command}`]) {
    expect(printable(text)).not.toMatch(/##(?:vso|teamcity)?\[/i);
    expect(printableLines(`a\n${text}\n`)).not.toMatch(/##(?:vso|teamcity)?\[/i);
    expect(toJson({ [text]: text })).not.toMatch(/##(?:vso|teamcity)?\[/i);
    expect(JSON.parse(toJson({ [text]: text }))).toEqual({ [text]: text });
  }
});

test("what is printable stays as it is, done twice as well", () => {
  for (const text of ["/etc/passwd", "## a heading", "#[derive]", "a # b [c]", "größer"])
    expect(printable(text)).toBe(text);
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("#", "[", "vso", "\u001b", "a", "\u202e", "\\") }),
      (text) => {
        expect(printable(printable(text))).toBe(printable(text));
      },
    ),
  );
});
