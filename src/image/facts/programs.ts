/**
 * Programs that an attacker would like to find: shells, package managers, compilers, network tools, ... A program counts for what it
 * contains (content/marks.ts), for its name, for being a copy or another name of one that counts, and for what a multi-call binary does
 * under that name. So renaming hides nothing, and a text file called "gcc" is no compiler.
 */
import type { Mark } from "../content/marks.ts";
import type { Located, Tree } from "../tree/tree.ts";

export type ProgramKind =
  | "shell"
  | "package-manager"
  | "compiler"
  | "debugger"
  | "network-tool"
  | "interpreter"
  | "version-control"
  | "privilege";

export interface Program {
  /** Its real path. */
  readonly path: string;
  /** Links that lead to it. */
  readonly aliases: readonly string[];
  readonly kinds: readonly ProgramKind[];
  /** How it was recognised; "content" is the strongest. */
  readonly evidence: readonly ("content" | "name" | "copy")[];
  /** Index of the layer it came in with. */
  readonly layer: number;
  readonly size: number;
}

const MARKS: Readonly<Record<Mark, ProgramKind | null>> = {
  shell: "shell",
  // What it can do depends on its applets: each name it has counts.
  busybox: null,
  python: "interpreter",
  perl: "interpreter",
  ruby: "interpreter",
  node: "interpreter",
  php: "interpreter",
  lua: "interpreter",
  java: "interpreter",
  compiler: "compiler",
  linker: "compiler",
  debugger: "debugger",
  dpkg: "package-manager",
  apt: "package-manager",
  rpm: "package-manager",
  apk: "package-manager",
  curl: "network-tool",
  ssh: "network-tool",
  network: "network-tool",
  git: "version-control",
  make: "compiler",
  awk: "interpreter",
  privilege: "privilege",
};

const words = (text: string): readonly string[] => text.split(" ");

const NAMES: Readonly<Record<ProgramKind, readonly string[]>> = {
  shell: words(
    "sh ash bash dash ksh ksh93 mksh lksh zsh fish tcsh csh rbash rksh pwsh nu yash elvish xonsh hush",
  ),
  "package-manager": words(
    "apt apt-get aptitude dpkg apk rpm rpm2cpio yum dnf dnf5 microdnf tdnf zypper pacman opkg snap flatpak pip pip3 pipx uv npm npx yarn pnpm corepack gem bundle composer cargo conda mamba poetry easy_install nix nix-env brew",
  ),
  compiler: words(
    "cc gcc g++ c++ cpp clang clang++ tcc as ld ld.bfd ld.gold ld.lld lld mold cc1 cc1plus collect2 go rustc ghc javac gfortran nasm yasm make cmake ninja meson bmake",
  ),
  debugger: words("gdb gdbserver lldb lldb-server strace ltrace perf bpftrace valgrind tcpdump dlv"),
  "network-tool": words(
    "curl wget nc ncat netcat socat nmap telnet ftp tftp ssh scp sftp sshd rsync ping dig nslookup host ip ss netstat ifconfig route iptables nft masscan aria2c lftp",
  ),
  interpreter: words(
    "python python2 python3 perl ruby irb node nodejs deno bun php lua luajit tclsh awk gawk mawk java jshell R Rscript",
  ),
  "version-control": words("git hg svn bzr cvs fossil darcs"),
  privilege: words(
    "su sudo doas pkexec runuser setpriv chroot nsenter unshare newuidmap newgidmap mount umount capsh",
  ),
};

const KIND_BY_NAME: ReadonlyMap<string, ProgramKind> = new Map(
  Object.entries(NAMES).flatMap(([kind, names]) => names.map((name) => [name, kind as ProgramKind] as const)),
);

/** python3.11, gcc-12, x86_64-linux-gnu-gcc-12, perl5.36.0 are called by what is left without version and machine. */
export function kindOfName(path: string): ProgramKind | null {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const plain = name
    .replace(/^[a-z0-9_]+-linux-(?:gnu|musl)[a-z0-9]*-/, "")
    .replace(/-?[0-9]+(?:\.[0-9]+)*$/, "");
  return KIND_BY_NAME.get(name) ?? KIND_BY_NAME.get(plain) ?? null;
}

/** Where commands are looked for. */
const COMMAND = /(?:^|\/)s?bin\/[^/]+$/;

interface Draft {
  readonly located: Located;
  readonly aliases: string[];
  readonly kinds: Set<ProgramKind>;
  readonly evidence: Set<Program["evidence"][number]>;
}

export function findPrograms(tree: Tree): readonly Program[] {
  const drafts = new Map<string, Draft>();
  const byContent = new Map<string, ReadonlySet<ProgramKind>>();
  const links: Located[] = [];
  const candidates: Located[] = [];
  for (const located of tree.walk()) {
    const { inode } = located.node;
    if (inode.type === "symlink") links.push(located);
    else if (isProgram(located)) candidates.push(located);
  }
  for (const located of candidates) {
    const { content } = located.node.inode;
    const draft: Draft = { located, aliases: [], kinds: new Set(), evidence: new Set() };
    for (const mark of content?.elf?.marks ?? []) {
      const kind = MARKS[mark];
      if (kind === null) continue;
      draft.kinds.add(kind);
      draft.evidence.add("content");
    }
    const named = nameCounts(located) ? kindOfName(located.path) : null;
    if (named !== null) {
      draft.kinds.add(named);
      draft.evidence.add("name");
    }
    drafts.set(located.path, draft);
    if (draft.kinds.size > 0 && content !== null) byContent.set(content.sha256, draft.kinds);
  }
  for (const draft of drafts.values()) {
    if (draft.kinds.size > 0) continue;
    // Copies of scripts are too alike to mean something: of an ELF file, the same bytes are the same program.
    const { content } = draft.located.node.inode;
    for (const kind of (content?.kind === "elf" ? byContent.get(content.sha256) : null) ?? []) {
      draft.kinds.add(kind);
      draft.evidence.add("copy");
    }
  }
  for (const link of links) follow(tree, link, drafts);
  return [...drafts.values()]
    .filter(({ kinds }) => kinds.size > 0)
    .map(({ located, aliases, kinds, evidence }) => ({
      path: located.path,
      aliases,
      kinds: [...kinds].toSorted(),
      evidence: [...evidence].toSorted(),
      layer: located.node.inode.layer,
      size: located.node.inode.size,
    }));
}

/** A link is another name of what it leads to; of a multi-call binary, the name says what it is. */
function follow(tree: Tree, link: Located, drafts: ReadonlyMap<string, Draft>): void {
  const target = tree.resolve(link.path);
  const draft = target === null ? undefined : drafts.get(target.path);
  if (draft === undefined) return;
  const isCommand =
    COMMAND.test(link.path) || draft.located.node.inode.content?.elf?.marks.includes("busybox");
  const named = isCommand === true ? kindOfName(link.path) : null;
  if (named !== null) {
    draft.kinds.add(named);
    draft.evidence.add("name");
  }
  if (draft.kinds.size > 0 && draft.aliases.length < 1000) draft.aliases.push(link.path);
}

/** Without the right to execute, only content says what a file is. A script is a command where commands are looked for; of an ELF file elsewhere, content that says more wins over its name. */
function nameCounts({ path, node }: Located): boolean {
  if ((node.inode.mode & 0o111) === 0) return false;
  return COMMAND.test(path) || node.inode.content?.elf?.marks.length === 0;
}

/** A script that somebody may execute, or an ELF program: those the dynamic loader starts without the right, too (ld.so(8)). */
function isProgram({ node: { inode } }: Located): boolean {
  if (inode.type !== "file") return false;
  return (
    inode.content?.elf?.program === true || ((inode.mode & 0o111) !== 0 && inode.content?.kind === "script")
  );
}
