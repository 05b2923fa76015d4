/**
 * Keeps secrets out of records, before they are built.
 *
 * Takes: the profile's `audit.redact` list and the environment of the run. Gives: a Redactor for argument lists and free
 * texts. Must never: fail open; a list entry that is not a regular expression is a problem, not ignored.
 *
 * An entry is a name and a pattern at once:
 * - The name of an environment variable: `NAME=value` loses its value wherever it stands, and the variable's value is
 *   hidden in every text, if it has at least 6 characters (shorter ones would tear unrelated texts apart).
 * - A JavaScript regular expression, matched against arguments and texts. What it matches is hidden; with capture groups,
 *   what they capture. An entry that is just the name of an option (`--token`) hides the option's value instead: after
 *   "=", or the argument that follows.
 */
import type { Checked, Problem, Provenance } from "../problems.ts";

/** What stands in the place of a secret. */
export const REDACTED = "[redacted]";

export interface Redactor {
  /** An argument list, same length. */
  argv(argv: readonly string[]): readonly string[];
  /** Any other text. */
  text(text: string): string;
}

/** Hides nothing. */
export const NO_REDACTION: Redactor = { argv: (argv) => argv, text: (text) => text };

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const SHORTEST_SECRET = 6;

/**
 * @param entries `audit.redact`
 * @param environment what the payload gets and what we ourselves have; values of named variables are secrets
 * @param where origin of the list, for problems
 */
export function createRedactor(
  entries: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
  where: Provenance = { kind: "default" },
): Checked<Redactor> {
  if (entries.length === 0) return { ok: true, value: NO_REDACTION };
  const problems: Problem[] = [];
  const patterns: RegExp[] = [];
  const secrets: string[] = [];
  const options = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const option = OPTION_NAME.exec(entry)?.[1];
    if (VARIABLE.test(entry)) {
      const value = environment[entry];
      if (value !== undefined && value.length >= SHORTEST_SECRET) secrets.push(value);
      patterns.push(new RegExp(`(?<![A-Za-z0-9_])${entry}=([^]*)`, "dg"));
    } else if (option !== undefined) {
      options.add(option);
      patterns.push(new RegExp(`(?<![\\w-])${option}[= ]([^]*)`, "dg"));
    } else {
      try {
        patterns.push(new RegExp(entry, "dg"));
      } catch (error) {
        problems.push({
          kind: "profile-value",
          where,
          pointer: `/audit/redact/${index}`,
          message: `${JSON.stringify(entry)} is not a regular expression: ${error instanceof Error ? error.message : ""}`,
          expected: "the name of an environment variable or a JavaScript regular expression",
        });
      }
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  // Longest first: a secret that contains another one must not be left half shown.
  secrets.sort((x, y) => y.length - x.length);
  const text = (value: string): string => hidePatterns(hideSecrets(value, secrets), patterns);
  return { ok: true, value: { text, argv: (argv) => redactArgv(argv, options, text) } };
}

/** An entry that is nothing but an option's name: that may be shown, and its value not. */
const OPTION_NAME = /^\^?(--?[A-Za-z0-9][\w-]*)=?\$?$/;

function redactArgv(
  argv: readonly string[],
  options: ReadonlySet<string>,
  text: (value: string) => string,
): readonly string[] {
  let hideNext = false;
  return argv.map((argument) => {
    const hide = hideNext;
    hideNext = !hide && options.has(argument);
    if (hide) return REDACTED;
    return hideNext ? argument : text(argument);
  });
}

function hideSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, REDACTED), text);
}

function hidePatterns(text: string, patterns: readonly RegExp[]): string {
  return patterns.reduce((rest, pattern) => hideMatches(rest, pattern), text);
}

function hideMatches(text: string, pattern: RegExp): string {
  let result = "";
  let done = 0;
  for (const match of text.matchAll(pattern)) {
    const spans = (match.length === 1 ? [match.indices?.[0]] : (match.indices?.slice(1) ?? []))
      .filter((span) => span !== undefined)
      .toSorted((a, b) => a[0] - b[0]);
    for (const [start, end] of spans) {
      // Groups may nest; empty matches hide nothing.
      if (end <= done || end === start) continue;
      if (start >= done) result += text.slice(done, start) + REDACTED;
      done = end;
    }
  }
  return result + text.slice(done);
}
