/**
 * Waivers: findings that somebody with a name accepted, for a reason, until a date. One that is past its date covers nothing. Takes the
 * bytes of a waiver file and the day; gives what each finding is covered by. Pure.
 */
import type { Checked } from "../problems.ts";
import { DocumentReader, type Field, placeOf } from "./document.ts";
import type { Finding } from "./finding.ts";
import { matchesPattern } from "./paths.ts";
import type { Origin, Place } from "./rule.ts";

export interface Waiver {
  readonly rule: string;
  /** Pattern of subjects: `*` is anything but a slash, `**` anything. */
  readonly subject: string;
  /** Pattern of objects: a waiver for one capability does not cover the next. */
  readonly object: string;
  readonly reason: string;
  readonly owner: string;
  /** The last day on which it holds, YYYY-MM-DD, UTC. */
  readonly expires: string;
  /** The largest amount it covers, where findings have one; null: any. */
  readonly upTo: number | null;
  /** Digest of the image or layer that it is limited to; null: wherever the object is. */
  readonly within: string | null;
  /** Limited to what is proved to be the base's; false: wherever it is from. */
  readonly inherited: boolean;
  readonly place: Place;
}

const FIELDS = ["rule", "subject", "object", "reason", "owner", "expires"] as const;

export function readWaivers(
  bytes: Uint8Array,
  file: string,
  rules: readonly string[],
): Checked<readonly Waiver[]> {
  const reader = new DocumentReader("waiver-invalid", file);
  const document = reader.parse(bytes);
  const waivers: Waiver[] = [];
  if (document !== null) {
    const { waivers: list } = reader.object(document, ["waivers"], ["waivers"]);
    for (const item of list === undefined ? [] : reader.items(list)) {
      const waiver = readWaiver(item, rules, reader);
      if (waiver !== null) waivers.push(waiver);
    }
  }
  return reader.problems.length > 0 ? { ok: false, problems: reader.problems } : { ok: true, value: waivers };
}

function readWaiver(item: Field, rules: readonly string[], reader: DocumentReader): Waiver | null {
  const fields = reader.object(item, [...FIELDS, "upTo", "within", "origin"], FIELDS);
  const rule = reader.text(fields["rule"], rules);
  const [subject, object, reason, owner] = (["subject", "object", "reason", "owner"] as const).map((name) =>
    reader.text(fields[name]),
  );
  const expires = readDate(fields["expires"], reader);
  const upTo =
    fields["upTo"] === undefined
      ? null
      : reader.number(fields["upTo"], "a number", (value) => (typeof value === "number" ? value : null));
  const within = fields["within"] === undefined ? null : readDigest(fields["within"], reader);
  const origin =
    fields["origin"] === undefined ? null : reader.text(fields["origin"], ["base"] satisfies Origin[]);
  if (
    origin === undefined ||
    rule === undefined ||
    subject === undefined ||
    object === undefined ||
    reason === undefined ||
    owner === undefined ||
    expires === undefined ||
    upTo === undefined ||
    within === undefined
  )
    return null;
  const inherited = origin !== null;
  return { rule, subject, object, reason, owner, expires, upTo, within, inherited, place: placeOf(item) };
}

function readDate(field: Field | undefined, reader: DocumentReader): string | undefined {
  const text = reader.text(field);
  if (field === undefined || text === undefined) return undefined;
  if (isDay(text)) return text;
  reader.report(field, `${JSON.stringify(text)} is not a day`, { expected: "YYYY-MM-DD" });
  return undefined;
}

function readDigest(field: Field, reader: DocumentReader): string | undefined {
  const text = reader.text(field);
  if (text === undefined || /^sha256:[0-9a-f]{64}$/.test(text)) return text;
  reader.report(field, `${JSON.stringify(text)} is not a digest`, {
    expected: "sha256: and 64 hexadecimal digits",
  });
  return undefined;
}

/** Whether a text is a day of the calendar, YYYY-MM-DD. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** Days as YYYY-MM-DD compare as text. */
export const isExpired = (waiver: Waiver, today: string): boolean => waiver.expires < today;

export function covers(waiver: Waiver, finding: Finding): boolean {
  return (
    waiver.rule === finding.rule.id &&
    matchesPattern(waiver.subject, finding.subject) &&
    matchesPattern(waiver.object, finding.object) &&
    (waiver.within === null || finding.scopes?.includes(waiver.within) === true) &&
    (!waiver.inherited || finding.origin === "base") &&
    (waiver.upTo === null || (finding.amount ?? 0) <= waiver.upTo)
  );
}
