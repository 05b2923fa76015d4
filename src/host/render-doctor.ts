/**
 * Takes a doctor's report, gives the text that people read. Pure; the words carry the meaning, colour only repeats it.
 */
import type { Status } from "../profile/spec.ts";
import { type DoctorReport, PROFILES } from "./doctor.ts";

const MARKS: Readonly<Record<Status, { readonly word: string; readonly color: number }>> = {
  full: { word: "full", color: 32 },
  partial: { word: "partial", color: 33 },
  none: { word: "none", color: 31 },
};

export function renderDoctor(report: DoctorReport, options: { readonly color: boolean }): string {
  const paint = (text: string, color: number): string =>
    options.color ? `\u001B[${color}m${text}\u001B[39m` : text;
  const { host } = report;
  const width = Math.max(...report.examinations.map((entry) => entry.title.length));
  const lines = [`Linux ${host.kernel} on ${host.arch}, as ${host.user} (uid ${host.uid})`, ""];
  for (const { title, status, detail, fix } of report.examinations) {
    const { word, color } = MARKS[status];
    lines.push(`${paint(word.padEnd(7), color)}  ${title.padEnd(width)}  ${detail}`);
    if (fix !== null) lines.push(`${" ".repeat(width + 11)}to change that: ${fix}`);
  }
  lines.push("");
  for (const profile of PROFILES) {
    const { runs, blockedBy } = report.profiles[profile];
    const verdict = runs ? paint("runs", 32) : `${paint("refused", 31)}: needs ${blockedBy.join(", ")}`;
    lines.push(`--profile ${profile.padEnd(8)}  ${verdict}`);
  }
  lines.push(
    "",
    report.strongest === null
      ? "No built-in profile runs here until the above is changed."
      : `For a program that you do not trust: sandbox run --profile ${report.strongest} -- CMD`,
    "",
  );
  return lines.join("\n");
}
