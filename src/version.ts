/** Name and version of this tool, for the audit log and the command line. A test holds it against package.json. */
export const TOOL = { name: "sandbox-runner", version: "0.1.0" } as const;
