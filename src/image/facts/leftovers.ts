/** What an image carries that nothing in it runs or reads: documentation, caches, build leftovers. By path, counted in files and bytes. */
import type { Inode, Tree } from "../tree/tree.ts";

export type LeftoverKind =
  | "documentation"
  | "manual-pages"
  | "locales"
  | "headers"
  | "static-libraries"
  | "package-cache"
  | "cache"
  | "logs"
  | "temporary"
  | "version-control"
  | "editor"
  | "cloud-settings"
  | "build-files"
  | "bytecode"
  | "tests";

export interface Leftover {
  readonly kind: LeftoverKind;
  readonly files: number;
  readonly bytes: number;
  /** Index of the highest layer that brought one. */
  readonly layer: number;
  /** The largest ones. */
  readonly examples: readonly string[];
}

/** The first that fits counts. */
const PLACES: readonly (readonly [LeftoverKind, RegExp])[] = [
  ["version-control", /(?:^|\/)(?:\.git|\.svn|\.hg|\.bzr|CVS)\//],
  [
    "package-cache",
    /^var\/(?:lib\/apt\/lists|cache\/(?:apt|apk|dnf|yum|zypp|pacman|man|debconf)|lib\/dnf)\/|^etc\/apk\/cache\//,
  ],
  [
    "cache",
    /^(?:var\/cache|root\/\.cache|home\/[^/]+\/\.cache)\/|(?:^|\/)(?:\.npm\/_cacache|\.npm\/_logs|\.cache\/pip|\.cargo\/registry|go\/pkg\/mod\/cache|\.m2\/repository|\.gradle\/caches)\//,
  ],
  ["temporary", /^(?:tmp|var\/tmp|run)\//],
  ["logs", /^var\/log\//],
  ["manual-pages", /^usr\/(?:local\/)?(?:share\/)?man\//],
  ["documentation", /^usr\/(?:local\/)?share\/(?:doc|info|gtk-doc|help)\/(?!.*\/copyright$)/],
  ["locales", /^usr\/(?:local\/)?share\/(?:locale|i18n)\//],
  ["headers", /^usr\/(?:local\/)?include\/|\.(?:h|hpp|hh)$/],
  ["static-libraries", /\.(?:a|la)$/],
  ["editor", /(?:\.sw[op]|~|\.DS_Store|\.orig|\.rej)$|(?:^|\/)\.(?:vimrc$|vscode\/|idea\/)/],
  ["cloud-settings", /(?:^|\/)\.(?:aws|azure|gcp|config\/gcloud|kube)\//],
  [
    "build-files",
    /(?:^|\/)(?:Dockerfile|Containerfile|\.dockerignore|docker-compose\.ya?ml|compose\.ya?ml|Makefile|Jenkinsfile|\.gitlab-ci\.yml|\.travis\.yml)$|(?:^|\/)\.github\//,
  ],
  ["bytecode", /\.py[co]$/],
  ["tests", /(?:^|\/)(?:node_modules|dist-packages|site-packages)\/.*\/(?:tests?|__tests__)\//],
];
const EXAMPLES = 5;

export function findLeftovers(tree: Tree): readonly Leftover[] {
  const found = new Map<LeftoverKind, { path: string; size: number; layer: number }[]>();
  const counted = new Set<Inode>();
  for (const { path, node } of tree.walk()) {
    if (node.inode.type !== "file" || counted.has(node.inode)) continue;
    counted.add(node.inode);
    const kind = PLACES.find(([, pattern]) => pattern.test(path))?.[0];
    if (kind === undefined) continue;
    const files = found.get(kind) ?? [];
    found.set(kind, files);
    files.push({ path, size: node.inode.size, layer: node.inode.layer });
  }
  return PLACES.flatMap(([kind]) => {
    const files = found.get(kind);
    if (files === undefined) return [];
    return [
      {
        kind,
        files: files.length,
        bytes: files.reduce((sum, { size }) => sum + size, 0),
        layer: files.reduce((highest, { layer }) => Math.max(highest, layer), 0),
        examples: files
          .toSorted((a, b) => b.size - a.size)
          .slice(0, EXAMPLES)
          .map(({ path }) => path),
      },
    ];
  });
}
