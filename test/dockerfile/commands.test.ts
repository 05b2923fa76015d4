/** The commands of a script are those that a shell would start. */
import { describe, expect, test } from "vitest";
import { commandsOf, operandsOf, programOf } from "../../src/dockerfile/commands.ts";

const words = (script: string) => commandsOf(script).map((command) => command.words);

describe("a script", () => {
  test.for<readonly [string, readonly (readonly string[])[]]>([
    ["a && b; c || d & e", [["a"], ["b"], ["c"], ["d"], ["e"]]],
    ["a 'b && c' \"d;e\" f\\ g", [["a", "b && c", "d;e", "f g"]]],
    [
      "set -e\n# sudo no\nA=1 B=2 x y",
      [
        ["set", "-e"],
        ["x", "y"],
      ],
    ],
    ["if true; then x; else y; fi", [["true"], ["x"], ["y"], ["fi"]]],
    ["(cd /x && make) | tee log", [["cd", "/x"], ["make"], ["tee", "log"]]],
    ["{ a; b; }", [["a"], ["b"]]],
    [
      "echo $(apt-get update)",
      [
        ["echo", "$"],
        ["apt-get", "update"],
      ],
    ],
    ["bash -euo pipefail -c 'x && y'", [["bash", "-euo", "pipefail", "-c", "x && y"], ["x"], ["y"]]],
    ["a \\\n  b", [["a", "b"]]],
    ["echo 'open", [["echo", "open"]]],
    ["", []],
  ])("%j", ([script, expected]) => {
    expect(words(script)).toEqual(expected);
  });

  test("tells the program from what stands before it, and operands from options", () => {
    const [command] = commandsOf("DEBIAN_FRONTEND=x sudo -E /usr/bin/apt-get -qq install -y git");
    if (command === undefined) throw new Error("no command");
    expect(programOf(command)).toBe("apt-get");
    expect(operandsOf(command)).toEqual(["install", "git"]);
  });

  test("nests no deeper than is looked at", () => {
    let script = "sudo x";
    for (let depth = 0; depth < 12; depth++) script = `sh -c ${JSON.stringify(script)}`;
    expect(words(script).length).toBeLessThan(8);
  });
});
