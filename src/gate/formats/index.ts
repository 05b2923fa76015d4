/** The forms in which a report can be had. Each takes the report and gives the complete text of a file. Pure. */
import type { Report } from "../finding.ts";
import { toGithub } from "./github.ts";
import { toGitlab } from "./gitlab.ts";
import { toJsonReport } from "./json.ts";
import { toJunit } from "./junit.ts";
import { toMarkdown } from "./markdown.ts";
import type { Format } from "./names.ts";
import { PLAIN, type ReportPalette, toPretty } from "./pretty.ts";
import { toSarif } from "./sarif.ts";

const WRITERS: Readonly<Record<Format, (report: Report, palette: ReportPalette) => string>> = {
  pretty: toPretty,
  json: toJsonReport,
  sarif: toSarif,
  junit: toJunit,
  github: toGithub,
  gitlab: toGitlab,
  markdown: toMarkdown,
};

/** The whole text, ending in a line break. Only `pretty` has colours. */
export function formatReport(report: Report, format: Format, palette: ReportPalette = PLAIN): string {
  const text = WRITERS[format](report, palette);
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
