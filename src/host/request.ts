/**
 * Takes the paths and the command that a request names, gives what the compiler must know about them. Looks at
 * metadata, and for a `closure` root into the program and its libraries; opens nothing else and runs nothing.
 */
import { lstatSync, realpathSync, type Stats, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Checked, Provenance } from "../problems.ts";
import type { Root } from "../profile/spec.ts";
import { findClosure, findInPath } from "./closure.ts";
import type { CommandFacts, PathFact } from "./facts.ts";
import { probeFileSystem } from "./file-system.ts";
import { errorCode } from "./files.ts";
import { holdsForeignFiles } from "./kept-writes.ts";

/** One fact per distinct path; keys as given. Layers are looked at for what an overlay needs as well. Relative paths count from the process's directory. */
export function probePaths(
  paths: Iterable<string>,
  layers: Layers = { root: null, writes: null },
): Readonly<Record<string, PathFact>> {
  const facts: Record<string, PathFact> = {};
  for (const path of paths) facts[path] ??= probePath(path);
  for (const path of [layers.root, layers.writes])
    if (path !== null) facts[path] = { ...probePath(path), fileSystem: probeFileSystem(path) };
  const kept = layers.writes === null ? undefined : facts[layers.writes];
  if (layers.writes !== null && kept !== undefined)
    facts[layers.writes] = { ...kept, foreign: holdsForeignFiles(layers.writes) };
  return facts;
}

/** Directories that become layers of an overlay: the root, and what keeps the writes. */
export interface Layers {
  readonly root: string | null;
  readonly writes: string | null;
}

function probePath(path: string): PathFact {
  try {
    // An exception costs more than the system call, and many a masked path is absent.
    const status = statSync(path, { throwIfNoEntry: false });
    if (status === undefined) return unreachable(path);
    const { uid, gid, mode } = status;
    return { type: typeOf(status), real: realpathSync.native(path), uid, gid, mode: mode & 0o7777 };
  } catch (error) {
    const code = errorCode(error);
    if (code !== undefined && UNREACHABLE.has(code)) return unreachable(path);
    throw error;
  }
}

function unreachable(path: string): PathFact {
  return isDanglingLink(path) ? { ...missing(path), type: "other" } : missing(path);
}

/** A link whose target is not on the host may well lead somewhere inside a root of its own. */
function isDanglingLink(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  } catch (error) {
    const code = errorCode(error);
    if (code !== undefined && UNREACHABLE.has(code)) return false;
    throw error;
  }
}

const missing = (path: string): PathFact => ({ type: "missing", real: path, uid: 0, gid: 0, mode: 0 });

/** EACCES: behind a directory that the caller may not search, so no bind of the caller's can show it either. */
const UNREACHABLE = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EACCES"]);

function typeOf(status: Stats): PathFact["type"] {
  if (status.isFile()) return "file";
  if (status.isDirectory()) return "directory";
  return status.isCharacterDevice() || status.isBlockDevice() ? "device" : "other";
}

export interface CommandContext {
  /** Absolute directory that a relative command counts from. */
  readonly cwd: string;
  readonly root: Root;
  /** PATH that the payload will have. */
  readonly searchPath: string;
  /** Who named the command, for problems. */
  readonly where: Provenance;
}

/** Facts about a command line; problems: command-missing, and path-missing for what a `closure` lacks. */
export function probeCommand(argv: readonly string[], context: CommandContext): Checked<CommandFacts> {
  const [name] = argv;
  if (name === undefined || name === "") {
    return {
      ok: false,
      problems: [
        {
          kind: "command-missing",
          where: context.where,
          pointer: "",
          message: "no command was given",
          hint: "add -- CMD [ARG...]",
        },
      ],
    };
  }
  const hostPath = name.includes("/") ? resolve(context.cwd, name) : null;
  if (context.root.type !== "closure") return { ok: true, value: { name, hostPath, closure: [] } };
  const program = hostPath ?? findInPath(name, context.searchPath);
  if (program === null) {
    return {
      ok: false,
      problems: [
        {
          kind: "path-missing",
          where: context.where,
          pointer: "/filesystem/root",
          message: `${name} is in no directory of PATH (${context.searchPath})`,
          hint: "give the command as a path, or install it",
        },
      ],
    };
  }
  const closure = findClosure(program, context.searchPath, context.where);
  return closure.problems.length > 0
    ? { ok: false, problems: closure.problems }
    : { ok: true, value: { name, hostPath, closure: closure.files } };
}
