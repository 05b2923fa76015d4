/** The rules that the gate has about itself: what is waived and what is known must stay true. */
import type { OptionKinds } from "./options.ts";
import type { Level, RuleText } from "./rule.ts";

export interface OwnRule extends RuleText {
  readonly options: OptionKinds;
  /** When no policy names it: silence about exceptions is not the default. */
  readonly severity: Level;
}

export const WAIVER_EXPIRED: OwnRule = {
  id: "waiver-expired",
  title: "No waiver is past its date",
  rationale:
    "A waiver is a risk that somebody accepted for a time. After its date it covers nothing: the finding it covered is back, and this one says why.",
  remediation:
    "Fix what was waived and delete the waiver, or have its owner accept the risk again with a new date.",
  references: [],
  options: {},
  severity: "error",
};

export const WAIVER_UNUSED: OwnRule = {
  id: "waiver-unused",
  title: "Every waiver covers a finding",
  rationale:
    "A waiver that covers nothing is a hole kept open for later: the next change that brings the violation back would pass unseen.",
  remediation: "Delete the waiver, or correct its rule, subject or object.",
  references: [],
  options: {},
  severity: "warning",
};

export const BASELINE_STALE: OwnRule = {
  id: "baseline-stale",
  title: "The baseline lists only what is still found",
  rationale:
    "A baseline may only shrink. An entry whose finding is gone would let the same violation come back without anyone noticing.",
  remediation: "Run the same check with --update-baseline, which removes the entry, and commit the file.",
  references: [],
  options: {},
  severity: "warning",
};

export const GATE_RULES: readonly OwnRule[] = [WAIVER_EXPIRED, WAIVER_UNUSED, BASELINE_STALE];
