/** Rules about what surrounds a run: its environment, its log, and what happens where a host gives less. */
import { CONTROLS } from "../../profile/spec.ts";
import { exposureOf } from "../exposure.ts";
import { man, NOT_JUDGED, type ProfileRule, profileRule, violation } from "../profile-rule.ts";

/** Names under which secrets are usually passed. */
const SECRET =
  /(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY)(?:_|$)/i;

export const CONDUCT: readonly ProfileRule[] = [
  profileRule({
    id: "no-secret-variables",
    title: "No variable that looks like a secret is passed in",
    rationale:
      "The environment is read by every program and library that runs, and ends in crash reports and logs. An untrusted program must not be given what it could send on.",
    remediation:
      "Remove the variable, or give the secret as a file that only the program that needs it can read.",
    references: [man("environ", 7)],
    options: {
      allow: { type: "words", default: [], about: "names of variables that may be passed all the same" },
    },
    *check(facts, { allow }) {
      const { pass, set } = facts.spec.environment;
      for (const [index, name] of pass.entries())
        if (SECRET.test(name) && !allow.includes(name))
          yield violation(facts, name, `the caller's ${name} is passed in`, `/environment/pass/${index}`);
      for (const name of Object.keys(set))
        if (SECRET.test(name) && !allow.includes(name))
          yield violation(facts, name, `${name} is set in the profile`, `/environment/set/${name}`);
    },
  }),
  profileRule({
    id: "audit-required",
    title: "Nothing runs without a record",
    rationale:
      "What is not on record cannot be examined afterwards; an attacker who can fill a disk can then act unseen.",
    remediation:
      'Set audit.require to true, audit.onFailure to "refuse" or "kill", and require.audit to "full".',
    references: [],
    options: {},
    *check(facts) {
      const { audit } = facts.spec;
      const hit = !audit.require
        ? "/audit/require"
        : audit.onFailure === "continue"
          ? "/audit/onFailure"
          : facts.spec.require.audit === "none"
            ? "/require/audit"
            : null;
      if (hit !== null) yield violation(facts, "audit", "a run goes on when it cannot be recorded", hit);
    },
  }),
  profileRule({
    id: "fails-closed",
    title: "A host that gives less is refused",
    rationale:
      'A control that may be missing ("none") is missing exactly on the host where nobody looked. What the host cannot give must stop the run.',
    remediation: 'Set the control in "require" to "full", or to "partial" where that is known to be enough.',
    references: [],
    options: {
      except: {
        type: "words",
        default: ["audit", "lsm", "landlock"],
        known: () => CONTROLS,
        about: "controls that may be missing",
      },
    },
    *check(facts, { except }) {
      for (const control of CONTROLS)
        if (facts.spec.require[control] === "none" && !except.includes(control))
          yield violation(facts, control, `${control} may be missing without a word`, `/require/${control}`);
    },
  }),
  profileRule({
    id: "exposure-limit",
    title: "The exposure score is within its limit",
    rationale:
      "The score sums up what a profile permits, from 0 to 10. It never rises when something is taken away, so that a limit on it stops slow growth that no single rule sees.",
    remediation:
      "See the parts of the score with sandbox profile explain, and close the largest that is not needed.",
    references: [],
    options: {
      max: { type: "integer", default: 2, about: "the highest score accepted, in whole points" },
    },
    *check(facts, { max }) {
      const { score, band, parts } = exposureOf(facts);
      if (score <= max) return;
      const surely = parts.reduce((sum, part) => sum + (part.decided ? part.points : 0), 0);
      if (surely <= max && parts.some(({ decided }) => !decided)) {
        const message = `cannot be judged: the exposure is ${surely.toFixed(1)} to ${score} of 10, and what decides is not said`;
        yield { ...violation(facts, NOT_JUDGED, message, ""), undecided: true };
        return;
      }
      const [largest] = parts.toSorted((a, b) => b.points - a.points);
      yield {
        ...violation(
          facts,
          "exposure",
          `the exposure is ${score} of 10 (${band}), more than ${max}; the largest part: ${largest?.about}`,
          "",
        ),
        amount: score,
      };
    },
  }),
];
