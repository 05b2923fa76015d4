/**
 * What can run: from ENTRYPOINT, CMD and HEALTHCHECK through `#!`, ELF interpreters and needed libraries. What is reached can run; what is
 * not reached is named by nothing that the loader follows. Whether it can still be run is another question, and the answer is often "not
 * known": a shell, an interpreter, dlopen(3) or execve(2) can reach what no table names. Each such reason is listed.
 */
import { CALL_NEEDS, type CallNeed } from "../../elf/call-needs.ts";
import { type Files, findClosure, findInPath } from "../../host/closure.ts";
import type { ImageConfig } from "../formats/config.ts";
import type { Packages } from "../packages/find.ts";
import type { Inode, Tree } from "../tree/tree.ts";

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

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const INTERPRETERS = new Set(["python", "perl", "ruby", "node", "php", "lua", "java"]);

export function findReach(tree: Tree, config: ImageConfig | null, packages: Packages): Reach {
  const starts = startsOf(config);
  const system = filesOf(tree);
  const searchPath = config?.env.find((one) => one.startsWith("PATH="))?.slice(5) ?? DEFAULT_PATH;
  const reached = new Set<string>();
  const missing = new Set<string>();
  const add = (program: string): void => {
    const closure = findClosure(program, searchPath, { kind: "default" }, system);
    for (const path of closure.files) reached.add(system.real(path)?.slice(1) ?? path.slice(1));
    for (const { message } of closure.problems) missing.add(message);
  };
  for (const argv of starts) {
    for (const [index, word] of argv.entries()) {
      const program = commandOf(word, config?.workingDirectory ?? "/", searchPath, system);
      if (program !== null) add(program);
      else if (index === 0) missing.add(`${word} is not in the image`);
    }
  }
  const unknown = unknownOf(tree, reached);
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
  const health = form === "CMD-SHELL" ? ["/bin/sh", "-c", ...test] : form === "CMD" ? test : [];
  return [main, health].filter((argv) => argv.length > 0).map(withShellWords);
}

/** `sh -c "exec app --flag"` starts what the first words of its commands name. */
function withShellWords(argv: readonly string[]): readonly string[] {
  const [program = "", flag = "", script = ""] = argv;
  if (!/(?:^|\/)(?:sh|bash|dash|ash)$/.test(program) || !/^-[a-z]*c$/.test(flag)) return argv;
  const names = script
    .split(/[;&|\n]+|\$\(|`/)
    .map((part) =>
      part
        .trim()
        .replace(/^(?:(?:exec|eval|\.|source|if|then|else|while|do|!|\{|\(|[A-Za-z_]\w*=\S*)\s+)*/, ""),
    )
    .map((part) => /^["']?([\w./+-]+)/.exec(part)?.[1] ?? "")
    .filter((name) => name !== "");
  return [program, ...names];
}

/** The program that a word of a command line names, absolute; null when it is an ordinary argument. */
function commandOf(word: string, directory: string, searchPath: string, system: Files): string | null {
  if (!word.includes("/")) return /^[\w.+-]+$/.test(word) ? findInPath(word, searchPath, system) : null;
  const path = word.startsWith("/") ? word : `${directory === "" ? "" : directory}/${word}`;
  const { kind } = system.read(path);
  return kind === "elf" || kind === "script" ? path : null;
}

/** The tree as the closure looks at files. */
function filesOf(tree: Tree): Files {
  const fileAt = (path: string): Inode | null => {
    const inode = tree.resolve(path)?.node.inode;
    return inode?.type === "file" ? inode : null;
  };
  return {
    read: (path) => {
      const content = fileAt(path)?.content;
      if (content === undefined || content === null) return { kind: "unreadable" };
      if (content.elf !== null) return { kind: "elf", elf: content.elf };
      return content.script === null ? { kind: "other" } : { kind: "script", line: content.script };
    },
    real: (path) => {
      const found = tree.resolve(path);
      return found === null ? null : `/${found.path}`;
    },
    cache: () => fileAt("/etc/ld.so.cache")?.content?.bytes ?? Buffer.alloc(0),
  };
}

function unknownOf(tree: Tree, reached: ReadonlySet<string>): readonly Unknown[] {
  const found: Unknown[] = [];
  for (const path of [...reached].toSorted()) {
    const elf = tree.get(path)?.inode.content?.elf;
    if (elf === null || elf === undefined) continue;
    if (elf.program) {
      if (elf.marks.includes("shell")) found.push({ path, why: "shell" });
      else if (elf.marks.some((mark) => INTERPRETERS.has(mark))) found.push({ path, why: "interpreter" });
      else if (elf.starts === true) found.push({ path, why: "starts" });
      else if (elf.starts === null) found.push({ path, why: "opaque" });
    } else if (elf.marks.length === 0 && elf.starts === true && !isCLibrary(path))
      found.push({ path, why: "starts" });
    // The C library's own dlopen is for name services; programs that load plugins import it themselves.
    if (elf.loads === true && !isCLibrary(path)) found.push({ path, why: "loads" });
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
    if (content?.kind === "elf" && !isCLibrary(path)) {
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

const isCLibrary = (path: string): boolean => /\/(?:libc|libdl|libpthread|ld-[\w-]+)[.-][^/]*$/.test(path);

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
