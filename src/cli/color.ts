/**
 * Whether to colour, and the few colours there are. Meaning never depends on colour alone.
 */
import { isatty } from "node:tty";

export type Paint = (text: string) => string;

export interface Palette {
  readonly strong: Paint;
  readonly good: Paint;
  readonly warning: Paint;
  readonly bad: Paint;
  readonly faint: Paint;
}

const sgr =
  (open: number, close: number): Paint =>
  (text) =>
    `\u001B[${open}m${text}\u001B[${close}m`;

const plain: Paint = (text) => text;

const COLORED: Palette = {
  strong: sgr(1, 22),
  good: sgr(32, 39),
  warning: sgr(33, 39),
  bad: sgr(31, 39),
  faint: sgr(2, 22),
};

const PLAIN: Palette = { strong: plain, good: plain, warning: plain, bad: plain, faint: plain };

/**
 * FORCE_COLOR (anything but empty, 0 and false) wins over NO_COLOR (not empty, no-color.org), which wins over the terminal.
 * A terminal that calls itself dumb gets none.
 */
export function wantsColor(env: Readonly<Record<string, string | undefined>>, terminal: boolean): boolean {
  const force = env["FORCE_COLOR"];
  if (force !== undefined && force !== "") return force !== "0" && force !== "false";
  const none = env["NO_COLOR"];
  if (none !== undefined && none !== "") return false;
  return terminal && env["TERM"] !== "dumb";
}

export function colorFor(descriptor: 1 | 2): boolean {
  return wantsColor(process.env, isatty(descriptor));
}

export function palette(color: boolean): Palette {
  return color ? COLORED : PLAIN;
}
