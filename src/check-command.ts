/** What is asked of one run, before anything is logged: a command that a kernel takes, and nothing that is handed on changed. */
import { changedVariables } from "./host/given-bytes.ts";
import { type Problem, ProfileError, type Provenance } from "./problems.ts";

/** Before anything is logged: what no kernel would take as a command line. */
export function checkCommand(argv: readonly string[]): void {
  const where: Provenance = { kind: "option", option: "command" };
  if (argv[0] === undefined || argv[0] === "") {
    throw new ProfileError([
      { kind: "command-missing", where, pointer: "", message: "no command was given" },
    ]);
  }
  const problems = argv.flatMap((argument, index): readonly Problem[] => {
    const fault = argument.includes("\0")
      ? "has a NUL byte, which no argument can have"
      : /\p{Surrogate}/u.test(argument)
        ? "has half of a surrogate pair, which no bytes stand for"
        : null;
    if (fault === null) return [];
    return [{ kind: "profile-value", where, pointer: "", message: `argument ${index} ${fault}` }];
  });
  if (problems.length > 0) throw new ProfileError(problems);
}

/** Nothing is handed on changed: a variable that is not UTF-8 is not what Node says it is. */
export function checkVariables(pass: readonly string[]): void {
  const problems = changedVariables(pass, process.env).map(
    (name): Problem => ({
      kind: "profile-value",
      where: { kind: "option", option: "environment" },
      pointer: "/environment/pass",
      message: `the value of ${name} is not UTF-8, and Node cannot hand it on unchanged`,
      hint: `unset or change it, give a value of its own with --env ${name}=VALUE, or use a compiled launcher, which takes it as it is`,
    }),
  );
  if (problems.length > 0) throw new ProfileError(problems);
}
