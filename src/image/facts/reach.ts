/**
 * What can run: from ENTRYPOINT, CMD and HEALTHCHECK through `#!`, ELF interpreters, needed libraries and those that the environment, the loader's
 * files and the C library add (loader.ts). What is reached can run; what is
 * not reached is named by nothing that the loader follows. Whether it can still be run is another question, and the answer is often "not
 * known": a shell, an interpreter, dlopen(3) or execve(2) can reach what no table names. Each such reason is listed.
 */
import { CALL_NEEDS, type CallNeed } from "../../elf/call-needs.ts";
import { type Files, findAllInPath, findClosure, type LoaderSettings } from "../../host/closure.ts";
import type { ElfContent } from "../content/content.ts";
import type { ImageConfig } from "../formats/config.ts";
import type { Packages } from "../packages/find.ts";
import type { Inode, Tree } from "../tree/tree.ts";
import { environmentOf, filesOf, librariesOfServices } from "./loader.ts";

export interface Unknown {
  readonly path: string;
  /** "shell" and "interpreter" run what they are given; "loads": dlopen; "starts": programs; "opaque": imports are not known. */
  readonly why: "shell" | "interpreter" | "loads" | "starts" | "opaque";
}

export interface Reach {
  /** The command lines it begins with. Empty: nothing is known. */
  readonly starts: readonly (readonly string[])[];
  /** Real paths, sorted. */
  readonly reached: readonly string[];
  /** What a command line, a script or a program needs and the image has not. */
  readonly missing: readonly string[];
  readonly unknown: readonly Unknown[];
  /** Kinds of system calls that what is reached can ask the C library for. */
  readonly calls: CallsNeeded;
  /** ELF files and scripts with an execute bit that are not reached. */
  readonly unreached: { readonly files: number; readonly bytes: number };
  /** Packages with programs or libraries of which none is reached. */
  readonly unreachedPackages: readonly string[];
}

export interface CallsNeeded {
  /** Null: not decidable, and every call may be needed. */
  readonly needs: readonly CallNeed[] | null;
  /** What cannot be decided, as sentences about files. Empty when it can. */
  readonly because: readonly string[];
}

const INTERPRETERS = new Set(["python", "perl", "ruby", "node", "php", "lua", "java"]);

/** Every word may name a program, and is looked for in every directory of PATH. */
const MOST_WORDS = 1024;

export function findReach(tree: Tree, config: ImageConfig | null, packages: Packages): Reach {
  const starts = startsOf(config);
  const system = filesOf(tree);
  const environment = environmentOf(tree, config, starts);
  const reached = new Set<string>();
  const missing = new Set<string>();
  const programs = new Set<string>();
  const follow = (settings: LoaderSettings): void => {
    for (const program of programs)
      for (const searchPath of environment.searchPaths) {
        const closure = findClosure(program, searchPath, { kind: "default" }, system, settings);
        for (const path of closure.files) reached.add(system.real(path)?.slice(1) ?? path.slice(1));
        for (const { message } of closure.problems) missing.add(message);
      }
  };
  for (const argv of starts) {
    if (argv.length > MOST_WORDS) missing.add(`what is behind the first ${MOST_WORDS} words of a command`);
    for (const [index, word] of argv.slice(0, MOST_WORDS).entries()) {
      const named = commandsOf(word, config?.workingDirectory ?? "/", environment.searchPaths, system);
      for (const program of named) programs.add(program);
      if (named.length === 0 && index === 0) missing.add(`${word} is not in the image`);
      else if (index === 0 && named.some((path) => system.read(path).kind === "other"))
        missing.add(`${word} is no program by itself: what the host starts for it is not known`);
    }
  }
  follow(environment);
  // What was reached says what the C library will load for it, and that says no more of the kind.
  const loaded = librariesOfServices(tree, reached, config);
  if (loaded.length > 0) follow({ ...environment, preload: [...environment.preload, ...loaded] });
  const unknown = unknownOf(tree, reached, programs, system);
  return {
    starts,
    reached: [...reached].toSorted(),
    missing: [...missing].toSorted(),
    unknown,
    calls: callsOf(tree, reached, starts.length > 0 && missing.size === 0, unknown),
    ...unreachedOf(tree, reached, packages),
  };
}

function startsOf(config: ImageConfig | null): readonly (readonly string[])[] {
  if (config === null) return [];
  const main = [...config.entrypoint, ...config.command];
  const [form, ...test] = config.healthcheck ?? [];
  const shell = config.shell.length > 0 ? config.shell : ["/bin/sh", "-c"];
  const health = form === "CMD-SHELL" ? [...shell, ...test] : form === "CMD" ? test : [];
  return [main, health].filter((argv) => argv.length > 0).map(withShellWords);
}

/** `sh -c "exec app --flag"` starts what the first words of its commands name, also behind a wrapper. */
function withShellWords(argv: readonly string[]): readonly string[] {
  const at = argv.findIndex(
    (program, index) =>
      /(?:^|\/)(?:sh|bash|dash|ash)$/.test(program) && /^-[a-z]*c$/.test(argv[index + 1] ?? ""),
  );
  const script = argv[at + 2];
  if (at < 0 || script === undefined) return argv;
  const names = script
    .split(/[;&|\n]+|\$\(|`/)
    .map((part) =>
      part
        .trim()
        .replace(/^(?:(?:exec|eval|\.|source|if|then|else|while|do|!|\{|\(|[A-Za-z_]\w*=\S*)\s+)*/, ""),
    )
    .map((part) => /^["']?([\w./+-]+)/.exec(part)?.[1] ?? "")
    .filter((name) => name !== "");
  return [...argv.slice(0, at + 1), ...names, ...argv.slice(at + 3)];
}

/** The programs that a word of a command line names, absolute; none when it is an ordinary argument. */
function commandsOf(
  word: string,
  directory: string,
  searchPaths: readonly string[],
  system: Files,
): readonly string[] {
  if (!word.includes("/"))
    return /^[\w.+-]+$/.test(word)
      ? searchPaths.flatMap((searchPath) => findAllInPath(word, searchPath, system))
      : [];
  const path = word.startsWith("/") ? word : `${directory === "" ? "" : directory}/${word}`;
  const { kind } = system.read(path);
  return kind === "elf" || kind === "script" ? [path] : [];
}

function unknownOf(
  tree: Tree,
  reached: ReadonlySet<string>,
  programs: ReadonlySet<string>,
  system: Files,
): readonly Unknown[] {
  const found: Unknown[] = [];
  const started = new Set([...programs].map((path) => system.real(path)?.slice(1)));
  for (const path of [...reached].toSorted()) {
    const elf = tree.get(path)?.inode.content?.elf;
    if (elf === null || elf === undefined) continue;
    // The loader itself as a command starts what its arguments say, with libraries from where they say.
    if (started.has(path) && isCLibrary(elf)) found.push({ path, why: "starts" });
    if (elf.program) {
      if (elf.marks.includes("shell")) found.push({ path, why: "shell" });
      else if (elf.marks.some((mark) => INTERPRETERS.has(mark))) found.push({ path, why: "interpreter" });
      else if (elf.starts === true) found.push({ path, why: "starts" });
      else if (elf.starts === null) found.push({ path, why: "opaque" });
    } else if (elf.marks.length === 0 && elf.starts === true && !isCLibrary(elf))
      found.push({ path, why: "starts" });
    // The C library's own dlopen is for name services; programs that load plugins import it themselves.
    if (elf.loads === true && !isCLibrary(elf)) found.push({ path, why: "loads" });
  }
  return found;
}

const WHY: Readonly<Record<Unknown["why"], string>> = {
  shell: "is a shell, which starts anything",
  interpreter: "is an interpreter, which runs anything",
  loads: "loads libraries by name at run time",
  starts: "starts other programs",
  opaque: "does not say what it takes from libraries",
};

/** The C library and its loader make every call there is; what counts is who asks them to. */
function callsOf(
  tree: Tree,
  reached: ReadonlySet<string>,
  complete: boolean,
  unknown: readonly Unknown[],
): CallsNeeded {
  const because = complete ? [] : ["what starts is not all in the image"];
  for (const { path, why } of unknown) because.push(`/${path} ${WHY[why]}`);
  const needs = new Set<CallNeed>();
  for (const path of reached) {
    const content = tree.get(path)?.inode.content;
    if (content?.kind === "elf" && !(content.elf !== null && isCLibrary(content.elf))) {
      const calls = content.elf?.calls ?? null;
      if (calls === null && !unknown.some((one) => one.path === path))
        because.push(`/${path} may make system calls by itself`);
      for (const need of calls ?? []) needs.add(need);
    }
  }
  return {
    needs: because.length > 0 ? null : CALL_NEEDS.filter((need) => needs.has(need)),
    because,
  };
}

/** By what it calls itself: libc-client.so is another library. */
const isCLibrary = ({ soname }: ElfContent): boolean =>
  soname !== null &&
  /^(?:libc\.so(?:\.[0-9]+)?|libc\.musl-\w+\.so\.1|ld-(?:linux|musl)[\w-]*\.so\.[0-9]|ld64\.so\.[0-9]|ld\.so\.1|libdl\.so\.2|libpthread\.so\.0)$/.test(
    soname,
  );

function unreachedOf(
  tree: Tree,
  reached: ReadonlySet<string>,
  packages: Packages,
): Pick<Reach, "unreached" | "unreachedPackages"> {
  let files = 0;
  let bytes = 0;
  const counted = new Set<Inode>();
  const running = new Map<number, boolean>();
  for (const { path, node } of tree.walk()) {
    const { content, mode, size } = node.inode;
    const runs = content?.elf != null || (content?.kind === "script" && (mode & 0o111) !== 0);
    if (!runs) continue;
    const isReached = reached.has(path);
    const owner = packages.owners.get(path);
    if (owner !== undefined) running.set(owner, (running.get(owner) ?? false) || isReached);
    if (isReached || counted.has(node.inode)) continue;
    counted.add(node.inode);
    files++;
    bytes += size;
  }
  const names = [...running].flatMap(([index, any]) => (any ? [] : (packages.packages[index]?.name ?? [])));
  return { unreached: { files, bytes }, unreachedPackages: names.toSorted() };
}
