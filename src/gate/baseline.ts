/**
 * The baseline: findings that were there when the gate was introduced. It only ratchets: an entry is removed or lowered, never added.
 * Takes and gives the text of a file kept in version control: sorted, one entry a line, so that a review sees what changed.
 */
import type { Checked } from "../problems.ts";
import { DocumentReader, placeOf } from "./document.ts";
import type { Finding } from "./finding.ts";
import type { Place } from "./rule.ts";

export interface Entry {
  readonly fingerprint: string;
  readonly rule: string;
  readonly subject: string;
  readonly object: string;
  /** The largest amount that is known; absent where findings have none. */
  readonly amount?: number;
}

export interface Baseline {
  readonly entries: readonly (Entry & { readonly place: Place })[];
}

const FIELDS = ["fingerprint", "rule", "subject", "object"] as const;

export function readBaseline(bytes: Uint8Array, file: string): Checked<Baseline> {
  const reader = new DocumentReader("baseline-invalid", file);
  const document = reader.parse(bytes);
  const entries: (Entry & { place: Place })[] = [];
  if (document !== null) {
    const { findings } = reader.object(document, ["findings"], ["findings"]);
    for (const item of findings === undefined ? [] : reader.items(findings)) {
      const fields = reader.object(item, [...FIELDS, "amount"], FIELDS);
      const [fingerprint, rule, subject, object] = FIELDS.map((name) => reader.text(fields[name]));
      const amount =
        fields["amount"] === undefined
          ? undefined
          : reader.number(fields["amount"], "a number", (value) =>
              typeof value === "number" ? value : null,
            );
      if (fingerprint === undefined || rule === undefined || subject === undefined || object === undefined)
        continue;
      const entry = { fingerprint, rule, subject, object, place: placeOf(item) };
      entries.push(amount === undefined ? entry : { ...entry, amount });
    }
  }
  return reader.problems.length > 0
    ? { ok: false, problems: reader.problems }
    : { ok: true, value: { entries } };
}

/**
 * Whether the entry is about the finding. What a review reads, rule and object, must be that of the fingerprint: an entry that says one thing and
 * has the fingerprint of another is about nothing.
 */
export function isAbout(entry: Entry, finding: Finding): boolean {
  return (
    entry.fingerprint === finding.fingerprint &&
    entry.rule === finding.rule.id &&
    entry.subject === finding.subject &&
    entry.object === finding.object
  );
}

/** Whether the entry covers the finding: the same, and not more of it. */
export function knows(entry: Entry, finding: Finding): boolean {
  if (!isAbout(entry, finding)) return false;
  // An entry that lost its amount does not cover any amount.
  return finding.amount === undefined || (entry.amount !== undefined && finding.amount <= entry.amount);
}

/**
 * The next baseline. From none: everything found now. From one: of its entries those still found, with the smaller amount;
 * entries of subjects that were not checked stay.
 */
export function nextBaseline(
  baseline: Baseline | null,
  findings: readonly Finding[],
  subjects: readonly string[],
): string {
  const now = new Map(findings.map((finding) => [finding.fingerprint, finding]));
  const entries: readonly Entry[] =
    baseline === null
      ? findings.filter(({ state }) => state === "new").map(toEntry)
      : baseline.entries.flatMap((known) => {
          const { fingerprint, rule, subject, object, amount: largest } = known;
          const entry: Entry = {
            fingerprint,
            rule,
            subject,
            object,
            ...(largest === undefined ? {} : { amount: largest }),
          };
          const finding = now.get(entry.fingerprint);
          if (!subjects.includes(entry.subject)) return [entry];
          if (finding === undefined || !isAbout(entry, finding)) return [];
          const amount = finding.amount;
          if (amount !== undefined && entry.amount === undefined) return [];
          return amount === undefined || entry.amount === undefined || amount >= entry.amount
            ? [entry]
            : [{ ...entry, amount }];
        });
  const key = ({ subject, rule, object }: Entry): string => `${subject}\0${rule}\0${object}`;
  const sorted = entries.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
  const lines = sorted.map((entry) => `    ${JSON.stringify(entry)}`);
  return `{\n  "findings": [${lines.length === 0 ? "" : `\n${lines.join(",\n")}\n  `}]\n}\n`;
}

function toEntry({ fingerprint, rule, subject, object, amount }: Finding): Entry {
  const entry = { fingerprint, rule: rule.id, subject, object };
  return amount === undefined ? entry : { ...entry, amount };
}
