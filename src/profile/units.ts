/**
 * The units that authors write: sizes, times, file modes and numeric ids. Each parser takes the text or number and gives
 * the Spec's number, or null for anything else; none guesses.
 */

const POWERS: Readonly<Record<string, number>> = { "": 0, K: 1, M: 2, G: 3, T: 4 };

/** "256M" → bytes. K, M, G, T (either case) are powers of 1024; a plain number is bytes. */
export function parseSize(value: string | number): number | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : null;
  const match = /^([0-9]{1,16})([KMGT]?)$/i.exec(value);
  if (match === null) return null;
  const bytes = Number(match[1]) * 1024 ** (POWERS[(match[2] ?? "").toUpperCase()] ?? 0);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

const MILLISECONDS: Readonly<Record<string, number>> = { "": 1000, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds; 100 years. */
const LONGEST = 100 * 365 * 24 * 3_600_000;

/** "10s" → milliseconds. ms, s, m, h; a plain number is seconds; down to whole milliseconds. */
export function parseTime(value: string | number): number | null {
  const match = /^([0-9]{1,12}(?:\.[0-9]{1,3})?)(ms|s|m|h|)$/.exec(String(value));
  if (match === null) return null;
  const exact = Number(match[1]) * (MILLISECONDS[match[2] ?? ""] ?? 0);
  const whole = Math.round(exact);
  return Math.abs(exact - whole) < 1e-6 && whole <= LONGEST ? whole : null;
}

/** "1777" → 0o1777. Octal text only: the JSON number 1777 would be another mode. */
export function parseMode(value: string): number | null {
  return /^0?[0-7]{1,4}$/.test(value) ? Number.parseInt(value, 8) : null;
}

/** The largest user or group id: 4294967295 is (uid_t)-1, "no change" to chown(2) and setresuid(2). */
export const MAX_ID = 4_294_967_294;

/** "1000" → 1000: decimal digits without sign, space or leading zero. For flags; in a profile ids are numbers. */
export function parseId(value: string): number | null {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(value)) return null;
  const id = Number(value);
  return id <= MAX_ID ? id : null;
}

/** "18446744073709551615" or "0xffff" → unsigned 64 bits. */
export function parseUnsigned64(value: string | number): bigint | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : null;
  if (!/^(0|[1-9][0-9]{0,19}|0[xX][0-9A-Fa-f]{1,16})$/.test(value)) return null;
  const number = BigInt(value);
  return number < 1n << 64n ? number : null;
}

/** The shortest exact author form: 268435456 → "256M". */
export function formatSize(bytes: number): string {
  let rest = bytes;
  let unit = 0;
  while (rest > 0 && rest % 1024 === 0 && unit < 4) {
    rest /= 1024;
    unit += 1;
  }
  return `${rest}${["", "K", "M", "G", "T"][unit] ?? ""}`;
}

/** The largest unit that keeps whole numbers: 90000 → "90s", 500 → "500ms". */
export function formatTime(milliseconds: number): string {
  if (milliseconds > 0 && milliseconds % 3_600_000 === 0) return `${milliseconds / 3_600_000}h`;
  if (milliseconds >= 120_000 && milliseconds % 60_000 === 0) return `${milliseconds / 60_000}m`;
  return milliseconds % 1000 === 0 ? `${milliseconds / 1000}s` : `${milliseconds}ms`;
}

/** 0o1777 → "1777", 0o22 → "022". */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(3, "0");
}
