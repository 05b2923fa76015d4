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

/** The command an example calls, and what is left for it to read. */
function resolveLine(line: string): { readonly target: Command; readonly rest: readonly string[] } {
  const typed = words(line);
  let rest = typed.slice(typed.indexOf("sandbox") + 1);
  let target = program();
  for (;;) {
    const child = target.commands.find((candidate) => candidate.name() === rest[0]);
    if (child === undefined) return { target, rest };
    target = child;
    rest = rest.slice(1);
  }
}

const COMMANDS = all(program()).map((command) => [pathOf(command), command] as const);
const EXAMPLES = COMMANDS.flatMap(([, command]) => examplesOf(command).map(([line]) => line));

describe("every command", () => {
  it.each(COMMANDS)("%s says what it is for, with examples", (_path, command) => {
    expect(command.description()).toMatch(/^[A-Z].*\.$/s);
    expect(command.parent === null || /^[a-z]/.test(command.summary())).toBe(true);
    expect(examplesOf(command).length).toBeGreaterThan(0);
    expect(command.options.filter(({ description }) => description === "")).toEqual([]);
  });

  it.each(EXAMPLES)("has examples that are valid uses of it: %s", (line) => {
    const { target, rest } = resolveLine(line);
    expect(target.parent).not.toBeNull();
    const { operands, unknown } = target.parseOptions([...rest]);
    expect(unknown).toEqual([]);
    const required = target.registeredArguments.filter((argument) => argument.required).length;
    expect(operands.length).toBeGreaterThanOrEqual(required);
    expect(readRequest(target).problems).toEqual([]);
  });
});

const named = (name: string): Command => {
  const found = program().commands.find((command) => command.name() === name);
  if (found === undefined) throw new Error(`no command ${name}`);
  return found;
};

describe("run, plan and compile", () => {
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
