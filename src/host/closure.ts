/**
 * Takes a program's path, gives every file that starting it opens: the program, interpreters of scripts, the ELF
 * interpreter and the libraries of DT_NEEDED, found as ld.so(8) finds them but by reading only: nothing is run.
 * LD_LIBRARY_PATH and LD_PRELOAD count where they are given, and what a program opens later (dlopen(3), NSS, locales) is not seen.
 */
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, normalize } from "node:path";
import type { Elf, Executable } from "../elf/parse.ts";
import type { Problem, Provenance } from "../problems.ts";
import { readExecutable } from "./elf.ts";
import { readRegular } from "./files.ts";
import { parseLibraryCache } from "./library-cache.ts";

export interface Closure {
  /**
   * Absolute host paths as they will be opened, program first. A path that leads through links is followed by its real
   * path: a root that recreates the link keeps $ORIGIN right, one that shows the file at both paths is right but for that.
   */
  readonly files: readonly string[];
  readonly problems: readonly Problem[];
}

/** Where programs and libraries are looked for: this host, or an image in memory. */
export interface Files {
  readonly read: (path: string) => Readable;
  /** The path without links; null when nothing is there. */
  readonly real: (path: string) => string | null;
  /** Whether execve(2) may start it: PATH passes over what it may not. "partly": some users may. */
  readonly executable: (path: string) => "yes" | "partly" | "no";
  /** The bytes of /etc/ld.so.cache; none where there is none. */
  readonly cache: () => Buffer;
  /** What musl's loader is told about directories; null where there is no such file. */
  readonly text: (path: string) => string | null;
  /** Other builds of a library, in directories below its own, that the loader takes instead on some machines (ld.so(8), glibc-hwcaps). */
  readonly variants: (path: string) => readonly string[];
}

/** What the environment adds (ld.so(8)). */
export interface LoaderSettings {
  /** LD_LIBRARY_PATH, as directories. */
  readonly libraryPath: readonly string[];
  /** LD_PRELOAD, LD_AUDIT and the like: taken if they are there. */
  readonly preload: readonly string[];
}

const NO_SETTINGS: LoaderSettings = { libraryPath: [], preload: [] };

/** As much of an ELF file as the loader goes by. */
export type Linked = Pick<
  Elf,
  "bits" | "machine" | "interpreter" | "needed" | "optional" | "rpath" | "runpath"
>;

export type Readable =
  | { readonly kind: "elf"; readonly elf: Linked }
  | Exclude<Executable, { readonly kind: "elf" }>;

const HOST: Files = {
  read: readExecutable,
  real: realPath,
  executable: executableHere,
  cache: () => readRegular(CACHE, MAX_CACHE_BYTES) ?? Buffer.alloc(0),
  text: (path) => readRegular(path, MAX_TEXT)?.toString("utf8") ?? null,
  // The loader does without them where they are not shown.
  variants: () => [],
};

/** The kernel gives up after this many interpreters of interpreters (execve(2), ELOOP). */
const MAX_INTERPRETERS = 4;
const MAX_FILES = 4096;
const CACHE = "/etc/ld.so.cache";
const MAX_CACHE_BYTES = 64 << 20;
const MAX_TEXT = 1 << 16;

/** Directories that the loader of each machine was built with. Distributions differ; a directory that is not there costs one look. */
const MACHINES: Readonly<
  Record<string, { readonly platform: string; readonly directories: readonly string[] }>
> = {
  "62:64": {
    platform: "x86_64",
    directories: [
      "/lib/x86_64-linux-gnu",
      "/usr/lib/x86_64-linux-gnu",
      "/lib64",
      "/usr/lib64",
      "/lib",
      "/usr/lib",
    ],
  },
  "62:32": { platform: "x86_64", directories: ["/libx32", "/usr/libx32"] },
  "183:64": {
    platform: "aarch64",
    directories: [
      "/lib/aarch64-linux-gnu",
      "/usr/lib/aarch64-linux-gnu",
      "/lib64",
      "/usr/lib64",
      "/lib",
      "/usr/lib",
    ],
  },
  "3:32": {
    platform: "i686",
    directories: [
      "/lib/i386-linux-gnu",
      "/usr/lib/i386-linux-gnu",
      "/lib32",
      "/usr/lib32",
      "/lib",
      "/usr/lib",
    ],
  },
  "40:32": {
    platform: "v7l",
    directories: ["/lib/arm-linux-gnueabihf", "/usr/lib/arm-linux-gnueabihf", "/lib", "/usr/lib"],
  },
};

/** musl's loader is its own libc, and reads no cache. */
const MUSL_INTERPRETER = /\/ld-musl-([^/]*)\.so\.1$/;
const MUSL_BUILT_IN = /^lib(?:c|m|rt|pthread|dl|util|xnet|crypt|resolv)\./;
const MUSL_DIRECTORIES = ["/lib", "/usr/local/lib", "/usr/lib"];

interface Loaded {
  readonly path: string;
  readonly elf: Linked;
  readonly by: Loaded | null;
}

/**
 * @param program - absolute host path.
 * @param searchPath - PATH inside the sandbox, for scripts that start through env(1).
 * @param where - whom to blame for a file that is missing.
 * @param system - where to look; this host unless given.
 * @param settings - what the environment inside says.
 */
export function findClosure(
  program: string,
  searchPath: string,
  where: Provenance,
  system: Files = HOST,
  settings: LoaderSettings = NO_SETTINGS,
): Closure {
  const files = new Set<string>();
  const problems: Problem[] = [];
  let cache: ReadonlyMap<string, readonly string[]> | null = null;

  const add = (path: string): void => {
    files.add(path);
    const real = system.real(path);
    if (real !== null) files.add(real);
  };
  const miss = (message: string, hint: string): void => {
    problems.push({ kind: "path-missing", where, pointer: "/filesystem/root", message, hint });
  };

  const addProgram = (path: string, depth: number): void => {
    if (depth > MAX_INTERPRETERS) {
      miss(
        `${program} is a script whose interpreters are scripts too, more than the kernel follows`,
        "start the last interpreter itself",
      );
      return;
    }
    const known = files.has(path);
    const content = system.read(path);
    if (content.kind === "unreadable") {
      miss(
        path === program
          ? `the program ${path} cannot be read`
          : `${path}, needed to start ${program}, cannot be read`,
        "check that it exists, is a regular file, and is readable",
      );
      return;
    }
    add(path);
    // Scripts are followed again: a circle of them must reach the limit and be reported.
    if (known && content.kind !== "script") return;
    if (content.kind === "script") addScript(content.line, path, depth);
    else if (content.kind === "elf") addElf(path, content.elf);
  };

  const addScript = (line: string, script: string, depth: number): void => {
    const match = /^[ \t]*(\S+)(?:[ \t]+(.*?))?[ \t]*$/.exec(line);
    const interpreter = match?.[1];
    if (interpreter === undefined || !isAbsolute(interpreter)) {
      miss(
        `${script} names no absolute interpreter in its first line`,
        "begin it with #!/path/to/interpreter",
      );
      return;
    }
    addProgram(interpreter, depth + 1);
    const started = interpreter.endsWith("/env") ? envProgram(match?.[2] ?? "") : null;
    if (started === null) return;
    const places = started.path ?? searchPath;
    const found = findAllInPath(started.name, places, system);
    if (found.length === 0)
      miss(
        `${started.name}, the interpreter of ${script}, is in no directory of ${places}`,
        "install it or correct PATH",
      );
    for (const one of found) addProgram(one, depth + 1);
  };

  const addElf = (path: string, elf: Linked): void => {
    const machine = elf.interpreter === null ? null : MUSL_INTERPRETER.exec(elf.interpreter);
    const musl = machine === null ? null : muslDirectories(machine[1] ?? "", system);
    if (elf.interpreter !== null) {
      if (!isAbsolute(elf.interpreter) || system.real(elf.interpreter) === null) {
        miss(
          `${path} needs the ELF interpreter ${elf.interpreter}, which does not exist`,
          "install the C library that it was built for",
        );
        return;
      }
      add(elf.interpreter);
    }
    // Breadth first, as the loader maps them: a name that is loaded already is not looked for again.
    const queue: Loaded[] = [{ path, elf, by: null }];
    const loaded = new Set<string>();
    const interpreter = elf.interpreter === null ? null : system.real(elf.interpreter);
    for (let object = queue.shift(); object !== undefined; object = queue.shift()) {
      // A static program has no loader that would look.
      const extra = object.by === null && elf.interpreter !== null ? settings.preload : [];
      const optional = [...object.elf.optional, ...extra];
      for (const [index, name] of [...object.elf.needed, ...optional].entries()) {
        if (loaded.has(name) || files.size > MAX_FILES) continue;
        loaded.add(name);
        if (musl !== null && MUSL_BUILT_IN.test(name)) continue;
        const found = findLibrary(name, object, musl);
        if (found === null) {
          if (index >= object.elf.needed.length) continue;
          miss(
            `${object.path} needs the library ${name}, which is nowhere that the loader looks`,
            "install the package that has it (ldconfig -p lists what is there)",
          );
          continue;
        }
        for (const one of [found, ...variantsOf(found)]) {
          add(one.path);
          if (system.real(one.path) !== interpreter) queue.push(one);
        }
      }
    }
  };

  const loadFor = (object: Loaded, path: string): Loaded | null => {
    const content = system.read(path);
    // A library for another machine in an early directory is passed over, as the loader does.
    if (content.kind !== "elf" || content.elf.machine !== object.elf.machine) return null;
    return content.elf.bits === object.elf.bits ? { path, elf: content.elf, by: object } : null;
  };

  const variantsOf = ({ path, by }: Loaded): readonly Loaded[] =>
    by === null ? [] : system.variants(path).flatMap((one) => loadFor(by, one) ?? []);

  /** @param musl - directories of musl's loader; null for glibc's. */
  const findLibrary = (name: string, object: Loaded, musl: readonly string[] | null): Loaded | null => {
    const machine = MACHINES[`${object.elf.machine}:${object.elf.bits}`];
    const load = (path: string): Loaded | null => loadFor(object, path);
    const first = (directories: readonly string[]): Loaded | null => {
      for (const directory of directories) {
        const found = load(join(directory, name));
        if (found !== null) return found;
      }
      return null;
    };
    const platform = machine?.platform ?? "";
    if (name.includes("/")) {
      for (const path of expand(name, originOf(object, system), platform)) {
        const found = isAbsolute(path) ? load(normalize(path)) : null;
        if (found !== null) return found;
      }
      return null;
    }
    // DT_RPATH counts for what an object loads, directly or not, and not at all for an object that has DT_RUNPATH.
    // LD_LIBRARY_PATH comes between the two; musl has it first, and takes both of the others alike.
    const early = musl === null ? null : first(settings.libraryPath);
    if (early !== null) return early;
    if (object.elf.runpath === null || musl !== null) {
      for (let at: Loaded | null = object; at !== null; at = at.by) {
        const paths = at.elf.rpath ?? (musl === null ? null : at.elf.runpath);
        const found = paths === null ? null : first(searchDirectories(paths, originOf(at, system), platform));
        if (found !== null) return found;
      }
    }
    const given = first(settings.libraryPath);
    if (given !== null) return given;
    if (object.elf.runpath !== null && musl === null) {
      const found = first(searchDirectories(object.elf.runpath, originOf(object, system), platform));
      if (found !== null) return found;
    }
    if (musl !== null) return first(musl);
    cache ??= parseLibraryCache(system.cache());
    const directories = machine?.directories ?? [];
    for (const path of cache.get(name) ?? []) {
      const found = load(path);
      if (found === null) continue;
      // The loader inside finds it in its own directories, or else needs the cache too.
      if (!directories.includes(dirname(path))) files.add(CACHE);
      return found;
    }
    return first(directories);
  };

  addProgram(program, 0);
  return { files: [...files], problems };
}

/** A file of /etc takes the place of what musl's loader was built with: directories, one a line or with colons between. */
function muslDirectories(machine: string, system: Files): readonly string[] {
  const told = system.text(`/etc/ld-musl-${machine}.path`);
  return told === null ? MUSL_DIRECTORIES : told.split(/[:\n]/).filter(isAbsolute).map(normalize);
}

interface Started {
  readonly name: string;
  /** A PATH of its own; null: the one that is there. */
  readonly path: string | null;
}

/** The program that `env ARGUMENTS` starts, of a `#!` line (env(1)): options and assignments skipped, -S split at blanks. */
function envProgram(argument: string): Started | null {
  const words = argument.split(/[ \t]+/).map((word) => word.replaceAll(/["']/g, ""));
  let path: string | null = null;
  for (let at = 0; at < words.length; at++) {
    // -S may stand in a row of letters, with the first word right behind it: -iSpython.
    const word = (words[at] ?? "").replace(/^(?:-[0iv]*S|--split-string=)/, "");
    if (/^-[0iv]*[uC]$|^--(?:unset|chdir)$/.test(word)) at++;
    else if (word.startsWith("PATH=")) path = word.slice("PATH=".length);
    else if (word !== "" && !word.startsWith("-") && !word.includes("=")) return { name: word, path };
  }
  return null;
}

/** The first executable regular file of that name in the absolute directories of a PATH. */
export function findInPath(name: string, searchPath: string, system: Files = HOST): string | null {
  return findAllInPath(name, searchPath, system)[0] ?? null;
}

/** That file and, when not everybody may execute it, those that others get instead. */
export function findAllInPath(name: string, searchPath: string, system: Files): readonly string[] {
  if (name.includes("/")) return isAbsolute(name) ? [name] : [];
  const found: string[] = [];
  for (const directory of searchPath.split(":")) {
    if (!isAbsolute(directory)) continue;
    const path = join(directory, name);
    const may = system.executable(path);
    if (may !== "no") found.push(path);
    if (may === "yes") break;
  }
  return found;
}

/** The absolute directories of an RPATH. A relative one would depend on the caller's directory and is left out. */
function searchDirectories(paths: string, origin: string, platform: string): readonly string[] {
  return paths
    .split(":")
    .flatMap((entry) => expand(entry, origin, platform))
    .filter(isAbsolute)
    .map(normalize);
}

/** $ORIGIN: of a program where it really lies, of a library the directory of the name that it was found by. */
const originOf = ({ path, by }: Loaded, system: Files): string =>
  dirname(by === null ? (system.real(path) ?? path) : path);

/** $LIB is a property of the loader's build, not of the file: each of its usual values is a candidate. */
function expand(entry: string, origin: string, platform: string): readonly string[] {
  const libraries = /\$(?:LIB|\{LIB\})/.test(entry)
    ? [`lib/${platform === "i686" ? "i386" : platform}-linux-gnu`, "lib64", "lib"]
    : [""];
  return libraries.map((lib) =>
    entry
      .replaceAll(/\$(?:ORIGIN|\{ORIGIN\})/g, () => origin)
      .replaceAll(/\$(?:PLATFORM|\{PLATFORM\})/g, () => platform)
      .replaceAll(/\$(?:LIB|\{LIB\})/g, () => lib),
  );
}

function executableHere(path: string): "yes" | "no" {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile() ? "yes" : "no";
  } catch {
    // Missing, forbidden or a loop of links: the search goes on in each case (execvp(3)).
    return "no";
  }
}

function realPath(path: string): string | null {
  try {
    return realpathSync.native(path);
  } catch {
    // Missing, forbidden or a loop of links: in each case not a file that can be shown.
    return null;
  }
}
