/**
 * What a rule is: its words, its options, and a check that turns facts into violations. Knows nothing of what is checked: profiles and
 * images bring their own facts and rules. Pure data and types.
 */
import type { OptionKinds, OptionValues } from "./options.ts";

/** How bad a violation is; the levels of SARIF. `off`: the rule is not asked. */
export const SEVERITIES = ["off", "note", "warning", "error"] as const;
export type Severity = (typeof SEVERITIES)[number];
export type Level = Exclude<Severity, "off">;

/** What a policy is for; a rule of one kind never judges the other. */
export const KINDS = ["profile", "image"] as const;
export type Kind = (typeof KINDS)[number];

/** Where to read more: a numbered item of a benchmark, a manual page, an advisory. */
export interface Reference {
  readonly title: string;
  readonly url: string;
}

/** The words of a rule: what its page, SARIF and every report say about it. */
export interface RuleText {
  /** Lower-case words with hyphens; never changes, since policies, waivers and baselines name it. */
  readonly id: string;
  /** What holds when nothing is found, as a sentence without full stop: "The root is read-only". */
  readonly title: string;
  /** Why it matters: what an attacker does with the opposite. */
  readonly rationale: string;
  /** What to change. */
  readonly remediation: string;
  readonly references: readonly Reference[];
}

/** A place in a file, 1-based; line 0: the file as a whole. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** "base": had from what the subject was built on; "own": brought by the subject itself. */
export type Origin = "base" | "own";

/** One way in which a subject breaks a rule. */
export interface Violation {
  /**
   * Which part of the subject, in words that stay when lines move: `CAP_SYS_ADMIN`, `/usr/bin/sudo`. Fingerprints, waivers and
   * baselines go by it.
   */
  readonly object: string;
  /** One sentence, no trailing full stop, no line break. */
  readonly message: string;
  /** The deciding line first, then what led there. */
  readonly places: readonly Place[];
  /** How much, where it is a matter of amount: a waiver or baseline covers no more than it was granted for. */
  readonly amount?: number;
  /** The rule could not be judged, which is no pass: what it asks for is not in what was checked. */
  readonly undecided?: true;
  /** Whether it is in what the subject was made from as well, where that is known and proved: then a newer one of those may be without it. */
  readonly origin?: Origin;
  /** Digests of the parts of the subject that it is in: a waiver may be limited to one of them. */
  readonly scopes?: readonly string[];
}

/** A rule over facts `F`. */
export interface Rule<F> extends RuleText {
  readonly options: OptionKinds;
  check(facts: F, options: Readonly<Record<string, unknown>>): Iterable<Violation>;
}

/** A rule with its options typed by their kinds; checked once here, so that registries can hold rules of any options. */
export function defineRule<F, const K extends OptionKinds>(
  rule: RuleText & {
    readonly options: K;
    check(facts: F, options: OptionValues<K>): Iterable<Violation>;
  },
): Rule<F> {
  return { ...rule, check: (facts, options) => rule.check(facts, options as OptionValues<K>) };
}

/** The rules that exist for a kind of subject, in the order in which reports name them. */
export interface Registry<F> {
  readonly kind: Kind;
  readonly rules: readonly Rule<F>[];
}
