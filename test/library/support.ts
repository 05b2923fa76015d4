/** Sandboxes for tests of the library: each with a directory and a log of its own, all let go of at the end of the file. */
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import {
  createSandbox,
  type Override,
  type Problem,
  ProfileError,
  probeHost,
  type Sandbox,
  type SandboxOptions,
} from "../../src/index.ts";
import { type Changes, toOverrides } from "../profile/resolved.ts";

const directories: string[] = [];
const sandboxes: Sandbox[] = [];
afterAll(() => {
  for (const sandbox of sandboxes) sandbox.close();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

export function scratch(): string {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), "sandbox-library-"));
  directories.push(directory);
  return directory;
}

export const overrides = (values: Changes): readonly Override[] =>
  toOverrides(values, { kind: "option", option: "test" });

export interface Made {
  readonly sandbox: Sandbox;
  readonly directory: string;
  /** The log's records so far. */
  readonly records: () => readonly Readonly<Record<string, unknown>>[];
  readonly log: string;
}

/** A sandbox with a log in a directory of its own. */
export async function make(
  values: Readonly<Record<string, unknown>> = {},
  options: SandboxOptions = {},
): Promise<Made> {
  const directory = scratch();
  const log = join(directory, "audit.jsonl");
  const sandbox = await createSandbox({
    profile: "strict",
    cwd: "/",
    audit: { file: log },
    overrides: overrides(values),
    ...options,
  });
  sandboxes.push(sandbox);
  const records = () =>
    readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line): Record<string, unknown> => JSON.parse(line));
  return { sandbox, directory, records, log };
}

/** The problems of what must be refused. */
export async function problemsOf(attempt: Promise<unknown>): Promise<readonly Problem[]> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof ProfileError) return error.problems;
    throw error;
  }
  throw new Error("nothing was refused");
}

export const isRoot = process.getuid?.() === 0;
/** Profiles that require cgroups are refused where this host hands none to this user. */
export const hasCgroups = probeHost().cgroup.missing === null;
