/** The rule about the distribution's last day, and the line that says in every report what is known of it and since when. */
import { defineRule } from "../gate/rule.ts";
import type { Distribution } from "../image/facts/facts.ts";
import type { CheckedImage } from "./checked-image.ts";
import { endOfLife, isRolling, monthsBetween, OWN_DAY, TABLE_DAY } from "./end-of-life.ts";
import { type ImageRule, violation } from "./image-rule.ts";
import { cis } from "./references.ts";

const OPTIONS = {
  days: {
    type: "words",
    about: "last days that the table does not have or has otherwise, such as `debian 12=2028-06-30`",
    default: [],
    form: OWN_DAY,
  },
  months: {
    type: "integer",
    about: "how old the table of last days may be, in months, before it is no longer believed",
    default: 12,
  },
  unknown: {
    type: "choice",
    choices: ["accept", "refuse"],
    about: "what becomes of a release whose last day is not known, or known from a table that is too old",
    default: "accept",
  },
} as const;

/** As a policy that does not set them has them. */
const INITIAL: Options = { days: OPTIONS.days.default, months: OPTIONS.months.default };

interface Options {
  readonly days: readonly string[];
  readonly months: number;
}
type Support =
  | { readonly is: "rolling" }
  | { readonly is: "over" | "supported"; readonly until: string; readonly own: boolean }
  /** No day is known, or it is from a table that is too old to say that nothing has changed. */
  | { readonly is: "unknown"; readonly why: string };

function supportOf({ id, version }: Distribution, today: string, { days, months }: Options): Support {
  if (isRolling(id)) return { is: "rolling" };
  const written = endOfLife(id, version, days);
  if (written === null) return { is: "unknown", why: `the table of ${TABLE_DAY} does not have it` };
  const own = endOfLife(id, version)?.day !== written.day;
  const until = written.exact ? written.day : `${written.day} or earlier`;
  if (written.day < today) return { is: "over", until, own };
  const age = monthsBetween(TABLE_DAY, today);
  if (!own && age >= months)
    return { is: "unknown", why: `the table says ${until}, and is ${age} months old (${TABLE_DAY})` };
  return { is: "supported", until, own };
}

const nameOf = ({ id, version }: Distribution): string => (version === "" ? id : `${id} ${version}`);
const source = (own: boolean): string => (own ? "as the policy says" : `by the table of ${TABLE_DAY}`);

export const SUPPORTED_DISTRIBUTION: ImageRule = defineRule<CheckedImage, typeof OPTIONS>({
  id: "supported-distribution",
  title: "The distribution still gets security updates",
  rationale:
    "After its last day nobody fixes what is found in it, and scanners that go by its advisories find nothing.",
  remediation:
    "Build on a release that is supported; name its last day in `days` where the table does not have it.",
  references: [{ title: "endoflife.date", url: "https://endoflife.date/" }, cis("4.4")],
  options: OPTIONS,
  check: (image, options) => {
    const { distribution, today } = image;
    if (distribution === null) return [];
    const name = nameOf(distribution);
    const support = supportOf(distribution, today, options);
    if (support.is === "over") {
      const since = `${support.until}, ${source(support.own)}`;
      return [violation(image, name, `${name} gets no security updates since ${since}`)];
    }
    if (support.is !== "unknown" || options.unknown === "accept") return [];
    return [violation(image, name, `whether ${name} gets security updates is not known: ${support.why}`)];
  },
});

/** One line for a report, whatever the policy asks; null without a distribution. `options`: those of the rule. */
export function describeSupport(
  { distribution, today }: Pick<CheckedImage, "distribution" | "today">,
  options: Readonly<Record<string, unknown>> = {},
): string | null {
  if (distribution === null) return null;
  const support = supportOf(distribution, today, { ...INITIAL, ...options });
  const name = nameOf(distribution);
  if (support.is === "rolling") return `${name} has no releases: security updates go to the newest`;
  if (support.is === "unknown") return `whether ${name} gets security updates is not known: ${support.why}`;
  const words = support.is === "over" ? "no security updates since" : "security updates until";
  return `${name}: ${words} ${support.until}, ${source(support.own)}`;
}
