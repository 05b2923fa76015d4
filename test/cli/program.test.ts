import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { examplesOf } from "../../src/cli/examples.ts";
import { FLAG_RULES } from "../../src/cli/overrides.ts";
import { createProgram } from "../../src/cli/program.ts";
import { readRequest } from "../../src/cli/sandbox-options.ts";

const program = (): Command => createProgram(() => undefined);

function all(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(all)];
}

const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;

/** The words of a shell line as the examples use them: quotes, and a process substitution around. */
function words(line: string): readonly string[] {
  const inner = /<\((.*)\)/.exec(line)?.[1] ?? line;
  const before = inner.split(/\s[>|]\s/)[0] ?? "";
  return [...before.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
}

describe("every command", () => {
  it.each(all(program()).map((command) => [pathOf(command), command] as const))(
    "%s says what it is for, with examples",
    (_path, command) => {
      expect(command.description()).toMatch(/^[A-Z].*\.$/s);
      if (command.parent !== null) expect(command.summary()).toMatch(/^[a-z]/);
      expect(examplesOf(command).length).toBeGreaterThan(0);
      for (const option of command.options) expect(option.description, option.flags).not.toBe("");
    },
  );

  it("has examples that are valid uses of it", () => {
    for (const command of all(program())) {
      for (const [line] of examplesOf(command)) {
        const typed = words(line);
        const start = typed.indexOf("sandbox");
        expect(start, line).toBeGreaterThanOrEqual(0);
        let rest = typed.slice(start + 1);
        let target = program();
        for (;;) {
          const child = target.commands.find((candidate) => candidate.name() === rest[0]);
          if (child === undefined) break;
          target = child;
          rest = rest.slice(1);
        }
        const { operands, unknown } = target.parseOptions([...rest]);
        expect(unknown, line).toEqual([]);
        const [first] = target.registeredArguments;
        if (first?.required === true) expect(operands.length, line).toBeGreaterThan(0);
        expect(readRequest(target).problems, line).toEqual([]);
      }
    }
  });
});

describe("run, plan and compile", () => {
  const named = (name: string): Command => {
    const found = program().commands.find((command) => command.name() === name);
    if (found === undefined) throw new Error(name);
    return found;
  };

  it.each(["run", "plan", "compile"])("%s takes every flag that changes the profile", (name) => {
    const longs = named(name).options.map(({ long }) => long);
    for (const flag of Object.keys(FLAG_RULES)) expect(longs).toContain(flag);
    expect(longs).toContain("--profile");
  });

  it("plan takes whatever run takes", () => {
    const longs = named("plan").options.map(({ long }) => long);
    for (const { long } of named("run").options) expect(longs).toContain(long);
  });

  it.each<readonly [string, readonly string[], readonly string[]]>([
    ["everything after --", ["--pids", "3", "--", "ls", "--memory", "-p"], ["ls", "--memory", "-p"]],
    ["everything after the first word", ["--pids", "3", "ls", "--memory", "-p"], ["ls", "--memory", "-p"]],
    ["a second --", ["ls", "--", "x"], ["ls", "--", "x"]],
    ["a -- after --", ["--", "--", "x"], ["--", "x"]],
    ["a command that looks like an option", ["--", "--help"], ["--help"]],
    ["the name of one of our commands", ["help", "run"], ["help", "run"]],
  ])("leave %s to the sandboxed command", (_what, args, expected) => {
    const run = named("run");
    const { operands, unknown } = run.parseOptions([...args]);
    expect(unknown).toEqual([]);
    expect(operands).toEqual(expected);
    expect(readRequest(run).request.overrides).toHaveLength(args[0] === "--pids" ? 1 : 0);
  });

  it("read the same flag by its short and its long name, and values after = or a space", () => {
    const requests = [
      ["-e", "A=1", "-w", "/x"],
      ["--env", "A=1", "--workdir", "/x"],
      ["--env=A=1", "--workdir=/x"],
      ["-eA=1", "-w/x"],
    ].map((args) => {
      const run = named("run");
      run.parseOptions(args);
      return readRequest(run);
    });
    for (const request of requests) expect(request).toEqual(requests[0]);
    expect(requests[0]?.request.overrides).toHaveLength(2);
  });
});
