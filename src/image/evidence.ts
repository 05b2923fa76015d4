/**
 * What runs of an image opened, as `sandbox run --record-files` reports it: read, and joined with what the command can reach. Evidence says
 * that a file was used, never that it is not needed: an unopened file is one that these runs had no use for. Reports are somebody's files:
 * what does not have their shape is a problem, and every list is bounded by the bytes that were read.
 */
import type { Problem } from "../problems.ts";
import type { Packages } from "./packages/find.ts";
import type { Inode, Tree } from "./tree/tree.ts";

/** Of all runs together. */
export interface Evidence {
  readonly runs: number;
  readonly opened: ReadonlySet<string>;
  /** Why more may have been opened. */
  readonly missed: readonly string[];
}

export interface EvidenceFacts {
  readonly runs: number;
  /** Files of the image that were opened. */
  readonly opened: number;
  readonly missed: readonly string[];
  /** Opened, and not in the image: the record is of another root. */
  readonly foreign: readonly string[];
  /** Programs, libraries and scripts that the command reaches and no run opened. */
  readonly unopened: readonly Used[];
  /** Programs, libraries and scripts that a run opened and the command does not reach. */
  readonly unreached: readonly Used[];
  /** All regular files that no run opened. */
  readonly unused: { readonly files: number; readonly bytes: number };
}

export interface Used {
  readonly path: string;
  readonly size: number;
  readonly layer: number;
  readonly package: string | null;
}

/** A report is not read beyond this: the paths of a million files. */
export const MAX_REPORT = 256 * 2 ** 20;

/** More than an image has entries (limits.ts). */
const MOST_OPENED = 1_000_000;

/** The part of a report that is evidence, or why it is none. */
export function parseEvidence(text: string): Evidence | string {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return "it is not JSON";
  }
  const files = fieldOf(report, "files");
  if (files === undefined) return "it lists no files: the run was made without --record-files";
  const [opened, missed, complete] = ["opened", "missed", "complete"].map((name) => fieldOf(files, name));
  if (!isTexts(opened) || !isTexts(missed) || typeof complete !== "boolean")
    return "its files are not as a run of this version lists them";
  if (opened.length > MOST_OPENED) return `it lists more than ${MOST_OPENED} files`;
  const why = complete || missed.length > 0 ? missed : ["the record says so itself"];
  return { runs: 1, opened: new Set(opened), missed: why };
}

export function joinRuns(runs: readonly Evidence[]): Evidence | null {
  if (runs.length === 0) return null;
  return {
    runs: runs.reduce((sum, one) => sum + one.runs, 0),
    opened: new Set(runs.flatMap(({ opened }) => [...opened])),
    missed: [...new Set(runs.flatMap(({ missed }) => missed))],
  };
}

export function evidenceProblem(file: string, message: string): Problem {
  return {
    kind: "flag-invalid",
    where: { kind: "flag", flag: "--evidence" },
    pointer: "",
    message: `${JSON.stringify(file)}: ${message}`,
    expected: "the report of sandbox run --rootfs DIR --record-files --report FILE",
  };
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === "string");

/** Names of one file count as one: a hard link may be opened under any of them. */
export function judgeEvidence(
  tree: Tree,
  { runs, opened, missed }: Evidence,
  reached: readonly string[],
  packages: Packages,
): EvidenceFacts {
  const used = new Set<Inode>();
  const foreign: string[] = [];
  for (const path of opened) {
    const inode = path.startsWith("/") ? tree.get(path.slice(1))?.inode : undefined;
    if (inode === undefined || inode.type === "directory") foreign.push(path);
    else used.add(inode);
  }
  const reachable = new Set(reached.flatMap((path) => tree.get(path)?.inode ?? []));
  const unopened: Used[] = [];
  const unreached: Used[] = [];
  const unused = { files: 0, bytes: 0 };
  const seen = new Set<Inode>();
  for (const { path, node } of tree.walk()) {
    const { inode } = node;
    if (inode.type !== "file" || seen.has(inode)) continue;
    seen.add(inode);
    const isUsed = used.has(inode);
    if (!isUsed) {
      unused.files++;
      unused.bytes += inode.size;
    }
    const { content, mode, size, layer } = inode;
    const isCode = content?.elf != null || (content?.kind === "script" && (mode & 0o111) !== 0);
    if (!isCode || isUsed === reachable.has(inode)) continue;
    const owner = packages.owners.get(path);
    const name = owner === undefined ? null : (packages.packages[owner]?.name ?? null);
    (isUsed ? unreached : unopened).push({ path, size, layer, package: name });
  }
  return { runs, opened: used.size, missed, foreign: foreign.toSorted(), unopened, unreached, unused };
}
