/**
 * Credentials anywhere in an image: in files that a container sees, in files that a later layer hid (the layer still has them), in the
 * environment, in labels and in the history. Says kind and place, never the value.
 */
import { findSecrets, type SecretKind } from "../content/secrets.ts";
import type { ImageConfig } from "../formats/config.ts";
import type { ImageTree } from "../tree/apply.ts";

export interface Secret {
  readonly kind: SecretKind;
  readonly where: "file" | "hidden-file" | "environment" | "label" | "history";
  /** A path, the name of a variable or a label, or the number of the history line (from 1). */
  readonly subject: string;
  /** Of a file or a history line; 0 for the rest. */
  readonly line: number;
  /** Index of the layer that holds it; null for the configuration. */
  readonly layer: number | null;
}

export function collectSecrets(image: ImageTree, config: ImageConfig | null): readonly Secret[] {
  const found: Secret[] = [];
  for (const { path, node } of image.tree.walk())
    for (const { kind, line } of node.inode.content?.secrets ?? [])
      found.push({ kind, where: "file", subject: path, line, layer: node.inode.layer });
  for (const { path, inode } of image.shadowed)
    for (const { kind, line } of inode.content?.secrets ?? [])
      found.push({ kind, where: "hidden-file", subject: path, line, layer: inode.layer });
  if (config !== null) found.push(...inConfig(config));
  return found;
}

function inConfig(config: ImageConfig): readonly Secret[] {
  const found: Secret[] = [];
  for (const variable of config.env) {
    const equals = variable.indexOf("=");
    const name = equals < 0 ? variable : variable.slice(0, equals);
    const kind = kindOfValue(name, variable.slice(equals + 1));
    if (kind !== null) found.push({ kind, where: "environment", subject: name, line: 0, layer: null });
  }
  for (const [name, value] of Object.entries(config.labels)) {
    const kind = kindOfValue("", value);
    if (kind !== null) found.push({ kind, where: "label", subject: name, line: 0, layer: null });
  }
  for (const [index, { createdBy }] of config.history.entries()) {
    const kind = secretIn(createdBy);
    if (kind !== null)
      found.push({ kind, where: "history", subject: String(index + 1), line: index + 1, layer: null });
  }
  return found;
}

/** A line of the history or a Dockerfile, fit to be shown: one that holds a secret is cut where it would begin. */
export function showStep(line: string): string {
  if (secretIn(line) === null) return line;
  const [word = ""] = /^(?:\|\d+ )?[A-Z]*/.exec(line) ?? [];
  return `${word.trim()} ... (not shown: it holds a secret)`.trim();
}

/** A name that ends in what it holds; not one that says where it is (PASSWORD_FILE) or what it is like (TOKEN_TTL). */
const NAME =
  /(?:^|_)(?:(?:PG|DB)?PASSWORD|(?<=_)PASS|(?<=_)PWD|PASSWD|PASSPHRASE|SECRET|SECRET_KEY|TOKEN|API_KEY|APIKEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$/i;
/** References, flags and what people write where a secret should go. */
const PLACEHOLDER =
  /^(?:|true|false|yes|no|none|null|[0-9]{1,4}|\$.*|\/.*|file:.*|https?:\/\/[^:@]*|<.*>|\{\{.*\}\}|\*+|x{3,}|change-?me.*|example.*|dummy|placeholder|your[-_ ].*)$/i;

/** `postgres://app:secret@db/`: a password where a URL has one. References and placeholders are none. */
const IN_URL = /(?<![\w+.-])[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/"']{0,100}:([^\s@/"']{4,200})@[\w[]/gi;

function hasUrlPassword(text: string): boolean {
  for (const [, password = ""] of text.matchAll(IN_URL))
    if (!PLACEHOLDER.test(password) && !/^(?:pass(?:word|wd)?|secret|token|pwd)$|[${<%]/i.test(password))
      return true;
  return false;
}

function kindOfValue(name: string, value: string): SecretKind | null {
  const byForm = kindOfText(value);
  if (byForm !== null) return byForm;
  if (hasUrlPassword(value)) return "environment-value";
  return NAME.test(name) && !PLACEHOLDER.test(value.trim()) ? "environment-value" : null;
}

/** Tokens with a form of their own; those that need a file of a certain name do not apply. */
const kindOfText = (text: string): SecretKind | null => findSecrets(Buffer.from(text), "")[0]?.kind ?? null;

/** Of a line of the history or an instruction of a Dockerfile. */
export const secretIn = (line: string): SecretKind | null =>
  kindOfText(line) ?? assigned(line.replace(/^(ENV [A-Za-z_]\w*) +(?=[^=]*$)/, "$1="));

/** Build arguments stay in the history: `ARG TOKEN=...`, `RUN |1 TOKEN=... /bin/sh -c`. */
function assigned(line: string): SecretKind | null {
  if (hasUrlPassword(line)) return "environment-value";
  // A name begins where no name goes on: looking for one at each of its letters would be quadratic.
  for (const [, name = "", quoted, plain] of line.matchAll(
    /(?<!\w)([A-Za-z_]\w*)=(?:"([^"]*)"|([^\s;&|"']+))/g,
  ))
    if (NAME.test(name) && !PLACEHOLDER.test(quoted ?? plain ?? "")) return "environment-value";
  return null;
}
