/**
 * AppArmor profiles as the kernel takes them. Takes text that the compiler wrote; gives what apparmor_parser makes of it, which takes it
 * some ten milliseconds, so it is kept: in a private directory, under the digest of all that the parser goes by. What cannot be trusted to
 * the last byte is not there. Loads nothing.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { readPrivate, writePrivate } from "../kernel/private-directory.ts";
import { errorCode } from "./files.ts";

const FEATURES = "/sys/kernel/security/apparmor/features";
/** What else the parser reads for a text of ours: its options, and the versions of the language. */
const PARSER_FILES = ["/etc/apparmor/parser.conf", "/etc/apparmor.d/abi/3.0", "/etc/apparmor.d/abi/4.0"];

const MAGIC = "sandbox-apparmor-1";
/** A profile of ours takes some kilobytes. */
const MAX_ENTRY_BYTES = 1024 * 1024;
const PREFIX = "apparmor-";
const MOST_ENTRIES = 64;

/** Milliseconds that compiling may take. */
export const PATIENCE = 30_000;

export interface Compiling {
  /** Path of apparmor_parser. */
  readonly parser: string;
  readonly text: string;
  /** null: nothing is kept. */
  readonly cache: string | null;
  /** What the kernel enforces and in which form, a tree of small files: the parser compiles for it. */
  readonly features?: string;
}

/** Kept since it was compiled from the same, for the same kernel; else null. */
export function readCompiled({ cache, ...from }: Compiling): Uint8Array | null {
  if (cache === null) return null;
  const key = keyOf(from);
  const content = readPrivate(cache, PREFIX + key, MAX_ENTRY_BYTES);
  const end = content?.indexOf("\n") ?? -1;
  if (content === null || end === -1) return null;
  const binary = content.subarray(end + 1);
  // The key is in the first line so that a valid entry moved to another name is none.
  return content.toString("latin1", 0, end) === head(key, binary) ? binary : null;
}

/** Compiles and keeps it. A text: what the parser said, in one line. */
export function compilePolicy({ cache, ...from }: Compiling): Uint8Array | string {
  const key = keyOf(from);
  const child = spawnSync(from.parser, ["--skip-kernel-load", "--stdout", "--skip-cache", "--quiet"], {
    input: from.text,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    cwd: "/",
    timeout: PATIENCE,
    killSignal: "SIGKILL",
    maxBuffer: MAX_ENTRY_BYTES,
  });
  if (child.error !== undefined) return child.error.message;
  if (child.status !== 0) {
    const said = child.stderr
      .toString("utf8")
      .trim()
      .replaceAll(/\s*\n\s*/g, "; ");
    return said === "" ? `${from.parser} ended with ${child.signal ?? `status ${child.status}`}` : said;
  }
  const binary = child.stdout;
  if (cache !== null)
    writePrivate(cache, PREFIX + key, Buffer.concat([Buffer.from(`${head(key, binary)}\n`), binary]), {
      prefix: PREFIX,
      most: MOST_ENTRIES,
    });
  return binary;
}

const digest = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const head = (key: string, binary: Uint8Array): string => `${MAGIC} ${key} ${digest(binary)}`;

function keyOf({ parser, text, features = FEATURES }: Omit<Compiling, "cache">): string {
  const program = statSync(parser, { throwIfNoEntry: false });
  const version = [program?.size, program?.mtimeMs, program?.ctimeMs, program?.ino];
  const files = [...treeOf(features), ...PARSER_FILES].map((path) => [path, textOf(path)]);
  return digest(JSON.stringify([MAGIC, parser, version, files, text]));
}

const treeOf = (directory: string): readonly string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();

/** null for a file that this version of AppArmor has not. */
function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    throw error;
  }
}
