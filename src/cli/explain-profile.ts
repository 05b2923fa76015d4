/** What sandbox profile explain does: a profile to facts, facts to an explanation or an answer, as text. */
import { allSyscalls, isSyscall } from "../compile/seccomp/tables.ts";
import { type FactsRequest, type PolicyFacts, policyFacts } from "../policy-facts.ts";
import type { Note } from "../policy-input/fields.ts";
import { type Problem, ProfileError, unwrap } from "../problems.ts";
import { CAPABILITIES } from "../profile/capability-names.ts";
import { profileFiles } from "../profile/files.ts";
import { nearest } from "../profile/nearest.ts";
import { NotStated, stated } from "../profile/stated.ts";
import { explainCall } from "../profile-explain/calls.ts";
import { explainCapability } from "../profile-explain/capability.ts";
import { explain } from "../profile-explain/explain.ts";
import { explanationMarkdown } from "../profile-explain/markdown.ts";
import { explainPath } from "../profile-explain/path.ts";
import { callText, capabilityText, explanationText, pathText } from "../profile-explain/text.ts";
import { toJson } from "./json.ts";
import type { ExplainFlags } from "./profile-explain.ts";
import { flagProblem } from "./sandbox-options.ts";

export interface Explained {
  readonly text: string;
  /** What was assumed, or stands in the document and is not explained. */
  readonly notes: readonly Note[];
}

export function explainProfile(request: FactsRequest, flags: ExplainFlags): Explained {
  const read = unwrap(policyFacts(request, profileFiles()));
  return { text: unlessUnsaid(request.name, () => answerTo(read, flags)), notes: read.notes };
}

/** A question that the document does not answer is a mistake of the question. */
function unlessUnsaid(name: string, ask: () => string): string {
  const text = stated(ask);
  if (!(text instanceof NotStated)) return text;
  const where = { kind: "profile", file: name, pointer: "", line: 0, column: 0 } as const;
  throw new ProfileError([{ kind: "not-stated", where, pointer: text.pointer, message: text.message }]);
}

function answerTo({ facts, files }: PolicyFacts, flags: ExplainFlags): string {
  const format = flags.json === true ? "json" : (flags.format ?? "text");
  const questions = [flags.syscall, flags.capability, flags.path].filter((asked) => asked !== undefined);
  if (questions.length > 1)
    refuse(flagProblem("--syscall", "one question at a time", "one of --syscall, --capability and --path"));
  if (questions.length === 1 && format === "markdown")
    refuse(flagProblem("--format", "an answer is text or JSON", "no --format, or json"));
  const show = <T>(answer: T, text: (answer: T) => string): string =>
    format === "json" ? toJson(answer) : text(answer);
  if (flags.syscall !== undefined) {
    const name = known("--syscall", flags.syscall, allSyscalls(), isSyscall(flags.syscall));
    return show(explainCall(facts, name), (answers) => callText(name, answers));
  }
  if (flags.capability !== undefined) {
    const upper = flags.capability.toUpperCase();
    const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
    const name = known(
      "--capability",
      full,
      CAPABILITIES,
      (CAPABILITIES as readonly string[]).includes(full),
    );
    return show(explainCapability(facts, name), capabilityText);
  }
  if (flags.path !== undefined) {
    if (!flags.path.startsWith("/"))
      refuse(
        flagProblem(
          "--path",
          `${JSON.stringify(flags.path)} is not an absolute path`,
          "a path as seen inside",
        ),
      );
    return show(explainPath(facts, flags.path), pathText);
  }
  const explanation = explain(facts, files);
  if (format === "markdown") return explanationMarkdown(explanation);
  return show(explanation, explanationText);
}

function known(flag: string, word: string, words: Iterable<string>, isKnown: boolean): string {
  if (isKnown) return word;
  const suggestion = nearest(word, words);
  const problem = flagProblem(flag, `${JSON.stringify(word)} is not known`);
  return refuse(suggestion === undefined ? problem : { ...problem, suggestion: JSON.stringify(suggestion) });
}

function refuse(problem: Problem): never {
  throw new ProfileError([problem]);
}
