/**
 * Takes an image's tree and configuration, gives what its loader and its C library go by: where programs and libraries are looked for, and
 * which libraries are loaded though no program names them. Reads the tree only.
 */
import type { Files, LoaderSettings } from "../../host/closure.ts";
import type { LibraryService } from "../content/content.ts";
import type { ImageConfig } from "../formats/config.ts";
import { type Gap, keptText } from "../packages/package.ts";
import type { Inode, Tree } from "../tree/tree.ts";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A configuration of a megabyte could ask for years of looking. No command is started by what lies beyond. */
const MOST_DIRECTORIES = 256;
const MOST_PATHS = 4;

export interface Environment extends LoaderSettings {
  /** Each value that PATH has: which of several counts depends on who reads the environment. Absolute directories. */
  readonly searchPaths: readonly string[];
}

export function environmentOf(
  tree: Tree,
  config: ImageConfig | null,
  starts: readonly (readonly string[])[],
): Environment {
  const valuesOf = (name: string): readonly string[] =>
    (config?.env ?? []).flatMap((one) => (one.startsWith(`${name}=`) ? [one.slice(name.length + 1)] : []));
  const { workingDirectory = "" } = config ?? {};
  // An empty directory is the working directory (execvp(3), ld.so(8)).
  const absolute = (directory: string): string =>
    directory.startsWith("/") ? directory : `${workingDirectory.replace(/^\/*/, "/")}/${directory}`;
  const paths = valuesOf("PATH");
  // ld.so --library-path DIR --preload LIBRARY PROGRAM
  const argumentsOf = (option: string): readonly string[] =>
    starts.flatMap((argv) => argv.flatMap((word, at) => (word === option ? (argv[at + 1] ?? []) : [])));
  const gaps: Gap[] = [];
  const preloaded = keptText(tree, "etc/ld.so.preload", gaps) ?? "";
  const directories = (text: string): readonly string[] =>
    [...new Set(text.split(/[:;]/).map(absolute))].slice(0, MOST_DIRECTORIES);
  return {
    searchPaths: [
      ...new Set(
        (paths.length === 0 ? [DEFAULT_PATH] : paths)
          .slice(-MOST_PATHS)
          .map((path) => directories(path).join(":")),
      ),
    ],
    libraryPath: [...valuesOf("LD_LIBRARY_PATH"), ...argumentsOf("--library-path")]
      .slice(0, MOST_PATHS)
      .flatMap(directories),
    preload: [
      ...[...valuesOf("LD_PRELOAD"), ...argumentsOf("--preload"), preloaded.replaceAll(/#.*/g, "")].flatMap(
        (text) => text.split(/[\s:]+/),
      ),
      ...[...valuesOf("LD_AUDIT"), ...argumentsOf("--audit")].flatMap((text) => text.split(":")),
    ].filter((name) => name !== ""),
  };
}

/** Directories below a library's own that older loaders look into first (glibc before 2.37). */
const OLD_CAPABILITIES = ["tls", "haswell", "avx512_1", "x86_64", "i686", "sse2", "v7l", "neon"];

/** The tree as the closure looks at files. */
export function filesOf(tree: Tree): Files {
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
    executable: (path) => {
      const bits = (fileAt(path)?.mode ?? 0) & 0o111;
      return bits === 0o111 ? "yes" : bits === 0 ? "no" : "partly";
    },
    cache: () => fileAt("/etc/ld.so.cache")?.content?.bytes ?? Buffer.alloc(0),
    text: (path) => fileAt(path)?.content?.bytes?.toString("utf8") ?? null,
    variants: (path) => {
      const directory = path.slice(0, path.lastIndexOf("/"));
      const name = path.slice(directory.length + 1);
      const node = tree.resolve(directory)?.node;
      const newer = [...(node?.children?.get("glibc-hwcaps")?.children?.keys() ?? [])].map(
        (level) => `glibc-hwcaps/${level}`,
      );
      const older = OLD_CAPABILITIES.filter((one) => node?.children?.has(one) === true).flatMap((one) => [
        one,
        ...OLD_CAPABILITIES.map((two) => `${one}/${two}`),
      ]);
      return [...newer, ...older]
        .map((below) => `${directory}/${below}/${name}`)
        .filter((one) => fileAt(one) !== null);
    },
  };
}

/** Without a file glibc asks these (nsswitch.conf(5)). */
const DEFAULT_SERVICES = "files dns compat";

/** What glibc loads by itself, as names or absolute paths, for the files that were reached. musl has all of it built in. */
export function librariesOfServices(
  tree: Tree,
  reached: ReadonlySet<string>,
  config: ImageConfig | null,
): readonly string[] {
  const asked = new Set<LibraryService>();
  let isGlibc = false;
  for (const path of reached) {
    const elf = tree.get(path)?.inode.content?.elf;
    if (elf?.soname === "libc.so.6") isGlibc = true;
    else for (const service of elf?.services ?? []) asked.add(service);
  }
  if (!isGlibc) return [];
  const gaps: Gap[] = [];
  const modules = (keptText(tree, "etc/nsswitch.conf", gaps) ?? `all: ${DEFAULT_SERVICES}`)
    .replaceAll(/#.*/g, "")
    .split("\n")
    .flatMap((line) =>
      line
        .slice(line.indexOf(":") + 1)
        .replaceAll(/\[[^\]]*\]/g, " ")
        .split(/\s+/),
    )
    .filter((name) => /^[\w-]+$/.test(name));
  const converters = (): readonly string[] =>
    tree.walk().flatMap(({ path }) => (/(?:^|\/)gconv\/[^/]+\.so$/.test(path) ? [`/${path}`] : []));
  return [
    ...(asked.has("names") ? [...new Set(modules)].map((name) => `libnss_${name}.so.2`) : []),
    ...(asked.has("unwinder") ? ["libgcc_s.so.1"] : []),
    ...(asked.has("character-sets") || (asked.has("locales") && isOtherLocale(config)) ? converters() : []),
  ];
}

/** Whether the environment names a locale whose characters are neither ASCII nor UTF-8. */
const isOtherLocale = (config: ImageConfig | null): boolean =>
  (config?.env ?? []).some(
    (one) => /^(?:LANG|LC_\w+)=/.test(one) && !/=(?:|C|POSIX|[\w@.-]*\.(?:utf-?8)(?:@\w+)?)$/i.test(one),
  );
