/**
 * Finds credentials in text by forms that nothing else has: key material between its armour, tokens with a prefix that their issuer
 * registered, files whose format is credentials. Gives kind and line, never the secret or a digest of it: a report is read by more people
 * than the image, and a digest of a short secret gives it away.
 */

export type SecretKind =
  | "private-key"
  | "aws-access-key"
  | "github-token"
  | "gitlab-token"
  | "slack-token"
  | "google-api-key"
  | "stripe-key"
  | "npm-token"
  | "pypi-token"
  | "registry-credentials"
  | "git-credentials"
  | "netrc-password"
  | "kubernetes-credentials"
  | "environment-value";

export interface SecretHit {
  readonly kind: SecretKind;
  /** 1-based. */
  readonly line: number;
}

interface Form {
  readonly kind: SecretKind;
  /** Bytes that must be there before the pattern is tried: a search for them is many times faster. */
  readonly anchor: string;
  readonly pattern: RegExp;
  /** Only in files of this name. */
  readonly path?: RegExp;
}

const FORMS: readonly Form[] = [
  {
    kind: "private-key",
    anchor: "PRIVATE KEY-----",
    // Two lines of real base64 follow: documentation shows the armour with dots between.
    pattern:
      /-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----\r?\n(?:[A-Za-z-]+: [^\n]*\n)*\r?\n?[A-Za-z0-9+/]{48,}={0,2}\r?\n[A-Za-z0-9+/]{16,}/g,
  },
  {
    kind: "aws-access-key",
    anchor: "AKIA",
    pattern: /(?<![A-Za-z0-9+/])AKIA[A-Z2-7]{16}(?![A-Za-z0-9+/=])/g,
  },
  {
    kind: "github-token",
    anchor: "gh",
    pattern:
      /(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?![A-Za-z0-9_])/g,
  },
  { kind: "gitlab-token", anchor: "glpat-", pattern: /(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{20,}/g },
  { kind: "slack-token", anchor: "xox", pattern: /(?<![A-Za-z0-9])xox[abpr]-[0-9]{8,}-[A-Za-z0-9-]{20,}/g },
  {
    kind: "google-api-key",
    anchor: "AIza",
    pattern: /(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])/g,
  },
  { kind: "stripe-key", anchor: "k_live_", pattern: /(?<![A-Za-z0-9_])[rs]k_live_[A-Za-z0-9]{24,}/g },
  { kind: "npm-token", anchor: "npm_", pattern: /(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9_])/g },
  {
    kind: "npm-token",
    anchor: "_auth",
    path: /(?:^|\/)\.?npmrc$/,
    pattern: /_auth(?:Token)?\s*=\s*(?!\$\{)[^\s$]{8,}/g,
  },
  { kind: "pypi-token", anchor: "pypi-AgEIcHlwaS5vcmc", pattern: /pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}/g },
  {
    kind: "registry-credentials",
    anchor: '"auth"',
    path: /(?:^|\/)(?:\.docker\/config\.json|\.dockercfg|\.dockerconfigjson|containers\/auth\.json)$/,
    pattern: /"auth"\s*:\s*"[A-Za-z0-9+/]{8,}={0,2}"/g,
  },
  {
    kind: "git-credentials",
    anchor: "://",
    path: /(?:^|\/)(?:\.git-credentials|\.git\/config|git\/credentials)$/,
    pattern: /https?:\/\/[^\s:@/]+:[^\s@/]{4,}@/g,
  },
  {
    kind: "netrc-password",
    anchor: "password",
    path: /(?:^|\/)[._]netrc$/,
    pattern: /\bpassword\s+\S{4,}/g,
  },
  {
    kind: "kubernetes-credentials",
    anchor: "client-key-data",
    pattern: /client-key-data:\s*[A-Za-z0-9+/]{100,}/g,
  },
];

/** A text longer than this is searched up to here. */
export const LONGEST_SEARCHED = 512 * 1024;
const MAX_HITS = 16;

export function findSecrets(bytes: Buffer, path: string): readonly SecretHit[] {
  const found: SecretHit[] = [];
  let text: string | null = null;
  for (const { kind, anchor, pattern, path: only } of FORMS) {
    if ((only !== undefined && !only.test(path)) || !bytes.includes(anchor, 0, "latin1")) continue;
    text ??= bytes.toString("latin1");
    for (const match of text.matchAll(pattern)) {
      if (isExample(match[0])) continue;
      found.push({ kind, line: lineOf(text, match.index) });
      if (found.length === MAX_HITS) return found;
    }
  }
  return found;
}

/** Values of documentation: the issuer's own example, or one character over and over. */
const isExample = (text: string): boolean => /EXAMPLE|X{8,}|x{8,}|(.)\1{11,}/.test(text);

function lineOf(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}
