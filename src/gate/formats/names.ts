/** The forms in which a report can be had: names only, so that the command tree loads no writer. */
export const FORMATS = ["pretty", "json", "sarif", "junit", "github", "gitlab", "markdown"] as const;
export type Format = (typeof FORMATS)[number];
