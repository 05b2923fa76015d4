/** Rules over the facts of a profile, and the references that several of them share. */
import type { OptionKinds, OptionValues } from "../gate/options.ts";
import { defineRule, type Reference, type Rule, type RuleText, type Violation } from "../gate/rule.ts";
import { NotStated } from "../profile/stated.ts";
import type { ProfileFacts } from "./facts.ts";

export type ProfileRule = Rule<ProfileFacts>;

/** A rule over facts. One that asks for what a document does not say is not judged, and says so: never a pass. */
export function profileRule<const K extends OptionKinds>(
  rule: RuleText & {
    readonly options: K;
    check(facts: ProfileFacts, options: OptionValues<K>): Iterable<Violation>;
  },
): ProfileRule {
  return defineRule<ProfileFacts, K>({
    ...rule,
    *check(facts, options) {
      try {
        yield* rule.check(facts, options);
      } catch (error) {
        if (!(error instanceof NotStated)) throw error;
        yield {
          ...violation(facts, NOT_JUDGED, `cannot be judged: ${error.message}`, error.pointer),
          undecided: true,
        };
      }
    },
  });
}

/** The object of a finding about a rule that could not be judged: what a waiver of it names. */
export const NOT_JUDGED = "not judged";

/** A violation at a field of the profile. */
export function violation(facts: ProfileFacts, object: string, message: string, pointer: string): Violation {
  return { object, message, places: facts.at(pointer) };
}

/** An item of section 5 (container runtime) of the CIS Docker Benchmark 1.6.0. */
export const cis = (item: string): Reference => ({
  title: `CIS Docker Benchmark 1.6.0, ${item}`,
  url: "https://www.cisecurity.org/benchmark/docker",
});

/** A control of the Kubernetes Pod Security Standards. */
export const pss = (level: "baseline" | "restricted", control: string): Reference => ({
  title: `Pod Security Standards, ${level}: ${control}`,
  url: `https://kubernetes.io/docs/concepts/security/pod-security-standards/#${level}`,
});

/** A Linux manual page. */
export const man = (page: string, section: number): Reference => ({
  title: `${page}(${section})`,
  url: `https://man7.org/linux/man-pages/man${section}/${page}.${section}.html`,
});
