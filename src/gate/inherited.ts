/** What becomes of findings that are proved to be in what a subject was built on. Data only, so that the command line can name it at once. */

/** "apart": shown, and not counted. */
export const INHERITED = ["count", "apart"] as const;
export type Inherited = (typeof INHERITED)[number];
