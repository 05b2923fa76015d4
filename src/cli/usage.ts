/**
 * Wrong use, as commander words it → a problem as we word it.
 */
import type { CommanderError } from "commander";
import type { Problem } from "../problems.ts";

interface Wording {
  readonly pattern: RegExp;
  readonly problem: (
    match: readonly string[],
  ) => { readonly flag?: string } & Pick<Problem, "message" | "expected" | "hint">;
}

const WORDINGS: Readonly<Record<string, Wording>> = {
  "commander.unknownOption": {
    pattern: /unknown option '([^']*)'/,
    problem: ([, flag = ""]) => ({
      flag: flag.split("=")[0] ?? flag,
      message: "is not an option here",
      hint: "options of the command itself come after --",
    }),
  },
  "commander.optionMissingArgument": {
    pattern: /option '(?:-\w, )?(--[\w-]+) <(.*)>' argument missing/,
    problem: ([, flag = "", value = ""]) => ({ flag, message: "needs a value", expected: value }),
  },
  "commander.unknownCommand": {
    pattern: /unknown command '([^']*)'/,
    problem: ([, name = ""]) => ({ message: `${JSON.stringify(name)} is not a command` }),
  },
  "commander.missingArgument": {
    pattern: /missing required argument '([^']*)'/,
    problem: ([, name = ""]) => ({ message: `${name} is missing` }),
  },
};

/** The problem that a parse error of `sandbox NAME` stands for. */
export function problemOf(error: CommanderError, name: string): Problem {
  const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const wording = WORDINGS[error.code];
  const match = wording?.pattern.exec(first) ?? null;
  const { flag, ...worded } =
    wording === undefined || match === null ? { flag: undefined, message: first } : wording.problem(match);
  const suggestion = /^\(Did you mean (.*)\?\)$/.exec(rest.join(" "))?.[1];
  return {
    kind: "flag-invalid",
    where: { kind: "flag", flag: flag ?? ["sandbox", name].join(" ").trim() },
    pointer: "",
    ...worded,
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}
