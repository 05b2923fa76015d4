/** Rules over the facts of a profile, and the references that several of them share. */
import type { OptionKinds, OptionValues } from "../gate/options.ts";
import { defineRule, type Reference, type Rule, type RuleText, type Violation } from "../gate/rule.ts";
import type { ProfileFacts } from "./facts.ts";

export type ProfileRule = Rule<ProfileFacts>;

export function profileRule<const K extends OptionKinds>(
  rule: RuleText & {
    readonly options: K;
    check(facts: ProfileFacts, options: OptionValues<K>): Iterable<Violation>;
  },
): ProfileRule {
  return defineRule<ProfileFacts, K>(rule);
}

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
