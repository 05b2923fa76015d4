/** How the programs and libraries of an image were built, and which of them belong to no package. */
import type { Hardening } from "../../elf/hardening.ts";
import type { Packages } from "../packages/find.ts";
import type { Inode, Tree } from "../tree/tree.ts";

export interface ElfFile {
  readonly path: string;
  readonly program: boolean;
  readonly static: boolean;
  readonly hardening: Hardening;
  readonly rpath: string | null;
  readonly runpath: string | null;
  /** Name of the package that claims it; null when none does. */
  readonly package: string | null;
  readonly layer: number;
  readonly size: number;
  readonly sha256: string;
}

/** Scripts that may be executed and that no package claims. */
export interface UnownedScript {
  readonly path: string;
  readonly layer: number;
}

export interface ElfFacts {
  readonly files: readonly ElfFile[];
  readonly unownedScripts: readonly UnownedScript[];
}

/** Scripts of packages themselves, which are in no list of files. */
const DATABASE = /^(?:var\/lib\/(?:dpkg|pacman|rpm|opkg)|usr\/lib\/opkg|(?:usr\/)?lib\/apk\/db)\//;

export function findElf(tree: Tree, packages: Packages): ElfFacts {
  const files: ElfFile[] = [];
  const unownedScripts: UnownedScript[] = [];
  const seen = new Set<Inode>();
  for (const { path, node } of tree.walk()) {
    const { inode } = node;
    const { content, layer, size, mode } = inode;
    if (content === null || seen.has(inode)) continue;
    const owner = packages.owners.get(path);
    if (content.elf !== null) {
      seen.add(inode);
      const { program, hardening, rpath, runpath, interpreter, needed } = content.elf;
      const name = owner === undefined ? null : (packages.packages[owner]?.name ?? null);
      const isStatic = interpreter === null && needed.length === 0 && program;
      files.push({
        path,
        program,
        static: isStatic,
        hardening,
        rpath,
        runpath,
        package: name,
        layer,
        size,
        sha256: content.sha256,
      });
    } else if (
      content.kind === "script" &&
      (mode & 0o111) !== 0 &&
      owner === undefined &&
      !DATABASE.test(path)
    )
      unownedScripts.push({ path, layer });
  }
  return { files, unownedScripts };
}
